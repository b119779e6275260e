"""The machines training runs on, as a tf.distribute strategy."""

from __future__ import annotations

import json
import os

import tensorflow as tf

from bigbird.config import RuntimeConfig
from bigbird.support.errors import InputError
from bigbird_components.train.workers import configured_workers


def build_strategy(runtime: RuntimeConfig) -> tf.distribute.Strategy:
    """The strategy of `runtime.distribution_strategy`.

    Raises:
        InputError: the machine lacks what the configuration asks for.
    """
    if runtime.distribution_strategy == "tpu":
        return _tpu(runtime.tpu)
    if runtime.tpu:
        raise InputError(
            f"--tpu is {runtime.tpu!r} but runtime.distribution_strategy is {runtime.distribution_strategy!r}; expected tpu"
        )
    if runtime.distribution_strategy == "multi_worker_mirrored":
        _check_all_gpus(runtime.num_gpus)
        _describe_cluster(runtime)
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = _gpus(runtime.num_gpus)
    if runtime.distribution_strategy == "one_device":
        if runtime.num_gpus is not None and runtime.num_gpus > 1:
            raise InputError(
                f"runtime.num_gpus is {runtime.num_gpus} with one_device; expected at most 1, or use mirrored"
            )
        return tf.distribute.OneDeviceStrategy(gpus[0] if gpus else "/cpu:0")
    devices = gpus or [device.name for device in tf.config.list_logical_devices("CPU")]
    return tf.distribute.MirroredStrategy(devices)


def _gpus(wanted: int | None) -> list[str]:
    found = [device.name for device in tf.config.list_logical_devices("GPU")]
    if wanted is not None and wanted > len(found):
        raise InputError(
            f"runtime.num_gpus is {wanted} but this machine has {len(found)}; lower it, or leave it out for all"
        )
    return found[:wanted]


def _check_all_gpus(wanted: int | None) -> None:
    """Refuses a number that MultiWorkerMirroredStrategy, which takes all of a machine, would pass over."""
    # Physical ones: to list the logical ones starts TensorFlow's devices.
    found = len(tf.config.list_physical_devices("GPU"))
    if wanted is not None and wanted != found:
        raise InputError(
            f"runtime.num_gpus is {wanted} but this worker has {found}, and with multi_worker_mirrored TensorFlow takes all; leave "
            "num_gpus out, or hide GPUs from the worker with the environment's CUDA_VISIBLE_DEVICES"
        )


def _tpu(name: str) -> tf.distribute.Strategy:
    if not name:
        raise InputError(
            "runtime.distribution_strategy is tpu but no TPU is named; set runtime.tpu (--tpu of the stage) to its name, or to local"
        )
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(tpu=name)
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:  # OSError: not on a Google Cloud machine
        raise InputError(f"TPU {name!r} cannot be reached: {error}") from error
    return tf.distribute.TPUStrategy(resolver)


def _describe_cluster(runtime: RuntimeConfig) -> None:
    """Tells TensorFlow who the workers are; platforms that start workers set TF_CONFIG themselves."""
    workers = configured_workers(runtime)
    if workers is not None:
        hosts, index = workers
        task = {"type": "worker", "index": index}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": hosts}, "task": task})
