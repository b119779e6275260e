"""What each kind of checkpoint calls our weights, and how it lays them out.

Sources of the names: google-research/bigbird `core/modeling.py`; the object graph of the Model Garden's
`projects/bigbird/models/encoder.py` and of its `nlp/modeling/networks/bert_encoder.py`; Hugging Face
`models/big_bird/modeling_big_bird.py`, `models/bert/modeling_bert.py` and `models/roberta/modeling_roberta.py`;
google-research/bert `modeling.py`, `run_pretraining.py`, `run_classifier.py` and `run_squad.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Literal, cast, get_args

import numpy as np

Kind = Literal["google_research", "model_garden", "hugging_face"]
"""BigBird as others publish it: read and written."""

Bert = Literal["google_bert", "model_garden_bert", "model_garden_bert_v2", "hugging_face_bert", "hugging_face_roberta"]
"""Models of BERT's kind, which become a BigBird: read only."""

Theirs = Kind | Bert

Target = Literal["bigbird", "google_research", "model_garden", "hugging_face"]
TARGETS: tuple[Target, ...] = get_args(Target)
"""What a checkpoint may be converted to: ours, or a `Kind`."""

# What a sort of part consists of in our checkpoints.
_OURS = {
    "table": ("/embeddings",),
    "norm": ("/gamma", "/beta"),
    "dense": ("/kernel", "/bias"),
    "heads": ("/kernel", "/bias"),
    "from_heads": ("/kernel", "/bias"),
    "whole": ("",),
    "rows": ("",),
}

# Our parts and their sorts. {i} is the layer, from 0.
_ENCODER = {
    "embeddings/word": "table",
    "embeddings/position": "table",
    "embeddings/type": "table",
    "embeddings/layer_norm": "norm",
    "pooler": "dense",
}
_LAYER = {
    "attention/query": "heads",
    "attention/key": "heads",
    "attention/value": "heads",
    "attention/output": "from_heads",
    "attention_layer_norm": "norm",
    "intermediate": "dense",
    "output": "dense",
    "output_layer_norm": "norm",
}
_HEADS = {
    "masked_lm/dense": "dense",
    "masked_lm/layer_norm": "norm",
    "masked_lm/bias": "whole",
    "next_sentence/kernel": "rows",
    "next_sentence/bias": "whole",
}
_TASK_HEADS = {
    "pooler_dense": "dense",
    "intermediate": "dense",
    "output": "dense",
    "output_layer_norm": "norm",
    "logits": "dense",
    "logits/kernel": "rows",  # where its two arrays have names of their own
    "logits/bias": "whole",
}
Task = Literal["classifier", "span"]


@dataclass(frozen=True)
class Naming:
    """How one kind names our parts; a part that it lacks is not in its tables.

    Attributes:
        suffixes: what it puts behind a part's name, by the part's sort.
        encoder: our part of `_ENCODER` -> its name. {p} is the number of layers + 4.
        layer: our part of `_LAYER` -> its name, behind `layer_prefix`.
        layer_prefix: {i} is the layer from 0, {j} is i + 4.
        heads: our part of `_HEADS` -> its whole name.
        tasks: the same for the heads of tasks.
        prefix: what it writes before all names of an encoder.
        transposed: sorts whose kernels it stores (out, in).
        joined: whether heads and their size are one dimension.
    """

    suffixes: dict[str, tuple[str, ...]]
    encoder: dict[str, str]
    layer: dict[str, str]
    layer_prefix: str
    heads: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, dict[str, str]] = field(default_factory=dict)
    prefix: str = ""
    transposed: frozenset[str] = frozenset({"rows"})
    joined: bool = True


_GOOGLE_RESEARCH = Naming(
    suffixes=_OURS | {"table": ("",)},
    prefix="bert/",
    encoder={
        "embeddings/word": "embeddings/word_embeddings",
        "embeddings/position": "embeddings/position_embeddings",
        "embeddings/type": "embeddings/token_type_embeddings",
        "embeddings/layer_norm": "encoder/LayerNorm",
        "pooler": "pooler/dense",
    },
    layer_prefix="encoder/layer_{i}/",
    layer={
        "attention/query": "attention/self/query",
        "attention/key": "attention/self/key",
        "attention/value": "attention/self/value",
        "attention/output": "attention/output/dense",
        "attention_layer_norm": "attention/output/LayerNorm",
        "intermediate": "intermediate/dense",
        "output": "output/dense",
        "output_layer_norm": "output/LayerNorm",
    },
    heads={
        "masked_lm/dense": "cls/predictions/transform",
        "masked_lm/layer_norm": "cls/predictions/transform",
        "masked_lm/bias": "cls/predictions/output_bias",
        "next_sentence/kernel": "cls/seq_relationship/output_weights",
        "next_sentence/bias": "cls/seq_relationship/output_bias",
    },
)

# The Model Garden counts layers with weights, the embeddings being 0 to 3. Its second `logits` are the span labeler's.
_MODEL_GARDEN = Naming(
    suffixes=_OURS,
    prefix="encoder/",
    encoder={
        "embeddings/word": "layer_with_weights-0",
        "embeddings/position": "layer_with_weights-1",
        "embeddings/type": "layer_with_weights-2",
        "embeddings/layer_norm": "layer_with_weights-3",
        "pooler": "layer_with_weights-{p}",
    },
    layer_prefix="layer_with_weights-{j}/",
    layer={
        "attention/query": "_attention_layer/_query_dense",
        "attention/key": "_attention_layer/_key_dense",
        "attention/value": "_attention_layer/_value_dense",
        "attention/output": "_attention_layer/_output_dense",
        "attention_layer_norm": "_attention_layer_norm",
        "intermediate": "_intermediate_dense",
        "output": "_output_dense",
        "output_layer_norm": "_output_layer_norm",
    },
    tasks={
        "classifier": {
            "pooler_dense": "sentence_prediction..pooler_dense",
            "logits": "model/layer_with_weights-1/out_proj",
        },
        "span": {"logits": "model/layer_with_weights-1/layer_with_weights-0"},
    },
    joined=False,
)

_HUGGING_FACE = Naming(
    suffixes={
        "table": (".weight",),
        "norm": (".weight", ".bias"),
        "dense": (".weight", ".bias"),
        "heads": (".weight", ".bias"),
        "from_heads": (".weight", ".bias"),
        "whole": ("",),
        "rows": ("",),
    },
    prefix="bert.",
    encoder={
        "embeddings/word": "embeddings.word_embeddings",
        "embeddings/position": "embeddings.position_embeddings",
        "embeddings/type": "embeddings.token_type_embeddings",
        "embeddings/layer_norm": "embeddings.LayerNorm",
        "pooler": "pooler",
    },
    layer_prefix="encoder.layer.{i}.",
    layer={
        "attention/query": "attention.self.query",
        "attention/key": "attention.self.key",
        "attention/value": "attention.self.value",
        "attention/output": "attention.output.dense",
        "attention_layer_norm": "attention.output.LayerNorm",
        "intermediate": "intermediate.dense",
        "output": "output.dense",
        "output_layer_norm": "output.LayerNorm",
    },
    heads={
        "masked_lm/dense": "cls.predictions.transform.dense",
        "masked_lm/layer_norm": "cls.predictions.transform.LayerNorm",
        "masked_lm/bias": "cls.predictions.bias",
        "next_sentence/kernel": "cls.seq_relationship.weight",
        "next_sentence/bias": "cls.seq_relationship.bias",
    },
    tasks={
        "classifier": {"pooler_dense": "classifier.dense", "logits": "classifier.out_proj"},
        "span": {
            "intermediate": "qa_classifier.intermediate.dense",
            "output": "qa_classifier.output.dense",
            "output_layer_norm": "qa_classifier.output.LayerNorm",
            "logits": "qa_classifier.qa_outputs",
        },
    },
    transposed=frozenset({"rows", "dense", "heads", "from_heads"}),
)

_HUGGING_FACE_BERT = replace(
    _HUGGING_FACE,
    encoder=_HUGGING_FACE.encoder | {"pooler": "pooler.dense"},
    tasks={"classifier": {"logits": "classifier"}, "span": {"logits": "qa_outputs"}},
)

_MODEL_GARDEN_BERT = replace(
    _MODEL_GARDEN,
    heads={
        "masked_lm/dense": "masked_lm/dense",
        "masked_lm/layer_norm": "masked_lm/layer_norm",
        "masked_lm/bias": "masked_lm/output_bias.Sbias",  # an object graph's names write "/" as ".S"
    },
)

_NAMINGS: dict[Theirs, Naming] = {
    "google_research": _GOOGLE_RESEARCH,
    "model_garden": _MODEL_GARDEN,
    "hugging_face": _HUGGING_FACE,
    "google_bert": replace(
        _GOOGLE_RESEARCH,
        encoder=_GOOGLE_RESEARCH.encoder | {"embeddings/layer_norm": "embeddings/LayerNorm"},
        heads=_GOOGLE_RESEARCH.heads
        | {
            "masked_lm/dense": "cls/predictions/transform/dense",
            "masked_lm/layer_norm": "cls/predictions/transform/LayerNorm",
        },
        tasks={
            "classifier": {"logits/kernel": "output_weights", "logits/bias": "output_bias"},
            "span": {"logits/kernel": "cls/squad/output_weights", "logits/bias": "cls/squad/output_bias"},
        },
    ),
    "model_garden_bert": _MODEL_GARDEN_BERT,
    "model_garden_bert_v2": replace(
        _MODEL_GARDEN_BERT,
        encoder={
            "embeddings/word": "_embedding_layer",
            "embeddings/position": "_position_embedding_layer",
            "embeddings/type": "_type_embedding_layer",
            "embeddings/layer_norm": "_embedding_norm_layer",
            "pooler": "_pooler_layer",
        },
        layer_prefix="_transformer_layers/{i}/",
    ),
    "hugging_face_bert": _HUGGING_FACE_BERT,
    "hugging_face_roberta": replace(
        _HUGGING_FACE_BERT,
        prefix="roberta.",
        heads={
            "masked_lm/dense": "lm_head.dense",
            "masked_lm/layer_norm": "lm_head.layer_norm",
            "masked_lm/bias": "lm_head.bias",
        },
        tasks=_HUGGING_FACE_BERT.tasks | {"classifier": _HUGGING_FACE.tasks["classifier"]},
    ),
}

BERTS: tuple[str, ...] = get_args(Bert)

WORDS, POSITIONS, TYPES = (f"encoder/embeddings/{table}/embeddings" for table in ("word", "position", "type"))
"""Our names of the tables."""


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


def prefix_of(kind: Theirs) -> str:
    """What one kind writes before all names of an encoder."""
    return _NAMINGS[kind].prefix


def joins_heads(kind: str) -> bool:
    """Whether a kind does not say how many heads there are: "bigbird" and the Model Garden's do."""
    return kind in _NAMINGS and _NAMINGS[kind].joined  # type: ignore[index]


def head_of(kind: str) -> Literal["model_garden", "hugging_face"]:
    """Whose way a kind's task heads compute: `task.model.head`. BERT's classifiers are the Model Garden's, and its span head."""
    return "hugging_face" if kind == "hugging_face" else "model_garden"


def encoder_weights(kind: Theirs, num_layers: int) -> list[Weight]:
    """The encoder's weights as one kind names them, in our order."""
    naming = _NAMINGS[kind]
    weights = _weights(naming, _ENCODER, naming.encoder, "encoder/", "", p=num_layers + 4)
    for index in range(num_layers):
        numbers = {"i": index, "j": index + 4}
        weights += _weights(naming, _LAYER, naming.layer, "encoder/layer_{i}/", naming.layer_prefix, **numbers)
    return weights


def head_weights(kind: Theirs, task: Task | None = None) -> list[Weight]:
    """The weights of one kind's heads: the pretraining heads, and those of one task, or of both without one."""
    naming = _NAMINGS[kind]
    weights = _weights(naming, _HEADS, naming.heads, "", "")
    for name, parts in naming.tasks.items():
        if task in (None, name):
            weights += _weights(naming, _TASK_HEADS, parts, "", "")
    return weights


def is_of_a_task(ours: str) -> bool:
    """Whether a weight of ours is of a task's head; all kinds compute the encoder and the heads of pre-training alike."""
    return not ours.startswith(("encoder/", "masked_lm/", "next_sentence/"))


def task_of(kind: Theirs, stored: Collection[str]) -> Task | None:
    """Which task's head is among weights by their names; None where none is, or one of both."""
    naming, found = _NAMINGS[kind], set[Task]()
    for task, parts in naming.tasks.items():
        if any(weight.theirs in stored for weight in _weights(naming, _TASK_HEADS, parts, "", "")):
            found.add(cast(Task, task))
    return found.pop() if len(found) == 1 else None


def _weights(
    naming: Naming, sorts: dict[str, str], parts: dict[str, str], ours: str, theirs: str, **numbers: int
) -> list[Weight]:
    """The weights of some parts, with what comes before their names."""
    return [
        Weight(f"{ours}{part}{own}".format(**numbers), f"{theirs}{parts[part]}{suffix}".format(**numbers), sort)
        for part, sort in sorts.items()
        if part in parts
        for own, suffix in zip(_OURS[sort], naming.suffixes[sort], strict=True)
    ]


def to_ours(kind: Theirs, sort: str, array: np.ndarray, num_heads: int) -> np.ndarray:
    """A stored array in our layout.

    Kernels of ours are (in, out), (in, heads, size) and (heads, size, out); Hugging Face's are (out, in), and both it
    and google-research join heads and size. An array that does not fit is given back as it is, to be refused by shape.
    """
    naming = _NAMINGS[kind]
    if array.ndim == 2 and sort in naming.transposed:
        array = array.T
    return np.ascontiguousarray(_split(sort, array, num_heads) if naming.joined else array)


def _split(sort: str, array: np.ndarray, num_heads: int) -> np.ndarray:
    """Heads and their size, which are one dimension, as two."""
    if sort == "heads" and array.ndim <= 2 and array.shape[-1] % num_heads == 0:
        return array.reshape(*array.shape[:-1], num_heads, array.shape[-1] // num_heads)
    if sort == "from_heads" and array.ndim == 2 and array.shape[0] % num_heads == 0:
        return array.reshape(num_heads, array.shape[0] // num_heads, array.shape[1])
    return array


def split_heads(weights: dict[str, np.ndarray], num_heads: int) -> None:
    """Gives arrays of ours, which were read with another number of heads, this one.

    Args:
        weights: by our names; an encoder's attention is changed. What does not fit stays, to be refused by shape.
        num_heads: attention heads.
    """
    for name, array in weights.items():
        _, _, part = name.rpartition("/attention/")
        sort = _LAYER.get(f"attention/{part.rpartition('/')[0]}", "")
        if sort == "heads" and array.ndim >= 2 and part.endswith(("kernel", "bias")):
            weights[name] = _split(sort, array.reshape(*array.shape[:-2], -1), num_heads)
        elif sort == "from_heads" and array.ndim == 3:
            weights[name] = _split(sort, array.reshape(-1, array.shape[-1]), num_heads)


def to_theirs(kind: Kind, sort: str, array: np.ndarray) -> np.ndarray:
    """The reverse of `to_ours`."""
    naming = _NAMINGS[kind]
    if naming.joined and sort == "heads":
        array = array.reshape(*array.shape[:-2], -1)
    elif naming.joined and sort == "from_heads" and array.ndim == 3:
        array = array.reshape(-1, array.shape[-1])
    if array.ndim == 2 and sort in naming.transposed:
        array = array.T
    return np.ascontiguousarray(array)
