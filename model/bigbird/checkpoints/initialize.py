"""Starts a model from a checkpoint of any kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bigbird.checkpoints.native import named_weights
from bigbird.checkpoints.published import Checkpoint, read_checkpoint
from bigbird.config import BigBirdEncoderConfig
from bigbird.errors import InputError

if TYPE_CHECKING:
    import keras

_POOLER, _TYPES, _POSITIONS = (
    "encoder/pooler/",
    "encoder/embeddings/type/embeddings",
    "encoder/embeddings/position/embeddings",
)
_PRETRAINING = ("masked_lm/", "next_sentence/")  # heads that every kind computes alike
_KEY = "task.model.encoder.bigbird"

# What Hugging Face's config.json may say of the arithmetic; anything else is another model. Absent means the first.
_ARITHMETIC: dict[str, tuple[Any, ...]] = {
    "layer_norm_eps": (1e-12,),
    "rescale_embeddings": (False,),
    "use_bias": (True,),
    "position_embedding_type": ("absolute",),
}
_ACTIVATIONS = {"gelu": ("gelu_new", "gelu_fast", "gelu_pytorch_tanh"), "relu": ("relu",)}


def initialize_from(path: str, model: keras.Model, *, cls_pooler: bool = False) -> list[str]:
    """Gives a model a checkpoint's weights; the encoder must match fully.

    Args:
        path: any kind of checkpoint that `read_checkpoint` takes.
        model: built, with its encoder's configuration as `config`; its encoder's weights are replaced, its head's
            where name and shape agree.
        cls_pooler: starts the head's pooler from the encoder's pooler.

    Returns:
        What was not taken, a sentence per weight: weights left fresh, the checkpoint's that have no place here.

    Raises:
        InputError: no checkpoint there, or an encoder weight is missing, unexpected or of another shape.
    """
    config: BigBirdEncoderConfig = model.config
    checkpoint = read_checkpoint(str(path), config.num_attention_heads)
    stored, targets = checkpoint.weights, named_weights(model)
    notes = _check_settings(checkpoint, config)
    notes += _fit_types(checkpoint, targets) + _leave_other_heads(checkpoint, model, cls_pooler)
    if cls_pooler:
        for part in ("kernel", "bias"):
            if f"{_POOLER}{part}" not in stored:
                raise InputError(f"{checkpoint.source}: has no {_POOLER}{part}, which task.init_cls_pooler needs")
            stored[f"pooler_dense/{part}"] = stored[f"{_POOLER}{part}"]
    _check_encoder(checkpoint, targets)
    notes += [
        f"{name}: only in the checkpoint, left out" for name in sorted({*stored} - {*targets}) + checkpoint.left_out
    ]
    for name, variable in targets.items():
        if name not in stored:
            notes.append(f"{name}: not in the checkpoint, starts fresh")
        elif stored[name].shape != tuple(variable.shape):
            notes.append(f"{name}: {stored[name].shape} in the checkpoint, {tuple(variable.shape)} here, starts fresh")
        else:
            variable.assign(stored[name])
    return notes


def is_encoder(name: str) -> bool:
    """Whether a weight belongs to the encoder and not to a task's head."""
    return name.startswith("encoder/")


def _leave_other_heads(checkpoint: Checkpoint, model: keras.Model, cls_pooler: bool) -> list[str]:
    """Takes out a head that computes something else than the model's: Hugging Face's, or another task's."""
    stored = {name for name in checkpoint.weights if not is_encoder(name) and not name.startswith(_PRETRAINING)}
    targets = {name for name in named_weights(model) if not is_encoder(name)}
    theirs = "hugging_face" if checkpoint.kind == "hugging_face" else "model_garden"
    if checkpoint.kind != "bigbird" and stored and theirs != model.head:
        for name in stored:
            del checkpoint.weights[name]
        return [f"the {theirs} head: left out, as task.model.head is {model.head}"]
    given = {f"pooler_dense/{part}" for part in ("kernel", "bias")} if cls_pooler else set()
    if stored and stored | given != targets:  # a span's logits are not a class's, though there be two of either
        logits = [name for name in sorted(stored) if name.startswith("logits/")]
        for name in logits:
            del checkpoint.weights[name]
        return [f"{name}: of another head, left out" for name in logits]
    return []


def _fit_types(checkpoint: Checkpoint, targets: dict[str, Any]) -> list[str]:
    """google-research and Hugging Face have 2 token types where the Model Garden has 16; the rest starts fresh."""
    from keras import ops

    table, variable = checkpoint.weights.get(_TYPES), targets[_TYPES]
    if checkpoint.kind not in ("google_research", "hugging_face") or table is None or table.ndim != 2:
        return []
    rows, width = variable.shape
    if table.shape[0] >= rows or table.shape[1] != width:
        return []
    fresh = np.array(ops.convert_to_numpy(variable))
    fresh[: len(table)] = table
    checkpoint.weights[_TYPES] = fresh
    return [f"{_TYPES}: rows {len(table)} to {rows - 1} not in the checkpoint, start fresh"]


def _check_encoder(checkpoint: Checkpoint, targets: dict[str, Any]) -> None:
    """Raises unless the encoder's names and shapes agree on both sides; the pooler may be on one side only."""
    stored = {name: array for name, array in checkpoint.weights.items() if is_encoder(name)}
    model = {name: tuple(variable.shape) for name, variable in targets.items() if is_encoder(name)}
    problems = [
        f"{name}: {stored[name].shape} in the checkpoint, {model[name]} in the model{_remedy(name, stored[name])}"
        for name in sorted(stored.keys() & model.keys())
        if stored[name].shape != model[name]
    ]
    one_sided = {"model": model.keys() - stored.keys(), "checkpoint": stored.keys() - model.keys()}
    for side, missing in one_sided.items():
        optional = side == "checkpoint" or checkpoint.kind != "bigbird"
        problems += [
            f"{name}: only in the {side}" for name in sorted(missing) if not (optional and name.startswith(_POOLER))
        ]
    if problems:
        raise InputError(f"{checkpoint.source}: these weights are not this model's:\n  " + "\n  ".join(problems))


def _remedy(name: str, array: np.ndarray) -> str:
    if name == _POSITIONS:
        return f"; set {_KEY}.max_position_embeddings={len(array)} and seq_length to at most that"
    return f"; set {_KEY}.type_vocab_size={len(array)}" if name == _TYPES else ""


def _check_settings(checkpoint: Checkpoint, config: BigBirdEncoderConfig) -> list[str]:
    """Holds Hugging Face's config.json against ours: another arithmetic is refused, another pattern named."""
    settings = checkpoint.settings
    problems = [
        f"{key} is {settings[key]!r}; only {known[0]!r} is built here"
        for key, known in _ARITHMETIC.items()
        if settings.get(key, known[0]) not in known
    ]
    if settings.get("num_attention_heads", config.num_attention_heads) != config.num_attention_heads:
        problems.append(
            f"num_attention_heads is {settings['num_attention_heads']}, the model's {config.num_attention_heads}; "
            f"set {_KEY}.num_attention_heads={settings['num_attention_heads']}"
        )
    known = _ACTIVATIONS[config.hidden_activation]
    if settings.get("hidden_act", known[0]) not in known:
        problems.append(f"hidden_act is {settings['hidden_act']!r}; the model's is {known[0]!r}")
    if problems:
        raise InputError(f"{checkpoint.source}/config.json: " + "\n  ".join(problems))
    return [
        f"{theirs} is {settings[theirs]} in the checkpoint's config.json, {_KEY}.{ours} is {getattr(config, ours)} here"
        for theirs, ours in (("block_size", "block_size"), ("num_random_blocks", "num_rand_blocks"))
        if settings.get(theirs, getattr(config, ours)) != getattr(config, ours)
    ]
