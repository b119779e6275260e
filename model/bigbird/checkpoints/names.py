"""What each published checkpoint calls our weights, and how it lays them out.

Sources of the names: `bert/…` google-research/bigbird `core/modeling.py`; `layer_with_weights-…` the object graph of the
Model Garden's `projects/bigbird/encoder.py`; `embeddings.…` Hugging Face `models/big_bird/modeling_big_bird.py`.
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

# Heads: ours, its sort, the kind it is of, and its whole name there.
_HEADS: tuple[tuple[str, str, Kind, str], ...] = (
    ("pooler_dense", "dense", "model_garden", "sentence_prediction..pooler_dense"),
    ("logits", "dense", "model_garden", "model/layer_with_weights-1/out_proj"),
    ("logits", "dense", "model_garden", "model/layer_with_weights-1/layer_with_weights-0"),  # of the span labeler
    ("pooler_dense", "dense", "hugging_face", "classifier.dense"),
    ("logits", "dense", "hugging_face", "classifier.out_proj"),
    ("intermediate", "dense", "hugging_face", "qa_classifier.intermediate.dense"),
    ("output", "dense", "hugging_face", "qa_classifier.output.dense"),
    ("output_layer_norm", "norm", "hugging_face", "qa_classifier.output.LayerNorm"),
    ("logits", "dense", "hugging_face", "qa_classifier.qa_outputs"),
)


@dataclass(frozen=True)
class Weight:
    """One weight.

    Attributes:
        ours: path in our checkpoints.
        theirs: name in one published kind; an encoder's, without the prefix that all of its names share.
        sort: table, norm, dense, heads (into heads) or from_heads.
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


def head_weights(kind: Kind) -> list[Weight]:
    """The weights of the heads that one kind publishes."""
    column = 1 + KINDS.index(kind)
    return [
        Weight(f"{ours}{suffixes[0]}", f"{theirs}{suffixes[column]}", sort)
        for ours, sort, of, theirs in _HEADS
        if of == kind
        for suffixes in _SUFFIXES[sort]
    ]


def to_ours(kind: Kind, sort: str, array: np.ndarray, num_heads: int) -> np.ndarray:
    """A stored array in our layout.

    Kernels of ours are (in, out), (in, heads, size) and (heads, size, out); Hugging Face's are (out, in), and both it
    and google-research join heads and size. An array that does not fit is given back as it is, to be refused by shape.
    """
    if kind == "hugging_face" and array.ndim == 2 and sort in ("dense", "heads", "from_heads"):
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
        if kind == "hugging_face" and array.ndim == 2 and sort != "table":
            array = array.T
    return np.ascontiguousarray(array)
