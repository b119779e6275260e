"""A worker process of Beam on this machine that ends with the process that started it: `python -m …worker PARENT`."""

from __future__ import annotations

import sys

from components.lifeline import end_with_parent


def main() -> None:
    """Runs Beam's worker."""
    end_with_parent(int(sys.argv.pop(1)))
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
