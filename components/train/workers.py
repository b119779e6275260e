"""The workers of a run on several machines, as the configuration names them."""

from __future__ import annotations

import os

from bigbird.config import RuntimeConfig
from bigbird.support.errors import InputError


def configured_workers(runtime: RuntimeConfig) -> tuple[list[str], int] | None:
    """host:port of every worker and this one's place among them; None where the environment's TF_CONFIG says so.

    Raises:
        InputError: neither says it, or the place is none.
    """
    if not runtime.worker_hosts:
        if "TF_CONFIG" not in os.environ:
            raise InputError(
                "runtime.distribution_strategy is multi_worker_mirrored but neither runtime.worker_hosts "
                "and runtime.task_index nor the environment's TF_CONFIG say who the workers are"
            )
        return None
    hosts = [host.strip() for host in runtime.worker_hosts.split(",")]
    if not 0 <= runtime.task_index < len(hosts):
        raise InputError(
            f"runtime.task_index is {runtime.task_index}; expected 0 to {len(hosts) - 1}, a place in worker_hosts"
        )
    return hosts, runtime.task_index
