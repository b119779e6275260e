"""What a run's model takes over from the checkpoint that it starts from."""

from __future__ import annotations

from pathlib import Path

from bigbird.checkpoints import native
from bigbird.checkpoints.checkpoint import Checkpoint
from bigbird.checkpoints.encoders import TAKEN, fill_encoder, start_from
from bigbird.config import ENCODER_KEY, PLACEHOLDER, Experiment, with_sections


def with_start(experiment: Experiment, model_dir: Path | None) -> tuple[Experiment, Checkpoint | None]:
    """The experiment with the encoder of `task.init_checkpoint`, where its configuration leaves it open.

    Args:
        experiment: as configured.
        model_dir: the run's folder; where it holds a checkpoint, the run goes on with the encoder that it began with, and
            the checkpoint of its start is not read. None where no run is meant to go on.

    Returns:
        The experiment, and the checkpoint as read.

    Raises:
        InputError: there is no checkpoint, or the task cannot be learnt with its encoder.
    """
    task = experiment.task
    if task.init_checkpoint in ("", PLACEHOLDER):
        return experiment, None
    folder = None if model_dir is None else native.latest_checkpoint(model_dir)
    if folder is None:
        checkpoint, task = start_from(task.init_checkpoint, task)
        return with_sections(experiment, task=task), checkpoint
    setup = native.read_state(folder).setup
    began = {key: setup[f"{ENCODER_KEY}.{key}"] for key in TAKEN if f"{ENCODER_KEY}.{key}" in setup}
    attention = setup.get(f"{ENCODER_KEY}.attention.implementation")
    if attention is not None:
        began["attention"] = {"implementation": attention}
    return with_sections(experiment, task=fill_encoder(task, began, str(model_dir))), None
