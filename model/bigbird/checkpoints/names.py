"""What each published checkpoint calls our weights, and how it lays them out.

Sources of the names: `bert/…` google-research/bigbird `core/modeling.py`; `layer_with_weights-…` the object graph of the
Model Garden's `projects/bigbird/models/encoder.py`; `embeddings.…` Hugging Face `models/big_bird/modeling_big_bird.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["google_research", "model_garden", "hugging_face"]
KINDS: tuple[Kind, ...] = ("google_research", "model_garden", "hugging_face")

# A part's weights: ours, then each kind's name for them (in the order of KINDS).
_SUFFIXES = {
    "table": (("/embeddings", "", "/embeddings", ".weight"),),
    "norm": (("/gamma", "/gamma", "/gamma", ".weight"), ("/beta", "/beta", "/beta", ".bias")),
    "dense": (("/kernel", "/kernel", "/kernel", ".weight"), ("/bias", "/bias", "/bias", ".bias")),
}
_SUFFIXES["whole"] = _SUFFIXES["rows"] = (("", "", "", ""),)
_SUFFIXES["heads"] = _SUFFIXES["from_heads"] = _SUFFIXES["dense"]

# Ours, its sort, and what google-research, the Model Garden and Hugging Face call it. {i} is the layer from 0, {j} is
# i + 4 and {p} is the number of layers + 4: the Model Garden counts layers with weights, the embeddings being 0 to 3.
_ENCODER = (
    ("embeddings/word", "table", "embeddings/word_embeddings", "layer_with_weights-0", "embeddings.word_embeddings"),
    (
        "embeddings/position", "table",
        "embeddings/position_embeddings", "layer_with_weights-1", "embeddings.position_embeddings",
    ),
    (
        "embeddings/type", "table",
        "embeddings/token_type_embeddings", "layer_with_weights-2", "embeddings.token_type_embeddings",
    ),
    ("embeddings/layer_norm", "norm", "encoder/LayerNorm", "layer_with_weights-3", "embeddings.LayerNorm"),
    ("pooler", "dense", "pooler/dense", "layer_with_weights-{p}", "pooler"),
)  # fmt: skip
_LAYER = (
    ("attention/query", "heads", "attention/self/query", "_attention_layer/_query_dense", "attention.self.query"),
    ("attention/key", "heads", "attention/self/key", "_attention_layer/_key_dense", "attention.self.key"),
    ("attention/value", "heads", "attention/self/value", "_attention_layer/_value_dense", "attention.self.value"),
    (
        "attention/output", "from_heads",
        "attention/output/dense", "_attention_layer/_output_dense", "attention.output.dense",
    ),
    ("attention_layer_norm", "norm", "attention/output/LayerNorm", "_attention_layer_norm", "attention.output.LayerNorm"),
    ("intermediate", "dense", "intermediate/dense", "_intermediate_dense", "intermediate.dense"),
    ("output", "dense", "output/dense", "_output_dense", "output.dense"),
    ("output_layer_norm", "norm", "output/LayerNorm", "_output_layer_norm", "output.LayerNorm"),
)  # fmt: skip
_LAYER_PREFIXES = ("layer_{i}/", "encoder/layer_{i}/", "layer_with_weights-{j}/", "encoder.layer.{i}.")

# Heads: ours, its sort, and its whole name in google-research, the Model Garden and Hugging Face ("" where it has none).
# The two pretraining heads first. The Model Garden's second `logits` are the span labeler's.
_HEADS = (
    ("masked_lm/dense", "dense", "cls/predictions/transform", "", "cls.predictions.transform.dense"),
    ("masked_lm/layer_norm", "norm", "cls/predictions/transform", "", "cls.predictions.transform.LayerNorm"),
    ("masked_lm/bias", "whole", "cls/predictions/output_bias", "", "cls.predictions.bias"),
    ("next_sentence/kernel", "rows", "cls/seq_relationship/output_weights", "", "cls.seq_relationship.weight"),
    ("next_sentence/bias", "whole", "cls/seq_relationship/output_bias", "", "cls.seq_relationship.bias"),
)
_TASK_HEADS: dict[str, tuple[tuple[str, str, str, str, str], ...]] = {
    "classifier": (
        ("pooler_dense", "dense", "", "sentence_prediction..pooler_dense", "classifier.dense"),
        ("logits", "dense", "", "model/layer_with_weights-1/out_proj", "classifier.out_proj"),
    ),
    "span": (
        ("intermediate", "dense", "", "", "qa_classifier.intermediate.dense"),
        ("output", "dense", "", "", "qa_classifier.output.dense"),
        ("output_layer_norm", "norm", "", "", "qa_classifier.output.LayerNorm"),
        ("logits", "dense", "", "model/layer_with_weights-1/layer_with_weights-0", "qa_classifier.qa_outputs"),
    ),
}


@dataclass(frozen=True)
class Weight:
    """One weight.

    Attributes:
        ours: path in our checkpoints.
        theirs: name in one published kind; an encoder's, without the prefix that all of its names share.
        sort: table, norm, dense, heads (a dense layer into heads), from_heads, whole (one name, one array) or rows
            (one name, one array, (out, in) in every kind that has it).
    """

    ours: str
    theirs: str
    sort: str


def encoder_weights(kind: Kind, num_layers: int) -> list[Weight]:
    """The encoder's weights as one kind names them, in our order."""
    column = 2 + KINDS.index(kind)
    weights = []

    def add(row: tuple[str, ...], prefixes: tuple[str, ...], **numbers: int) -> None:
        for suffixes in _SUFFIXES[row[1]]:
            ours = f"encoder/{prefixes[0]}{row[0]}{suffixes[0]}"
            theirs = f"{prefixes[column - 1]}{row[column]}{suffixes[column - 1]}"
            weights.append(Weight(ours.format(**numbers), theirs.format(**numbers), row[1]))

    for row in _ENCODER:
        add(row, ("",) * 4, p=num_layers + 4)
    for index in range(num_layers):
        for row in _LAYER:
            add(row, _LAYER_PREFIXES, i=index, j=index + 4)
    return weights


def head_weights(kind: Kind, task: Literal["classifier", "span"] | None = None) -> list[Weight]:
    """The weights of one kind's heads: the pretraining heads, and those of one task, or of both without one."""
    column = 1 + KINDS.index(kind)
    rows = [*_HEADS, *(row for name, rows in _TASK_HEADS.items() if task in (None, name) for row in rows)]
    return [
        Weight(f"{row[0]}{suffixes[0]}", f"{row[column + 1]}{suffixes[column]}", row[1])
        for row in rows
        if row[column + 1]
        for suffixes in _SUFFIXES[row[1]]
    ]


def to_ours(kind: Kind, sort: str, array: np.ndarray, num_heads: int) -> np.ndarray:
    """A stored array in our layout.

    Kernels of ours are (in, out), (in, heads, size) and (heads, size, out); Hugging Face's are (out, in), and both it
    and google-research join heads and size. An array that does not fit is given back as it is, to be refused by shape.
    """
    if array.ndim == 2 and _is_transposed(kind, sort):
        array = array.T
    if kind == "model_garden" or sort not in ("heads", "from_heads"):
        return np.ascontiguousarray(array)
    if sort == "heads" and array.ndim <= 2 and array.shape[-1] % num_heads == 0:
        array = array.reshape(*array.shape[:-1], num_heads, array.shape[-1] // num_heads)
    if sort == "from_heads" and array.ndim == 2 and array.shape[0] % num_heads == 0:
        array = array.reshape(num_heads, array.shape[0] // num_heads, array.shape[1])
    return np.ascontiguousarray(array)


def to_theirs(kind: Kind, sort: str, array: np.ndarray) -> np.ndarray:
    """The reverse of `to_ours`."""
    if kind != "model_garden":
        if sort == "heads":
            array = array.reshape(*array.shape[:-2], -1)
        elif sort == "from_heads" and array.ndim == 3:
            array = array.reshape(-1, array.shape[-1])
        if array.ndim == 2 and _is_transposed(kind, sort):
            array = array.T
    return np.ascontiguousarray(array)


def _is_transposed(kind: Kind, sort: str) -> bool:
    """Whether a kernel is stored (out, in): Hugging Face's all, and google-research's next-sentence head ("rows")."""
    return sort == "rows" or (kind == "hugging_face" and sort in ("dense", "heads", "from_heads"))
