"""Starts a model from a checkpoint of any kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bigbird.checkpoints import names as kinds
from bigbird.checkpoints.beside import HeadFacts, head_facts, settings_of
from bigbird.checkpoints.checkpoint import Checkpoint
from bigbird.checkpoints.lengthen import advice, is_bert, lengthen
from bigbird.checkpoints.native import named_weights
from bigbird.checkpoints.reading import read_checkpoint
from bigbird.config import ENCODER_KEY, BigBirdEncoderConfig
from bigbird.support.errors import InputError
from bigbird.support.text_files import shown

if TYPE_CHECKING:
    import keras

_POOLER = "encoder/pooler/"

# What changes what the weights compute. The second are the attention pattern's, which a dense model has no use for.
_COMPUTATION = ("hidden_activation", "layer_norm_epsilon", "num_attention_heads")
_PATTERN = ("block_size", "num_rand_blocks", "random_range", "random_pattern")


def initialize_from(
    path: str,
    model: keras.Model,
    *,
    cls_pooler: bool = False,
    checkpoint: Checkpoint | None = None,
    longest: int | None = None,
) -> list[str]:
    """Gives a model a checkpoint's weights; the encoder must match fully, but that a BERT's positions fill the model's.

    Args:
        path: any kind of checkpoint that `read_checkpoint` takes.
        model: built, with its encoder's configuration as `config`; its encoder's weights are replaced, its head's
            where name and shape agree. Or an encoder by itself.
        cls_pooler: starts the head's pooler from the encoder's pooler.
        checkpoint: what was read from `path` already, with the model's number of heads; it is changed.
        longest: tokens of an input, at most, which what is said depends on; None: as many as the model has positions.

    Returns:
        What was not taken as it is, a sentence per weight: repeated rows, weights left fresh, the checkpoint's that have no
        place here; and what one should know who trains a model that was a BERT.

    Raises:
        InputError: no checkpoint there, an encoder weight is missing, unexpected or of another shape, or the checkpoint's
            own settings are others than the model's.
    """
    config: BigBirdEncoderConfig = model.config
    checkpoint = checkpoint or read_checkpoint(str(path), config.num_attention_heads)
    stored, targets = checkpoint.weights, _targets(model)
    _check_settings(str(path), checkpoint, config)
    if is_bert(checkpoint):
        lengthen(checkpoint, config.max_position_embeddings, config.type_vocab_size)
        _place_pooler(checkpoint, set(targets))
    notes = [*checkpoint.notes, *_fit_types(checkpoint, targets)]
    notes += _leave_other_heads(checkpoint, head_facts(str(path), checkpoint), model, set(targets), cls_pooler)
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
    return notes + advice(str(path), config, checkpoint.learnt, longest)


def _targets(model: keras.Model) -> dict[str, Any]:
    """A model's variables as checkpoints name them, an encoder's too."""
    weights = named_weights(model)
    prefix = "" if any(map(is_encoder, weights)) else "encoder/"
    return {f"{prefix}{name}": variable for name, variable in weights.items()}


def is_encoder(name: str) -> bool:
    """Whether a weight belongs to the encoder and not to a task's head."""
    return name.startswith("encoder/")


def _place_pooler(checkpoint: Checkpoint, names: set[str]) -> None:
    """Gives a BERT's classifier the place that its pooler has in the model: the encoder's, or one of its own."""
    own = [f"pooler_dense/{part}" for part in ("kernel", "bias")]
    if f"{_POOLER}kernel" in names and not names & set(own):
        for name in own:
            if name in checkpoint.weights:
                checkpoint.weights[f"{_POOLER}{name.rpartition('/')[2]}"] = checkpoint.weights.pop(name)


def _leave_other_heads(
    checkpoint: Checkpoint, facts: HeadFacts, model: keras.Model, names: set[str], cls_pooler: bool
) -> list[str]:
    """Takes out a head that computes something else than the model's: of another kind or pooling, or another task's."""
    stored = {name for name in checkpoint.weights if kinds.is_of_a_task(name)}
    targets = {name for name in names if not is_encoder(name)}
    if not targets:
        return []
    head, pooling = getattr(model, "head", None), getattr(model, "pooling", "cls")
    comparable = checkpoint.kind != "bigbird" or (facts.head and head is not None)
    if stored and comparable and (facts.head, facts.pooling) != (head, pooling):
        for name in stored:
            del checkpoint.weights[name]
        if head is None:
            return [f"the {facts.head} head: left out, as it is another task's"]
        if facts.head != head:
            return [f"the {facts.head} head: left out, as task.model.head is {head}"]
        return [f"the head on pooling {facts.pooling}: left out, as task.model.pooling is {pooling}"]
    given = {f"pooler_dense/{part}" for part in ("kernel", "bias")} if cls_pooler else set()
    if stored and stored | given != targets:  # the two logits of a span are not those of two classes
        logits = [name for name in sorted(stored) if name.startswith("logits/")]
        for name in logits:
            del checkpoint.weights[name]
        return [f"{name}: of another head, left out" for name in logits]
    return []


def _fit_types(checkpoint: Checkpoint, targets: dict[str, Any]) -> list[str]:
    """google-research, Hugging Face and BERT have 2 token types where the Model Garden has 16; the rest starts fresh."""
    from keras import ops

    table, variable = checkpoint.weights.get(kinds.TYPES), targets[kinds.TYPES]
    if checkpoint.kind in ("bigbird", "model_garden") or table is None or table.ndim != 2:
        return []
    rows, width = variable.shape
    if table.shape[0] >= rows or table.shape[1] != width:
        return []
    fresh = np.array(ops.convert_to_numpy(variable))
    fresh[: len(table)] = table
    checkpoint.weights[kinds.TYPES] = fresh
    return [f"{kinds.TYPES}: rows {len(table)} to {rows - 1} not in the checkpoint, start fresh"]


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
    if name == kinds.POSITIONS:
        return f"; set {ENCODER_KEY}.max_position_embeddings={len(array)} and seq_length to at most that"
    if name == kinds.WORDS:
        return f"; make the dataset with the checkpoint's vocabulary, and set {ENCODER_KEY}.vocab_size={len(array)} if that has fewer pieces"
    return f"; set {ENCODER_KEY}.type_vocab_size={len(array)}" if name == kinds.TYPES else ""


def _check_settings(path: str, checkpoint: Checkpoint, config: BigBirdEncoderConfig) -> None:
    """Raises unless what the checkpoint says of its encoder is what the model has: other settings compute other values."""
    said, source = settings_of(path, checkpoint)
    attention = said.get("attention")
    dense, ours = "dense", config.attention.implementation
    theirs = attention.get("implementation", ours) if isinstance(attention, dict) else ours
    found = [(key, said[key], getattr(config, key)) for key in _COMPUTATION if key in said]
    if (theirs == dense) != (ours == dense):  # the other implementations compute the same
        found.append(("attention.implementation", theirs, ours))
    elif ours != dense:
        found += [(key, said[key], getattr(config, key)) for key in _PATTERN if key in said]
        found += _full_lengths(said, config)
    problems = [
        f"{key} is {shown(value, 40)} there, {shown(own)} here; set {ENCODER_KEY}.{key}={_yaml(value)}"
        for key, value, own in found
        if value != own
    ]
    if problems:
        pattern = any(key not in _COMPUTATION and value != own for key, value, own in found)
        on_purpose = "\nTo go on with another attention pattern on purpose, write the checkpoint with it first: bigbird convert --params"
        raise InputError(
            f"{checkpoint.source}: these settings ({source}) are not this model's:\n  "
            + "\n  ".join(problems)
            + (on_purpose if pattern else "")
        )


def _full_lengths(said: dict[str, Any], config: BigBirdEncoderConfig) -> list[tuple[str, Any, Any]]:
    """`full_attention_max_length` on both sides, if it makes a difference: null is as long as the random blocks need."""
    key, ours = "full_attention_max_length", config.full_attention_max_length
    default = config.least_full_attention
    same = key not in said or (said[key] or default) == (ours or default)
    return [] if same else [(key, said[key], ours)]


def _yaml(value: Any) -> str:
    return "null" if value is None else str(value)[:40]
