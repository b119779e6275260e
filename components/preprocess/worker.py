"""One of several processes that encode on this machine: `python -m …worker PARENT`, its work on standard input.

See `processes`.
"""

from __future__ import annotations

import json
import sys

from components.lifeline import end_with_parent


def main() -> None:
    """Encodes the shards that standard input names; ends with the process of the given id."""
    end_with_parent(int(sys.argv[1]))
    encoding, shards = json.load(sys.stdin)
    from components.preprocess.shards import EncodeShard, Encoding, Shard

    encoding |= {name: frozenset(encoding[name]) for name in ("labelled", "evaluation")}
    encoder = EncodeShard(Encoding(**encoding))
    for shard in shards:
        for _ in encoder.process(Shard(*shard)):
            pass


if __name__ == "__main__":
    main()
