"""A trained model's folder on raw text, without exporting it: what the export stage saves, asked in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from bigbird.checkpoints.native import load_model
from bigbird.config import Experiment
from bigbird.layers.own_gradient import without_gradients
from bigbird.manifests import DatasetManifest, ModelManifest
from bigbird.serving.saved_model import Predictor
from bigbird.support.errors import InputError
from bigbird.support.precision import Precision, policy
from bigbird.tasks.family import AnsweringFamily
from bigbird.tasks.registry import answering_family, family_of_type
from bigbird.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Trained:
    """A trained model with what it needs to answer raw text.

    Attributes:
        precision: what it computes in.
        model: with its best weights.
        manifest: the model folder's.
        task: the task's name.
        dataset: the manifest of the dataset that it was trained on.
        experiment: as it was trained.
        vocabulary: that it was trained with.
        family: its task family.
    """

    precision: Precision
    model: keras.Model
    manifest: ModelManifest
    task: str
    dataset: DatasetManifest
    experiment: Experiment
    vocabulary: Vocabulary
    family: AnsweringFamily

    @property
    def max_length(self) -> int:
        """Most tokens that the model reads at once: as the dataset allows, but no more than it was trained on."""
        return min(self.dataset.max_length, self.experiment.task.buckets[-1])

    def module(self) -> Any:
        """The model on raw text, as a tf.Module whose `signatures()` gives its functions."""
        # Texts are cut by the dataset's manifest, and the longest bucket must hold all that is left of them.
        manifest = self.manifest.with_values(dataset=self.dataset.with_values(max_length=self.max_length))
        return self.family.serving_module(self.model, manifest, self.experiment.task, self.vocabulary)


def load_trained(folder: str, precision: Precision | None = None) -> Trained:
    """Loads the best checkpoint of a model folder that training wrote.

    Args:
        folder: the model folder.
        precision: what it is to compute in; None as it was trained.

    Raises:
        InputError: the folder is not whole, its model answers nothing, or it was trained without a dataset folder.
    """
    kind = ModelManifest.read(folder).experiment_type
    if kind is not None and not isinstance(family_of_type(kind), AnsweringFamily):
        raise InputError(
            f"{folder}: is a pre-trained model; fine-tune a task from it (task.init_checkpoint), then export that"
        )
    model, manifest, experiment = load_model(folder, dtype=precision and policy(precision))
    manifest.check_files(folder)
    dataset = manifest.dataset
    if dataset is None or manifest.task is None:
        raise InputError(
            f"{folder}: was trained without a dataset folder, so its texts' layout is not known; pass --dataset to training"
        )
    vocabulary = Vocabulary(
        (Path(folder) / dataset.vocabulary.file).read_bytes(), lower_case=dataset.vocabulary.lower_case
    )
    return Trained(
        precision or experiment.runtime.mixed_precision_dtype,
        model,
        manifest,
        manifest.task,
        dataset,
        experiment,
        vocabulary,
        answering_family(manifest.task),
    )


class TrainedPredictor(Predictor):
    """A model folder that training wrote, on raw text; it answers what its export does.

    Args:
        folder: the model folder.

    Raises:
        InputError: as `load_trained`; or Keras does not compute with TensorFlow, in whose graph texts are cut.
    """

    def __init__(self, folder: Path):
        if keras.backend.backend() != "tensorflow":
            raise InputError(
                f"{folder}: a trained model answers texts with Keras on TensorFlow, but Keras' backend is "
                f"{keras.backend.backend()}; export it (bigbird export) and load the export, or set KERAS_BACKEND=tensorflow"
            )
        self.trained = load_trained(str(folder))
        self._model = self.trained.module()
        function = self._model.signatures()["serving_default"]
        with without_gradients():
            concrete = function.get_concrete_function()
        positional, named = concrete.structured_input_signature
        self._answer_with(function, named or [spec.name for spec in positional])
