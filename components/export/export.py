"""Writes a SavedModel with its signatures described; the folder appears once a fresh process got the recorded answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bigbird.manifests import DatasetManifest, SavedModelManifest, SignatureFacts, TensorFacts
from bigbird.serving.saved_model import as_recorded
from bigbird.storage import check_output
from bigbird.support.artifacts import write_json
from bigbird.support.errors import InputError
from bigbird.support.native_stderr import hidden_native_stderr
from bigbird.support.new_folders import new_folder
from bigbird.support.paths import plain_path
from bigbird.support.precision import Precision
from bigbird.version import provenance
from bigbird_components.export.checker import Checker
from bigbird_components.export.request import recorded_request

if TYPE_CHECKING:
    import tensorflow as tf

# How to ask the model, as signature.json says it; needs neither this project nor Keras.
EXAMPLE = """\
import tensorflow as tf, tensorflow_text
model = tf.saved_model.load(FOLDER)
answers = model.signatures["serving_default"]({arguments})
"""


def export(
    model: str,
    output: str,
    dataset: str | None = None,
    overwrite: bool = False,
    model_uri: str | None = None,
    precision: Precision | None = None,
) -> SavedModelManifest:
    """Exports a model folder's best checkpoint.

    Args:
        model: model folder that training wrote.
        output: folder to write; must be new or empty unless `overwrite`. Beside the SavedModel it gets request.json
            and response.json, what was asked and answered when it was written, and signature.json.
        dataset: its dataset folder; must have the model's vocabulary. Its examples become the recorded request.
        overwrite: replaces what `output` holds.
        model_uri: where others find the model folder, as the manifest's `trained_model` says it; default `model`.
        precision: what the SavedModel computes in; default as it was trained.

    Returns:
        The manifest, as written to signature.json.

    Raises:
        InputError: the model folder is not whole, or the dataset is another task's or vocabulary's, or the output folder holds
            what is read.
        RuntimeError: the SavedModel, loaded by itself, does not give the recorded answers.
    """
    import tensorflow as tf

    from bigbird.layers.own_gradient import without_gradients
    from bigbird.serving.trained import load_trained

    check_output(output, [model, *([dataset] if dataset else [])])
    trained = load_trained(model, precision)
    manifest, family = trained.manifest, trained.family
    given = None if dataset is None else DatasetManifest.read(dataset)
    if given is not None:
        _check_dataset(trained.dataset, given, str(dataset))
    with Checker() as checker, new_folder(output, overwrite=overwrite) as folder, hidden_native_stderr():
        module = trained.module()
        signatures: dict[str, Any] = module.signatures()
        with without_gradients():
            concrete = {name: function.get_concrete_function() for name, function in signatures.items()}
        fields = tuple(concrete["serving_default"].structured_input_signature[1] or _names(concrete["serving_default"]))
        request = recorded_request(family, dataset, given, fields)
        with plain_path(folder) as plain, without_gradients():  # it traces again what a module keeps itself
            tf.saved_model.save(module, plain, signatures=concrete)  # traced once, not again to be saved
        response = signatures["serving_default"](**{name: tf.constant(texts) for name, texts in request.items()})
        (folder / "assets").mkdir(exist_ok=True)
        (folder / "assets" / trained.vocabulary.file).write_bytes(trained.vocabulary.serialized)
        write_json(folder / "request.json", request)
        write_json(folder / "response.json", {name: as_recorded(value.numpy()) for name, value in response.items()})
        checker.check(folder)
        described = SavedModelManifest(
            task=trained.task,
            labels=manifest.labels,
            decisions=manifest.decisions,
            metrics=manifest.metrics,
            buckets=list(trained.experiment.task.buckets),
            max_length=trained.max_length,
            vocabulary=trained.dataset.vocabulary,
            dataset=trained.dataset,
            precision=trained.precision,
            trained_model=model_uri or model,
            signatures={name: _describe(function, family.signature_meanings()) for name, function in concrete.items()},
            example=EXAMPLE.format(arguments=", ".join(f'{name}=tf.constant(["..."])' for name in fields)),
            **provenance(),
        )
        return described.write(folder)


def _check_dataset(trained_on: DatasetManifest, given: DatasetManifest, folder: str) -> None:
    for name, expected, found in (
        ("task", trained_on.task, given.task),
        ("vocabulary", trained_on.vocabulary.sha256, given.vocabulary.sha256),
    ):
        if expected != found:
            raise InputError(
                f"{folder}: its {name} is {found}, but the model was trained on {expected}; pass the model's own dataset"
            )


def _names(function: tf.types.experimental.ConcreteFunction) -> list[str]:
    return [spec.name for spec in function.structured_input_signature[0]]


def _describe(function: tf.types.experimental.ConcreteFunction, meanings: Mapping[str, str]) -> SignatureFacts:
    """Names, dtypes, shapes (null is any size) and meanings of what goes in and comes out."""
    positional, named = function.structured_input_signature
    inputs = {spec.name: spec for spec in positional} | dict(named)

    def described(specs: Mapping[str, Any]) -> dict[str, TensorFacts]:
        return {
            name: TensorFacts(dtype=spec.dtype.name, shape=list(spec.shape), meaning=meanings[name])
            for name, spec in specs.items()
        }

    return SignatureFacts(inputs=described(inputs), outputs=described(function.structured_outputs))
