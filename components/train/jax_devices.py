"""The machines training runs on, as a mesh of JAX's devices that share each batch."""

from __future__ import annotations

import json
import os

import jax
import numpy as np
from jax.sharding import Mesh

from bigbird.config import RuntimeConfig
from bigbird.support.console import hidden_native_stderr
from bigbird.support.errors import InputError
from bigbird_components.train.jax_update import AXIS
from bigbird_components.train.workers import configured_workers


def build_mesh(runtime: RuntimeConfig) -> Mesh:
    """The devices of `runtime.distribution_strategy`: one, this machine's, its TPU's, or those of every worker.

    Raises:
        InputError: the machine lacks what the configuration asks for.
    """
    if runtime.distribution_strategy == "multi_worker_mirrored":
        _join_workers(runtime)
    wanted = runtime.num_gpus
    with hidden_native_stderr():  # looking for a TPU where there is none is not silent
        devices = jax.local_devices(backend="cpu") if wanted == 0 else jax.devices()
    gpus = len(devices) if devices[0].platform == "gpu" else 0
    if wanted is not None and wanted > gpus:
        raise InputError(f"runtime.num_gpus is {wanted} but JAX finds {gpus}; lower it, or leave it out for all")
    if runtime.distribution_strategy == "tpu" and devices[0].platform != "tpu":
        raise InputError(
            f"runtime.distribution_strategy is tpu but JAX finds no TPU on this machine ({len(devices)} × "
            f"{devices[0].platform}); leave it out, or set it to one_device or mirrored"
        )
    if runtime.distribution_strategy == "one_device":
        if wanted is not None and wanted > 1:
            raise InputError(f"runtime.num_gpus is {wanted} with one_device; expected at most 1, or use mirrored")
        devices = devices[:1]
    # A worker's devices stand side by side, as its rows of a batch do.
    ordered = sorted(devices[: wanted or None], key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(ordered), (AXIS,))


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
