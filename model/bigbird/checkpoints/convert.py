"""Converts checkpoints between all kinds, without a change to a bit of a weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from bigbird.checkpoints import names, native, places, settings
from bigbird.checkpoints.beside import Answers, Carried, Disk, answers_of, vocabulary_of
from bigbird.checkpoints.encoders import read_with_encoder
from bigbird.checkpoints.lengthen import advice
from bigbird.checkpoints.published import Checkpoint
from bigbird.config import BigBirdEncoderConfig
from bigbird.manifests import ConversionManifest
from bigbird.storage import check_output
from bigbird.support.artifacts import new_folder
from bigbird.support.errors import InputError
from bigbird.support.paths import plain_path
from bigbird.support.text_files import decode
from bigbird.text.files import examine_vocabulary
from bigbird.version import provenance

Target = Literal["bigbird", "google_research", "model_garden", "hugging_face"]
TARGETS: tuple[Target, ...] = get_args(Target)
TENSORFLOW_PREFIX = "ckpt"


@dataclass(frozen=True)
class Converted:
    """What a conversion did.

    Attributes:
        source: the kind read.
        checkpoint: what to name as init_checkpoint.
        encoder: sizes and pattern.
        weights: how many were written.
        left_out: names of weights that the target has no place for.
        notes: what was done to weights that are not as in the source, and what to do next.
    """

    source: str
    checkpoint: Path
    encoder: BigBirdEncoderConfig
    weights: int
    left_out: list[str]
    notes: list[str]


def convert(
    path: str,
    output: str,
    to: Target,
    *,
    num_heads: int | None = None,
    params: str | None = None,
    max_length: int | None = None,
    overwrite: bool = False,
) -> Converted:
    """Writes a checkpoint of any kind as another; a BERT becomes a BigBird.

    Args:
        path: as `read_checkpoint` takes it.
        output: folder to write: model.safetensors and params.yaml (ours), ckpt.index, ckpt.data-… and params.yaml
            (TensorFlow), model.safetensors and config.json (Hugging Face).
        to: the kind to write.
        num_heads: attention heads; default as the source says, or one for every 64 of the hidden size.
        params: YAML file with task.model.encoder.bigbird; what it says goes before what the source says.
        max_length: positions; a BERT's are repeated up to them. Default as the source has.
        overwrite: replaces what `output` holds, if a stage or a conversion wrote it.

    Raises:
        InputError: no checkpoint there, settings that do not fit the weights, or an output that is in use or holds what is read.
    """
    check_output(output, [path, *([params] if params else [])])
    given = _given(params)
    vocabulary = vocabulary_of(path)
    checkpoint, encoder = read_with_encoder(path, num_heads=num_heads, given=given, max_length=max_length)
    name = TENSORFLOW_PREFIX if to in ("google_research", "model_garden") else ""
    with new_folder(output, overwrite=overwrite) as folder:
        written = _WRITERS[to](checkpoint, encoder, answers_of(path, checkpoint), folder)
        left_out = sorted(set(checkpoint.weights) - written) + checkpoint.left_out
        manifest: dict[str, Any] = {
            "from": checkpoint.kind,
            "to": to,
            "weights": len(written),
            "left_out": left_out,
        }
        if vocabulary is not None:
            manifest["vocabulary"] = {"sha256": vocabulary.sha256, "lower_case": vocabulary.lower_case}
        if vocabulary is not None and vocabulary.file:
            _write_vocabulary(vocabulary, to, folder)
        ConversionManifest.model_validate(manifest | provenance()).write(folder)
    target = Path(output) / name
    notes = [*checkpoint.notes, *_unsaid(encoder, to), *advice(str(target), encoder, checkpoint.learnt)]
    return Converted(checkpoint.kind, target, encoder, len(written), left_out, notes)


def _unsaid(encoder: BigBirdEncoderConfig, to: Target) -> list[str]:
    """What the model computes and the target's own code does not, a sentence each."""
    code = {"model_garden": "the Model Garden's", "google_research": "google-research's"}.get(to)
    if code is None:
        return []
    default = BigBirdEncoderConfig()
    key = "task.model.encoder.bigbird"
    told = []
    if encoder.attention.implementation == "dense":
        told.append(
            f"the model attends fully at every length, which a {to} checkpoint does not say; training on it needs "
            f"{key}.attention.implementation=dense"
        )
    if encoder.hidden_activation == "gelu_erf" or encoder.layer_norm_epsilon != default.layer_norm_epsilon:
        told.append(
            f"the model computes {encoder.hidden_activation} and a layer norm's epsilon of {encoder.layer_norm_epsilon:g}, which "
            f"{code} code does not"
        )
    if to == "model_garden" and encoder.random_pattern != default.random_pattern:
        told.append(
            "the model's random blocks follow google-research's rule, which a model_garden checkpoint does not say; training "
            f"on it needs {key}.random_pattern=google_research"
        )
    return told


def _write_vocabulary(carried: Carried, to: Target, folder: Path) -> None:
    found = examine_vocabulary(carried.file, Disk())
    files = found.kind.stored(found.content, carried.file, carried.lower_case, hugging_face=to == "hugging_face")
    for name, written in files.items():
        (folder / name).write_bytes(written)


def _given(params: str | None) -> dict[str, Any]:
    """What the file of --params says of the encoder."""
    if params is None:
        return {}
    if not places.exists(params) or places.isdir(params):
        raise InputError(f"--params {params}: no such file")
    return settings.from_params(decode(places.read(params), params, "YAML in UTF-8"), params)


# ---------------------------------------------------------------------------------------------------- writers


def _task_of(weights: dict[str, np.ndarray]) -> Literal["classifier", "span"]:
    """Which task a head is of; without a layer under the logits it is the span labeler's, or a reused pooler's."""
    return "classifier" if "pooler_dense/kernel" in weights or "encoder/pooler/kernel" in weights else "span"


def _renamed(
    checkpoint: Checkpoint, encoder: BigBirdEncoderConfig, answers: Answers, kind: names.Kind
) -> tuple[dict[str, Any], set[str]]:
    """Arrays by their names (the encoder's without the shared prefix, under ""), and our names of those."""
    weights = checkpoint.weights
    # The Model Garden's heads and Hugging Face's compute something else: they are not each other's.
    as_hugging_face = answers.hugging_face or "output/kernel" in weights  # of ours, the span head shows it
    theirs = "hugging_face" if as_hugging_face else "model_garden"
    foreign = (theirs if checkpoint.kind == "bigbird" else names.head_of(checkpoint.kind)) != names.head_of(kind)
    heads = [
        weight
        for weight in names.head_weights(kind, _task_of(weights))
        if weight.ours in weights and not (foreign and not weight.ours.startswith(("masked_lm/", "next_sentence/")))
    ]
    body = [weight for weight in names.encoder_weights(kind, encoder.num_layers) if weight.ours in weights]
    prefix = names.prefix_of(kind) if heads or kind != "hugging_face" else ""
    arrays = {prefix + weight.theirs: names.to_theirs(kind, weight.sort, weights[weight.ours]) for weight in body} | {
        weight.theirs: names.to_theirs(kind, weight.sort, weights[weight.ours]) for weight in heads
    }
    return arrays, {weight.ours for weight in [*body, *heads]}


def _write_bigbird(checkpoint: Checkpoint, encoder: BigBirdEncoderConfig, _: Answers, folder: Path) -> set[str]:
    from safetensors.numpy import save_file

    save_file(checkpoint.weights, folder / native.MODEL_FILE)
    (folder / settings.PARAMS_FILE).write_text(settings.to_params(encoder, None), encoding="utf-8")
    return set(checkpoint.weights)


def _write_hugging_face(
    checkpoint: Checkpoint, encoder: BigBirdEncoderConfig, answers: Answers, folder: Path
) -> set[str]:
    from safetensors.numpy import save_file

    arrays, written = _renamed(checkpoint, encoder, answers, "hugging_face")
    save_file(arrays, folder / native.MODEL_FILE, metadata={"format": "pt"})
    architecture, labels = "BigBirdModel", None
    if "classifier.out_proj.weight" in arrays:
        classes = len(arrays["classifier.out_proj.bias"])
        architecture, labels = "BigBirdForSequenceClassification", _label_names(answers, classes)
    elif "qa_classifier.qa_outputs.weight" in arrays:
        architecture = "BigBirdForQuestionAnswering"
    elif "cls.predictions.bias" in arrays:
        architecture = "BigBirdForPreTraining" if "cls.seq_relationship.weight" in arrays else "BigBirdForMaskedLM"
    text = settings.to_hugging_face(encoder, architecture, labels, answers.kind)
    (folder / settings.CONFIG_FILE).write_text(text, encoding="utf-8")
    return written


def _label_names(answers: Answers, classes: int) -> list[str]:
    """Names of a classifier's outputs; where nothing says what they are, Hugging Face's own for that."""
    if len(answers.labels) == classes:
        return list(answers.labels)
    return ["number"] if answers.kind == "number" else [f"LABEL_{index}" for index in range(classes)]


def _write_google_research(
    checkpoint: Checkpoint, encoder: BigBirdEncoderConfig, answers: Answers, folder: Path
) -> set[str]:
    import tensorflow as tf

    arrays, written = _renamed(checkpoint, encoder, answers, "google_research")
    with plain_path(folder) as plain:
        tf.raw_ops.SaveV2(
            prefix=f"{plain}/{TENSORFLOW_PREFIX}",
            tensor_names=list(arrays),
            shape_and_slices=[""] * len(arrays),
            tensors=[tf.constant(array) for array in arrays.values()],
        )
    (folder / settings.PARAMS_FILE).write_text(settings.to_params(encoder, "google_research"), encoding="utf-8")
    return written


def _write_model_garden(
    checkpoint: Checkpoint, encoder: BigBirdEncoderConfig, answers: Answers, folder: Path
) -> set[str]:
    import tensorflow as tf

    arrays, written = _renamed(checkpoint, encoder, answers, "model_garden")
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *parents, last = name.split("/")
        node = tree
        for parent in parents:  # an object graph's names write "." as ".."
            node = node.setdefault(parent.replace("..", "."), {})
        node[last] = tf.Variable(array)

    def trackable(node: dict[str, Any]) -> Any:
        children = {name: trackable(child) if isinstance(child, dict) else child for name, child in node.items()}
        return tf.train.Checkpoint(**children)

    with plain_path(folder) as plain:
        trackable(tree).write(f"{plain}/{TENSORFLOW_PREFIX}")
    (folder / settings.PARAMS_FILE).write_text(settings.to_params(encoder, "model_garden"), encoding="utf-8")
    return written


_WRITERS: dict[Target, Callable[[Checkpoint, BigBirdEncoderConfig, Answers, Path], set[str]]] = {
    "bigbird": _write_bigbird,
    "google_research": _write_google_research,
    "model_garden": _write_model_garden,
    "hugging_face": _write_hugging_face,
}
