"""An encoder's sizes and pattern as each kind of checkpoint carries them beside its weights.

Hugging Face has config.json, google-research's BERT bert_config.json. For the others this project writes params.yaml, an
overlay of `task.model.encoder` in the Model Garden's form, which the training stage and the Model Garden both take as a
configuration file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from bigbird.checkpoints.names import POSITIONS, TYPES, WORDS, Kind, Theirs
from bigbird.config import ENCODER_KEY, BigBirdEncoderConfig
from bigbird.config.section import Amount, Count, Fraction, Number, Positive
from bigbird.support.errors import InputError
from bigbird.support.text_files import problem_list, shown
from bigbird.support.validation import problem_words
from bigbird.support.yaml_files import dump_yaml, parse_yaml_mapping

PARAMS_FILE, CONFIG_FILE, BERT_CONFIG_FILE = "params.yaml", "config.json", "bert_config.json"

# Hugging Face's model_type -> the kind whose names and arithmetic such a model has.
_MODEL_TYPES: dict[str, Theirs] = {
    "big_bird": "hugging_face",
    "bert": "hugging_face_bert",
    "roberta": "hugging_face_roberta",
    "xlm-roberta": "hugging_face_roberta",
    "camembert": "hugging_face_roberta",
}

# Ours -> Hugging Face's, for what the two call differently or alike.
_HUGGING_FACE = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_position_embeddings": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
    "initializer_range": "initializer_range",
    "block_size": "block_size",
    "num_rand_blocks": "num_random_blocks",
    "dropout_rate": "hidden_dropout_prob",
    "attention_dropout_rate": "attention_probs_dropout_prob",
}
# Hugging Face's names of one form are all computed alike; the first is written.
_ACTIVATIONS = {
    "gelu": ("gelu_new", "gelu_fast", "gelu_pytorch_tanh"),
    "gelu_erf": ("gelu", "gelu_python"),
    "relu": ("relu",),
}
# What a kind of BERT computes where its file says nothing, under our names.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "hugging_face_bert": {"hidden_activation": "gelu_erf", "layer_norm_epsilon": 1e-12},
    "hugging_face_roberta": {"hidden_activation": "gelu_erf", "layer_norm_epsilon": 1e-5},
    "google_bert": {"hidden_activation": "gelu", "layer_norm_epsilon": 1e-12},
    "model_garden_bert": {"hidden_activation": "gelu", "layer_norm_epsilon": 1e-12},
    "model_garden_bert_v2": {"hidden_activation": "gelu", "layer_norm_epsilon": 1e-12},
}
_PATTERN = ("random_range", "random_pattern", "full_attention_max_length")  # what only this project knows
# What config.json may say of the arithmetic; anything else is another model. Absent means the first.
_ARITHMETIC: dict[str, tuple[Any, ...]] = {
    "hidden_act": tuple(name for names in _ACTIVATIONS.values() for name in names),
    "rescale_embeddings": (False,),
    "use_bias": (True,),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "is_encoder_decoder": (False,),
}
# Hugging Face's number of heads of a model whose config.json does not say it.
_USUAL_HEADS = 12
_FULL = "original_full"  # Hugging Face's attention_type of a model that never attends sparsely: `dense` here
_EXTRA = "bigbird_pipelines"  # the key of config.json that holds those


SPECIAL_IDS = ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id")
"""Keys of config.json for ids of special pieces. Where they are absent, Hugging Face takes its published BigBird's: its span model finds the
end of the question by that of [SEP]."""

PROBLEM_TYPES = {
    "single": "single_label_classification",
    "multi": "multi_label_classification",
    "number": "regression",
}
"""Kind of a classifier's answer -> Hugging Face's name for it, which chooses the loss of its training."""


class _Config(BaseModel):
    """What is read of a config.json or bert_config.json. Each key may be left out; none may be null."""

    model_config = ConfigDict(extra="ignore", strict=True)

    vocab_size: Positive = 1
    hidden_size: Positive = 1
    num_hidden_layers: Positive = 1
    num_attention_heads: Positive = 1
    intermediate_size: Positive = 1
    max_position_embeddings: Positive = 1
    type_vocab_size: Positive = 1
    block_size: Positive = 1
    num_random_blocks: Count = 0
    initializer_range: Amount = 0.0
    hidden_dropout_prob: Fraction = 0.0
    attention_probs_dropout_prob: Fraction = 0.0
    layer_norm_eps: Annotated[Number, Field(gt=0.0)] = 1.0


_SHOWS_IN = {
    "vocab_size": (WORDS, 0),
    "hidden_size": (WORDS, 1),
    "max_position_embeddings": (POSITIONS, 0),
    "type_vocab_size": (TYPES, 0),
    "intermediate_size": ("encoder/layer_0/intermediate/kernel", 1),
}


_LAYER = re.compile(r"encoder/layer_(\d+)/")


def sizes_of(weights: dict[str, np.ndarray]) -> dict[str, int]:
    """The sizes that show in an encoder's weights, all but the heads where those are joined; fewer where weights are missing."""
    found = {
        size: weights[name].shape[axis]
        for size, (name, axis) in _SHOWS_IN.items()
        if name in weights and weights[name].ndim == 2
    }
    layers = {match[1] for name in weights if (match := _LAYER.match(name))}
    return found | ({"num_layers": len(layers)} if layers else {})


def their_name(ours: str, file: str) -> str:
    """What a file of settings calls one of ours.

    Args:
        ours: a key of `BigBirdEncoderConfig`.
        file: the file's name.

    Returns:
        Hugging Face's name in a JSON file, else ours.
    """
    return _HUGGING_FACE.get(ours, ours) if file.endswith(".json") else ours


def to_hugging_face(
    encoder: BigBirdEncoderConfig,
    architecture: str,
    labels: Sequence[str] | None = None,
    kind: str = "",
    special_ids: Mapping[str, int] | None = None,
) -> str:
    """The text of a config.json.

    Args:
        encoder: sizes and pattern.
        architecture: Hugging Face's class.
        labels: names of a classifier's classes, all different; a number has one name of its own.
        kind: a key of `PROBLEM_TYPES`, or "" where it is not known.
        special_ids: of the vocabulary, by `SPECIAL_IDS`.
    """
    config: dict[str, Any] = {"architectures": [architecture], "model_type": "big_bird"}
    config |= {theirs: getattr(encoder, ours) for ours, theirs in _HUGGING_FACE.items()}
    config |= {
        "hidden_act": _ACTIVATIONS[encoder.hidden_activation][0],
        "layer_norm_eps": encoder.layer_norm_epsilon,
        "attention_type": _FULL if encoder.attention.implementation == "dense" else "block_sparse",
        "rescale_embeddings": False,
        "use_bias": True,
        # The rule is said always: where nothing says it, such a checkpoint means Hugging Face's own.
        _EXTRA: {
            name: getattr(encoder, name)
            for name in _PATTERN
            if name in encoder.model_fields_set or name == "random_pattern"
        },
    }
    config |= special_ids or {}
    if labels is not None:
        config["id2label"] = {str(index): label for index, label in enumerate(labels)}
        config["label2id"] = {label: index for index, label in enumerate(labels)}
        if kind:
            config["problem_type"] = PROBLEM_TYPES[kind]
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def model_kind(config: dict[str, Any], source: str) -> Theirs | None:
    """The kind of a config.json's `model_type`; None where it states none.

    Args:
        config: its content.
        source: its name, for messages.

    Raises:
        InputError: it is a model that is not built here.
    """
    if "model_type" not in config:
        return None
    stated = config["model_type"]
    if not isinstance(stated, str) or stated not in _MODEL_TYPES:
        raise InputError(f"{source}: model_type is {shown(stated, 40)}; only {', '.join(_MODEL_TYPES)} are built here")
    return _MODEL_TYPES[stated]


def unused_positions(config: dict[str, Any], kind: str, source: str) -> int:
    """Rows before the first position's in a table of positions: RoBERTa counts from the padding's id on.

    Args:
        config: a config.json's content.
        kind: of the checkpoint.
        source: the file's name, for messages.

    Raises:
        InputError: a RoBERTa's padding has no id that can be.
    """
    padding = config.get("pad_token_id", 1)
    if kind != "hugging_face_roberta" or padding is None:
        return 0
    if isinstance(padding, bool) or not isinstance(padding, int) or padding < 0:
        raise InputError(
            f"{source}: pad_token_id is {shown(padding, 40)}; expected a number of at least 0. Correct the file"
        )
    return padding + 1


def from_hugging_face(config: dict[str, Any], kind: str = "hugging_face") -> dict[str, Any]:
    """What a config.json or bert_config.json says of the encoder, under our names; may be less than all.

    Args:
        config: its content.
        kind: of the checkpoint.
    """
    found = _DEFAULTS.get(kind, {}) | {
        ours: config[theirs] for ours, theirs in _HUGGING_FACE.items() if theirs in config
    }
    if config and kind.startswith("hugging_face"):
        found.setdefault("num_attention_heads", _USUAL_HEADS)
    if isinstance(found.get("max_position_embeddings"), int):
        found["max_position_embeddings"] -= unused_positions(config, kind, "config.json")
    if "layer_norm_eps" in config:
        found["layer_norm_epsilon"] = config["layer_norm_eps"]
    tanh = not kind.startswith("hugging_face") and config.get("hidden_act") == "gelu"  # their own form
    for ours, theirs in _ACTIVATIONS.items():
        if config.get("hidden_act") in theirs and not tanh:
            found["hidden_activation"] = ours
    if "attention_type" in config:
        found["attention"] = {"implementation": "dense" if config["attention_type"] == _FULL else "auto"}
    extra = config.get(_EXTRA, {})
    return found | {name: extra[name] for name in _PATTERN if isinstance(extra, dict) and name in extra}


def check_config(config: dict[str, Any], source: str) -> None:
    """Refuses a config.json with a value that cannot be, or of a model that computes something that is not built here.

    Args:
        config: its content.
        source: its name, for messages.

    Raises:
        InputError: lists every such key.
    """
    try:
        _Config.model_validate(config)
    except ValidationError as error:
        told = problem_list([problem_words(problem, _Config) for problem in error.errors(include_url=False)], "\n  ")
        raise InputError(f"{source}: {told}\nCorrect the file, or get it again where the weights come from") from None
    problems = [
        f"{key} is {shown(config[key], 40)}; only {' or '.join(map(repr, known))} is built here"
        for key, known in _ARITHMETIC.items()
        if config.get(key, known[0]) not in known
    ]
    if problems:
        raise InputError(f"{source}: " + "\n  ".join(problems))


def to_params(encoder: BigBirdEncoderConfig, kind: Kind | None) -> str:
    """The text of a params.yaml, without what nobody said of the pattern and what the Model Garden does not know of it."""
    hidden = {"size", *(set(_PATTERN) - encoder.model_fields_set)}
    if kind == "google_research":
        hidden.discard("random_pattern")  # where nothing says it, such a checkpoint means google-research's own
    if encoder.layer_norm_epsilon == BigBirdEncoderConfig.model_fields["layer_norm_epsilon"].default:
        hidden.add("layer_norm_epsilon")
    if kind is not None or encoder.attention.implementation != "dense":  # the others are a run's own choice
        hidden.add("attention")
    if kind == "model_garden":
        hidden |= set(_PATTERN)
    tree = {"type": "bigbird", "bigbird": encoder.model_dump(mode="json", exclude=hidden)}
    return dump_yaml({"task": {"model": {"encoder": tree}}})


_Known = create_model(
    "_Known",
    __config__=ConfigDict(extra="ignore"),
    **{name: (field.annotation, field) for name, field in BigBirdEncoderConfig.model_fields.items()},  # type: ignore[call-overload]
)


def known(stated: Mapping[str, Any], source: str) -> dict[str, Any]:
    """An encoder's settings, each checked by itself and of the type that it must have; keys that are none are left out.

    Args:
        stated: keys of `task.model.encoder.bigbird`.
        source: who says so, for messages.

    Raises:
        InputError: lists every value that cannot be.
    """
    try:
        return _Known.model_validate(dict(stated)).model_dump(exclude_unset=True)
    except ValidationError as error:
        prefix = tuple(ENCODER_KEY.split("."))
        told = [problem_words(problem, _Known, prefix) for problem in error.errors(include_url=False)]
        raise InputError(f"{source}: {problem_list(told)}") from None


def from_params(text: str, source: str) -> dict[str, Any]:
    """The encoder of a params.yaml, or of one of our config.yaml files: what is known here of it.

    Raises:
        InputError: not YAML, no such tree, or a value that cannot be.
    """
    tree: Any = parse_yaml_mapping(text, source, f"a mapping with {ENCODER_KEY}")
    for key in ENCODER_KEY.split("."):
        tree = tree.get(key, {})
        if not isinstance(tree, dict):
            raise InputError(f"{source}: no {ENCODER_KEY} in it, {key} is {shown(tree)}; expected a mapping")
    return tree
