"""Which of Keras' backends trains: `runtime.backend`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bigbird.config import Experiment
from bigbird.support.errors import InputError
from bigbird.support.xla_flags import without_ynn

if TYPE_CHECKING:
    from bigbird.optimization import WarmupDecay
    from bigbird_components.train.interruption import Interruption
    from bigbird_components.train.steps import TrainingSteps


def check_backend(name: str) -> None:
    """Raises `InputError` where Keras, which takes its backend when it is imported, has another one."""
    if "keras" not in sys.modules:
        return
    import keras

    found = keras.backend.backend()
    if found != name:
        raise InputError(
            f"runtime.backend is {name} but Keras was imported with {found} in this process; call bigbird.support.tensorflow_start."
            f"load_tensorflow({name!r}) before anything imports Keras, or start Python with KERAS_BACKEND={name}"
        )


def build_steps(
    experiment: Experiment, schedule: WarmupDecay, files: Sequence[str], interruption: Interruption | None = None
) -> TrainingSteps:
    """The steps on `runtime.backend`; see `TensorFlowSteps` for the arguments.

    Args:
        interruption: is told how JAX's workers agree when to stop.

    Raises:
        InputError: Keras has another backend, or the machine lacks what the configuration asks for.
    """
    check_backend(experiment.runtime.backend)
    if experiment.runtime.backend == "jax":
        import jaxlib

        without_ynn("jaxlib", jaxlib.__version__)
        from bigbird_components.train.jax_programs import keep_programs
        from bigbird_components.train.jax_step import JaxSteps

        keep_programs()
        steps = JaxSteps(experiment, schedule, files)
        if interruption is not None and steps.agreed_to_stop is not None:
            interruption.agree_by(steps.agreed_to_stop)
        return steps
    from bigbird_components.train.tensorflow_step import TensorFlowSteps

    return TensorFlowSteps(experiment, schedule, files)
