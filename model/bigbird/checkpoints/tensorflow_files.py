"""Reads TensorFlow's checkpoints: google-research's, by names, and the Model Garden's, by objects."""

from __future__ import annotations

import re

import numpy as np

from bigbird.checkpoints import names, places, settings
from bigbird.checkpoints.checkpoint import BERT_POSITIONS, NUMBER, Checkpoint, count_layers, finish_bert, renamed
from bigbird.checkpoints.settings import PARAMS_FILE
from bigbird.support.errors import InputError
from bigbird.support.text_files import decode

TF_POINTER = "checkpoint"  # TensorFlow's file that names a folder's newest checkpoint
# Optimizer slots and counters, of TF1's AdamWeightDecay, Adafactor and BERT's own optimizers.
_SLOT = re.compile(r"(^|/)(adam_[mv]|Adam(_\d+)?|Adafactor\w*|AdamWeightDecayOptimizer\w*|global_step)(/|$)")
_COUNTERS = ("optimizer/", "global_step", "save_counter")  # the same in object based checkpoints
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
# Where an object graph has the encoder, in training checkpoints the first of them that came.
_ENCODERS = ("encoder/", "model/encoder/", "model/", "")


def prefix_of_path(path: str) -> str:
    """What the names of a TensorFlow checkpoint's files begin with, of which a path may be one."""
    return re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", path)


def newest_prefix(folder: str, files: set[str]) -> str | None:
    """The prefix that the folder's `checkpoint` file names, or that of its only .index file."""
    import tensorflow as tf

    if TF_POINTER in files:
        with places.readable(folder, only=TF_POINTER) as plain:
            state = tf.train.get_checkpoint_state(plain)
        newest = state.model_checkpoint_path if state else ""
        if newest.startswith(f"{plain}/"):
            newest = f"{folder}/{newest.removeprefix(f'{plain}/')}"
        if newest and places.exists(f"{newest}.index"):
            return newest
    found = sorted(name.removesuffix(".index") for name in files if name.endswith(".index"))
    if len(found) > 1:
        raise InputError(f"{folder}: holds several checkpoints ({', '.join(found)}); name one: {folder}/{found[-1]}")
    return f"{folder}/{found[0]}" if found else None


def read_tensorflow(prefix: str, num_heads: int) -> Checkpoint:
    """Reads a checkpoint, its kind told by its names.

    Args:
        prefix: what the names of its files begin with.
        num_heads: attention heads, where the checkpoint does not have them.

    Raises:
        InputError: it is not whole, or holds no encoder that is known.
    """
    with places.readable(prefix) as plain:
        return _read_prefix(plain, prefix, num_heads)


def _read_prefix(plain: str, prefix: str, num_heads: int) -> Checkpoint:
    """Reads the checkpoint at `plain`; messages name it `prefix`."""
    import tensorflow as tf

    unreadable = (tf.errors.OpError, ValueError, RuntimeError, IndexError)
    try:
        reader = tf.compat.v1.train.NewCheckpointReader(plain)
        stored = sorted(reader.get_variable_to_shape_map())
    except unreadable as error:
        raise InputError(f"{prefix}: not a whole TensorFlow checkpoint ({error})") from None

    def tensor(name: str) -> np.ndarray:
        try:
            return reader.get_tensor(name)
        except unreadable as error:
            raise InputError(f"{prefix}: {name} cannot be read; is the data file whole? ({error})") from None

    if _GRAPH in stored:
        keys = {
            key.removesuffix(_VALUE): key for key in stored if key.endswith(_VALUE) and "/.OPTIMIZER_SLOT" not in key
        }
        values = {key: tensor(full) for key, full in keys.items() if not key.startswith(_COUNTERS)}
        return _from_object_graph(prefix, values, num_heads)
    values = {_with_prefix(name): tensor(name) for name in stored if not _SLOT.search(name)}
    layers = count_layers(prefix, re.compile(rf"bert/encoder/layer_({NUMBER})/"), values)
    kind: names.Theirs = "google_bert" if "bert/embeddings/LayerNorm/gamma" in values else "google_research"
    found = renamed(kind, prefix, values, re.compile("bert/"), layers, num_heads)
    return finish_bert(found, "output_weights" in values)


def _from_object_graph(prefix: str, values: dict[str, np.ndarray], num_heads: int) -> Checkpoint:
    """The Model Garden's: BigBird, or BERT as a functional model or (v2) as a layer."""
    tables = "layer_with_weights-1/embeddings", "_position_embedding_layer/embeddings"
    inner = next((p for p in _ENCODERS for table in tables if p + table in values), "")
    positions = next((values[inner + table] for table in tables if inner + table in values), np.zeros((0, 0)))
    kind: names.Theirs = "model_garden"
    if inner + tables[1] in values:
        kind = "model_garden_bert_v2"
    elif 0 < len(positions) <= BERT_POSITIONS and not _says_bigbird(prefix):
        kind = "model_garden_bert"
    # A model in pre-training has its words under the head's name.
    words = values.pop("masked_lm/embedding_table", None)
    if words is not None:
        table = names.encoder_weights(kind, 0)[0].theirs
        values.setdefault(inner + table, words)
    layer = re.compile(re.escape(inner) + rf"(?:layer_with_weights-|_transformer_layers/)({NUMBER})/_attention_layer/")
    numbers = {int(match[1]) for key in values if (match := layer.match(key))}
    found = renamed(kind, prefix, values, re.compile(re.escape(inner)), len(numbers), num_heads)
    return finish_bert(found, "model/layer_with_weights-1/out_proj/kernel" in values)


def _says_bigbird(prefix: str) -> bool:
    """Whether the params.yaml beside a checkpoint is a BigBird's."""
    file = f"{prefix.rpartition('/')[0] or '.'}/{PARAMS_FILE}"
    return places.exists(file) and bool(settings.from_params(decode(places.read(file), file, "YAML in UTF-8"), file))


def _with_prefix(name: str) -> str:
    """google-research's masked-language-model head is stored with or without this prefix."""
    return f"cls/predictions/{name}" if name.startswith("transform/") else name
