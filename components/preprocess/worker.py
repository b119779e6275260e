"""One of several processes that encode on this machine: `python -m …worker PARENT`, its work on standard input.

See `worker_pool`.
"""

from __future__ import annotations

import json
import sys

from bigbird_components.lifeline import end_with_parent


def main() -> None:
    """Encodes the shards that standard input names, a line each, and answers with a line when one is done.

    Ends where standard input does, or with the process of the given id.
    """
    end_with_parent(int(sys.argv[1]))
    from bigbird_components.preprocess.shards import Encoding, Shard, ShardEncoder  # while the main process still reads

    if not (first := sys.stdin.readline()):  # the main process has ended, or has no work after all
        return
    encoding = json.loads(first)
    encoding |= {name: frozenset(encoding[name]) for name in ("labelled", "evaluation")}
    encoder = ShardEncoder(Encoding(**encoding))
    for line in sys.stdin:
        encoder.encode(Shard(*json.loads(line)))
        print("done", flush=True)


if __name__ == "__main__":
    main()
