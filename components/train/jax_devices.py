"""The machines training runs on, as a mesh of JAX's devices that share each batch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from bigbird.config import RuntimeConfig
from bigbird.support.errors import InputError
from bigbird.support.native_stderr import hidden_native_stderr
from bigbird_components.train.jax_update import AXIS
from bigbird_components.train.workers import configured_workers


def build_mesh(runtime: RuntimeConfig) -> Mesh:
    """The devices of `runtime.distribution_strategy`: one, this machine's, its TPU's, or those of every worker.

    Raises:
        InputError: the machine lacks what the configuration asks for.
    """
    if runtime.distribution_strategy == "multi_worker_mirrored":
        _join_workers(runtime)
    with hidden_native_stderr():  # looking for a TPU where there is none is not silent
        devices = jax.devices("cpu" if runtime.num_gpus == 0 else None)  # of all workers
    return Mesh(np.array(chosen(devices, runtime)), (AXIS,))


def chosen(devices: Sequence[jax.Device], runtime: RuntimeConfig) -> list[jax.Device]:
    """Those that train, of the devices of every worker: `runtime.num_gpus` of each.

    A worker's devices stand side by side, as its rows of a batch do.

    Raises:
        InputError: they are not what the configuration asks for.
    """
    wanted, platform = runtime.num_gpus, devices[0].platform
    workers: dict[int, list[jax.Device]] = {}
    for device in sorted(devices, key=lambda device: (device.process_index, device.id)):
        workers.setdefault(device.process_index, []).append(device)
    index = min(workers, key=lambda worker: len(workers[worker]))
    gpus = len(workers[index]) if platform == "gpu" else 0
    if wanted is not None and wanted > gpus:
        where = f" on worker {index}" if len(workers) > 1 else ""
        raise InputError(f"runtime.num_gpus is {wanted} but JAX finds {gpus}{where}; lower it, or leave it out for all")
    if runtime.distribution_strategy == "tpu" and platform != "tpu":
        raise InputError(
            f"runtime.distribution_strategy is tpu but JAX finds no TPU on this machine ({len(devices)} × {platform}); "
            "leave it out, or set it to one_device or mirrored"
        )
    if runtime.distribution_strategy == "one_device":
        if wanted is not None and wanted > 1:
            raise InputError(f"runtime.num_gpus is {wanted} with one_device; expected at most 1, or use mirrored")
        return workers[index][:1]
    return [device for of_worker in workers.values() for device in of_worker[: wanted or None]]


def _join_workers(runtime: RuntimeConfig) -> None:
    """Connects to the other workers, whose first one is the coordinator; once in a process."""
    if jax.distributed.is_initialized():
        return
    hosts, index = configured_workers(runtime) or _described_workers()
    try:
        jax.distributed.initialize(hosts[0], len(hosts), index)
    except RuntimeError as error:
        raise InputError(f"worker {index} of {len(hosts)} cannot reach the first one at {hosts[0]}: {error}") from error


def _described_workers() -> tuple[list[str], int]:
    """The same from TF_CONFIG, which platforms set that start workers."""
    described = json.loads(os.environ["TF_CONFIG"])
    kinds = ("chief", "worker")
    places = [(kind, index) for kind in kinds for index in range(len(described["cluster"].get(kind, ())))]
    hosts = [described["cluster"][kind][index] for kind, index in places]
    return hosts, places.index((described["task"]["type"], int(described["task"]["index"])))
