"""Converts checkpoints between all kinds, without a change to a bit of a weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bigbird.checkpoints import names, native, places, settings
from bigbird.checkpoints.beside import Disk, HeadFacts, head_facts, vocabulary_of
from bigbird.checkpoints.checkpoint import Checkpoint
from bigbird.checkpoints.encoders import read_with_encoder
from bigbird.checkpoints.lengthen import advice
from bigbird.checkpoints.names import Target
from bigbird.config import ENCODER_KEY, BigBirdEncoderConfig
from bigbird.manifests import ConversionManifest
from bigbird.storage import check_output
from bigbird.support.errors import InputError
from bigbird.support.new_folders import new_folder
from bigbird.support.paths import plain_path
from bigbird.support.text_files import decode, problem_list
from bigbird.support.validation import unknown_key
from bigbird.text.files import Examined, examine_vocabulary
from bigbird.version import provenance

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
        num_heads: attention heads, where the source does not say; default of google-research's one for every 64 of the hidden size.
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
    facts = head_facts(path, checkpoint)
    found = examine_vocabulary(vocabulary.file, Disk()) if vocabulary is not None and vocabulary.file else None
    notes = [*checkpoint.notes, *_vocabulary_notes(found, checkpoint, encoder)]
    if found is not None:
        facts = replace(facts, special_ids=found.kind.special_ids(found.content, found.file))
    with new_folder(output, overwrite=overwrite) as folder:
        written = _WRITERS[to](checkpoint, encoder, facts, folder)
        left_out = sorted(set(checkpoint.weights) - written) + checkpoint.left_out
        manifest: dict[str, Any] = {
            "from": checkpoint.kind,
            "to": to,
            "weights": len(written),
            "left_out": left_out,
        }
        if vocabulary is not None:
            manifest["vocabulary"] = {"sha256": vocabulary.sha256, "lower_case": vocabulary.lower_case}
        if to == "bigbird" and facts.head and any(map(names.is_of_a_task, written)):
            manifest["head"] = {"kind": facts.head, "pooling": facts.pooling, "task": facts.task}
        if vocabulary is not None and found is not None:
            _write_vocabulary(found, vocabulary.lower_case, to, folder)
        ConversionManifest.model_validate(manifest | provenance()).write(folder)
    target = Path(output) / name
    notes += _unsaid(encoder, to)
    if "logits/kernel" in written and facts.scale not in (None, (0.0, 1.0)):
        mean, deviation = facts.scale
        notes.append(
            f"the head gives (number - {mean:g}) / {deviation:g}, as it was trained, which a {to} checkpoint does not say: multiply what it "
            f"gives by {deviation:g} and add {mean:g}"
        )
    lower_case = vocabulary is not None and vocabulary.lower_case
    if to == "hugging_face" and lower_case and found is not None and not found.kind.hugging_face_lower_cases:
        notes.append(
            "text was lower-cased before it was cut into pieces, which Hugging Face's tokenizer of such a vocabulary does not do: give it "
            "lower-cased text"
        )
    notes += advice(str(target), encoder, checkpoint.learnt)
    return Converted(checkpoint.kind, target, encoder, len(written), left_out, notes)


def _vocabulary_notes(found: Examined | None, checkpoint: Checkpoint, encoder: BigBirdEncoderConfig) -> list[str]:
    """What one should know of the vocabulary beside the weights.

    Raises:
        InputError: it has more pieces than the weights have rows of word embeddings.
    """
    if found is None:
        if checkpoint.kind not in names.BERTS:  # published BigBirds have none beside them
            return []
        told = "no vocabulary is written, as none of a kind that is read lies beside the weights"
        return [f"{told}; `bigbird run` and `bigbird preprocess` take theirs as --vocabulary"]
    pieces, rows = found.kind.count_pieces(found.content, found.file), encoder.vocab_size
    if pieces > rows:
        raise InputError(
            f"{found.file}: has {pieces:,} pieces, and the weights beside it {rows:,} rows of word embeddings; expected the "
            "vocabulary that they were trained with. Put that there, or take this one out of the folder"
        )
    if 0 < pieces < rows:
        return [f"{found.file}: has {pieces:,} pieces; the other {rows - pieces:,} rows of word embeddings are unused"]
    return []


def _unsaid(encoder: BigBirdEncoderConfig, to: Target) -> list[str]:
    """What the model computes and the target's own code does not, a sentence each."""
    if to == "bigbird":
        return []
    code = {"model_garden": "the Model Garden's", "google_research": "google-research's"}.get(to, "Hugging Face's")
    default = BigBirdEncoderConfig()
    told = []
    if to != "hugging_face" and encoder.attention.implementation == "dense":
        told.append(
            f"the model attends fully at every length, which a {to} checkpoint does not say; training on it needs "
            f"{ENCODER_KEY}.attention.implementation=dense"
        )
    if to != "hugging_face" and (
        encoder.hidden_activation == "gelu_erf" or encoder.layer_norm_epsilon != default.layer_norm_epsilon
    ):
        told.append(
            f"the model computes {encoder.hidden_activation} and a layer norm's epsilon of {encoder.layer_norm_epsilon:g}, which "
            f"{code} code does not"
        )
    sparse = encoder.full_attention_threshold < encoder.max_position_embeddings
    if to == "model_garden" and sparse and encoder.random_pattern != default.random_pattern:
        told.append(
            "the model's random blocks follow google-research's rule, which a model_garden checkpoint does not say; training "
            f"on it needs {ENCODER_KEY}.random_pattern=google_research"
        )
    if to != "model_garden" and sparse and encoder.random_pattern == "model_garden":
        told.append(
            f"the model's random blocks follow the Model Garden's rule; {code} code takes others at lengths other than 1,024, 2,048, 3,072 "
            "and 4,096"
        )
    usual = encoder.least_full_attention
    if encoder.attention.implementation != "dense" and encoder.full_attention_threshold > usual:
        told.append(
            f"the model attends fully up to {encoder.full_attention_threshold:,} tokens, {code} code only up to {usual:,}"
        )
    return told


def _write_vocabulary(found: Examined, lower_case: bool | None, to: Target, folder: Path) -> None:
    files = found.kind.stored(found.content, found.file, lower_case, hugging_face=to == "hugging_face")
    for name, written in files.items():
        (folder / name).write_bytes(written)


# Of the encoder in the Model Garden's own files, and without a meaning here.
_NOT_OURS = ("embedding_width", "norm_first")


def _given(params: str | None) -> dict[str, Any]:
    """What the file of --params says of the encoder."""
    if params is None:
        return {}
    if not places.exists(params) or places.isdir(params):
        raise InputError(f"--params {params}: no such file")
    given = settings.from_params(decode(places.read(params), params, "YAML in UTF-8"), params)
    if not given:
        raise InputError(f"--params {params}: holds no {ENCODER_KEY}; expected the encoder's settings under these keys")
    known, prefix = (*BigBirdEncoderConfig.model_fields, *_NOT_OURS), tuple(ENCODER_KEY.split("."))
    unknown = [unknown_key((key,), BigBirdEncoderConfig, prefix) for key in given if key not in known]
    if unknown:
        raise InputError(f"--params {params}: {problem_list(unknown)}")
    return settings.known(given, f"--params {params}")


# ---------------------------------------------------------------------------------------------------- writers


def _task_of(weights: dict[str, np.ndarray]) -> names.Task:
    """Which task a head is of where nothing says so; without a layer under the logits the span labeler's, or a reused pooler's."""
    return "classifier" if "pooler_dense/kernel" in weights or "encoder/pooler/kernel" in weights else "span"


def _renamed(
    checkpoint: Checkpoint, encoder: BigBirdEncoderConfig, facts: HeadFacts, kind: names.Kind
) -> tuple[dict[str, Any], set[str]]:
    """Arrays by their names (the encoder's without the shared prefix, under ""), and our names of those."""
    weights = checkpoint.weights
    # The Model Garden's heads and Hugging Face's compute something else: they are not each other's. Nobody else has TriviaQA's, or
    # takes the mean of all tokens. Where nothing says whose it is, a layer under a span's logits may be either's.
    theirs = facts.head or ("" if "output/kernel" in weights else "model_garden")
    foreign = theirs != names.head_of(kind) or facts.pooling == "mean"
    heads = [
        weight
        for weight in names.head_weights(kind, facts.task or _task_of(weights))
        if weight.ours in weights and not (foreign and names.is_of_a_task(weight.ours))
    ]
    body = [weight for weight in names.encoder_weights(kind, encoder.num_layers) if weight.ours in weights]
    prefix = names.prefix_of(kind) if heads or kind != "hugging_face" else ""
    arrays = {prefix + weight.theirs: names.to_theirs(kind, weight.sort, weights[weight.ours]) for weight in body} | {
        weight.theirs: names.to_theirs(kind, weight.sort, weights[weight.ours]) for weight in heads
    }
    return arrays, {weight.ours for weight in [*body, *heads]}


def _write_bigbird(checkpoint: Checkpoint, encoder: BigBirdEncoderConfig, _: HeadFacts, folder: Path) -> set[str]:
    native.write_arrays(folder / native.MODEL_FILE, checkpoint.weights)
    (folder / settings.PARAMS_FILE).write_text(settings.to_params(encoder, None), encoding="utf-8")
    return set(checkpoint.weights)


def _write_hugging_face(
    checkpoint: Checkpoint, encoder: BigBirdEncoderConfig, facts: HeadFacts, folder: Path
) -> set[str]:
    arrays, written = _renamed(checkpoint, encoder, facts, "hugging_face")
    native.write_arrays(folder / native.MODEL_FILE, arrays, {"format": "pt"})
    architecture, labels = "BigBirdModel", None
    if "classifier.out_proj.weight" in arrays:
        classes = len(arrays["classifier.out_proj.bias"])
        architecture, labels = "BigBirdForSequenceClassification", _label_names(facts, classes)
    elif "qa_classifier.qa_outputs.weight" in arrays:
        architecture = "BigBirdForQuestionAnswering"
    elif "cls.predictions.bias" in arrays:
        architecture = "BigBirdForPreTraining" if "cls.seq_relationship.weight" in arrays else "BigBirdForMaskedLM"
    text = settings.to_hugging_face(encoder, architecture, labels, facts.kind, facts.special_ids)
    (folder / settings.CONFIG_FILE).write_text(text, encoding="utf-8")
    return written


def _label_names(facts: HeadFacts, classes: int) -> list[str]:
    """Names of a classifier's outputs; where nothing says what they are, Hugging Face's own for that."""
    if len(facts.labels) == classes:
        return list(facts.labels)
    return ["number"] if facts.kind == "number" else [f"LABEL_{index}" for index in range(classes)]


def _write_google_research(
    checkpoint: Checkpoint, encoder: BigBirdEncoderConfig, facts: HeadFacts, folder: Path
) -> set[str]:
    import tensorflow as tf

    arrays, written = _renamed(checkpoint, encoder, facts, "google_research")
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
    checkpoint: Checkpoint, encoder: BigBirdEncoderConfig, facts: HeadFacts, folder: Path
) -> set[str]:
    import tensorflow as tf

    arrays, written = _renamed(checkpoint, encoder, facts, "model_garden")
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


_WRITERS: dict[Target, Callable[[Checkpoint, BigBirdEncoderConfig, HeadFacts, Path], set[str]]] = {
    "bigbird": _write_bigbird,
    "google_research": _write_google_research,
    "model_garden": _write_model_garden,
    "hugging_face": _write_hugging_face,
}
