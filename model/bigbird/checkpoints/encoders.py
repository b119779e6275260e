"""A checkpoint with its encoder's configuration, which is put together from what lies beside the weights and from their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bigbird.checkpoints import names, settings
from bigbird.checkpoints.beside import settings_of
from bigbird.checkpoints.lengthen import LEAST_TYPES, is_bert, lengthen, with_full_attention
from bigbird.checkpoints.published import Checkpoint, read_checkpoint
from bigbird.config import ENCODER_KEY, BigBirdEncoderConfig, Task, replace
from bigbird.support.errors import InputError

HEAD_SIZE = 64  # of every published model; google-research stores neither it nor the number of heads

# What a model takes from its checkpoint where nobody says otherwise: all that decides what the weights are and compute.
TAKEN = (
    "vocab_size", "hidden_size", "num_layers", "num_attention_heads", "intermediate_size", "hidden_activation",
    "layer_norm_epsilon", "max_position_embeddings", "type_vocab_size", "block_size", "num_rand_blocks", "random_range",
    "random_pattern", "full_attention_max_length",
)  # fmt: skip
# BigBirds whose own code has another rule for the random blocks than the Model Garden's, and 2 types of tokens.
_PUBLISHED = ("google_research", "hugging_face")


def read_with_encoder(
    path: str,
    *,
    num_heads: int | None = None,
    given: Mapping[str, Any] | None = None,
    max_length: int | None = None,
) -> tuple[Checkpoint, BigBirdEncoderConfig]:
    """Reads a checkpoint of any kind.

    Args:
        path: as `read_checkpoint` takes it.
        num_heads: attention heads; default as the source says, or one for every 64 of the hidden size.
        given: settings of the encoder that go before what the source says.
        max_length: positions; a BERT's are repeated up to them. Default `given`'s, or as the source has.

    Raises:
        InputError: no checkpoint there, settings that do not fit the weights, arithmetic that is not built here, or
            more positions than a checkpoint has that is no BERT's.
    """
    checkpoint = read_checkpoint(path, num_heads or 1)
    settings.check_arithmetic(checkpoint.settings, f"{checkpoint.source}: {checkpoint.settings_file}")
    said, given = settings_of(path, checkpoint)[0], dict(given or {})
    learnt = settings.sizes_of(checkpoint.weights).get("max_position_embeddings", 0)
    if max_length is not None and (max_length < learnt or (max_length > learnt and not is_bert(checkpoint))):
        raise InputError(
            f"--max-length {max_length}: {checkpoint.source} has {learnt} positions; expected at least as many, and more only "
            "for a BERT, whose positions are repeated"
        )
    if is_bert(checkpoint):
        _check_sizes(checkpoint, said)
        types = max(given.get("type_vocab_size") or LEAST_TYPES, LEAST_TYPES)
        lengthen(checkpoint, max_length or given.get("max_position_embeddings"), types)
        said |= settings.sizes_of(checkpoint.weights)
    encoder = _encoder(checkpoint, _rule(checkpoint) | said | given, num_heads)
    _check_whole(checkpoint, encoder)
    if is_bert(checkpoint):
        encoder = with_full_attention(encoder, checkpoint.learnt)
    if names.joins_heads(checkpoint.kind):  # only now is their number known
        names.split_heads(checkpoint.weights, encoder.num_attention_heads)
    return checkpoint, encoder


def _check_whole(checkpoint: Checkpoint, encoder: BigBirdEncoderConfig) -> None:
    """Refuses a checkpoint without all of the encoder's weights but a pooler's: in another form they would start fresh, unsaid."""
    expected = {weight.ours for weight in names.encoder_weights("hugging_face", encoder.num_layers)}
    absent = sorted(name for name in expected - checkpoint.weights.keys() if not name.startswith("encoder/pooler/"))
    if absent:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        raise InputError(
            f"{checkpoint.source}: lacks {', '.join(absent[:3])}{more}; expected all weights of an encoder of {encoder.num_layers} layers. "
            f"Left out as unknown: {', '.join(checkpoint.left_out[:3]) or 'nothing'}"
        )


def start_from(path: str, task: Task) -> tuple[Checkpoint, Task]:
    """Reads the checkpoint that a task's model starts from, and sets the model up as the checkpoint has it.

    What the task's configuration sets stays as it is, to be refused where it does not fit, and so do a BERT's positions: the
    model's are filled.

    Args:
        path: as `read_checkpoint` takes it.
        task: its configuration.

    Returns:
        The checkpoint, and the task with the encoder that reads it.

    Raises:
        InputError: no checkpoint there, or the task cannot be learnt with such an encoder.
    """
    checkpoint = read_checkpoint(path, 1)
    found = _rule(checkpoint) | settings_of(path, checkpoint)[0]
    dense = found.get("attention") == {"implementation": "dense"}
    sizes = settings.sizes_of(checkpoint.weights)
    found = {key: value for key, value in found.items() if key in TAKEN} | sizes
    found["num_attention_heads"] = _heads(checkpoint, found, None)
    if is_bert(checkpoint):
        found.pop("max_position_embeddings", None)
        found["type_vocab_size"] = max(sizes.get("type_vocab_size", 0), LEAST_TYPES)
    elif checkpoint.kind in _PUBLISHED:  # the model has more, which start fresh
        found.pop("type_vocab_size", None)
    if dense:
        found["attention"] = {"implementation": "dense"}
    task = fill_encoder(task, found, checkpoint.source)
    if is_bert(checkpoint):
        full = with_full_attention(task.encoder, checkpoint.learnt).full_attention_max_length
        if full != task.encoder.full_attention_max_length:
            task = fill_encoder(task, {"full_attention_max_length": full}, checkpoint.source)
        lengthen(checkpoint, task.encoder.max_position_embeddings, task.encoder.type_vocab_size)
    if names.joins_heads(checkpoint.kind):
        names.split_heads(checkpoint.weights, task.encoder.num_attention_heads)
    return checkpoint, task


def fill_encoder(task: Task, found: Mapping[str, Any], source: str) -> Task:
    """The task with an encoder's settings where its own configuration leaves them open.

    Args:
        task: its configuration.
        found: settings of the encoder.
        source: who says so, for messages.

    Raises:
        InputError: the task cannot be learnt with such an encoder.
    """
    changes = {key: value for key, value in found.items() if key not in task.encoder.model_fields_set}
    try:
        filled: Task = replace(task, model={"encoder": {"bigbird": changes}})
    except ValidationError as error:
        words = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{source}: its encoder does not fit this run: {words}. Settings under {ENCODER_KEY} that the run leaves open are taken from the checkpoint"
        ) from None
    return filled


def _rule(checkpoint: Checkpoint) -> dict[str, Any]:
    """The rule for random blocks that a published BigBird brings along, for where nothing else is said."""
    return {"random_pattern": "google_research"} if checkpoint.kind in _PUBLISHED else {}


def _heads(checkpoint: Checkpoint, said: Mapping[str, Any], num_heads: int | None) -> int:
    """Attention heads: as asked for, as stored, as said, or one for every 64 of the hidden size."""
    kernel = checkpoint.weights.get("encoder/layer_0/attention/query/kernel")
    stored = None if kernel is None or kernel.ndim != 3 or names.joins_heads(checkpoint.kind) else kernel.shape[1]
    width = settings.sizes_of(checkpoint.weights).get("hidden_size", HEAD_SIZE)
    heads: int = num_heads or stored or said.get("num_attention_heads") or max(1, width // HEAD_SIZE)
    if stored not in (None, heads):
        raise InputError(f"{checkpoint.source}: has {stored} attention heads, not {heads}")
    return heads


def _check_sizes(checkpoint: Checkpoint, said: Mapping[str, Any]) -> dict[str, int]:
    """The sizes of the weights, which those that are said must be."""
    sizes = settings.sizes_of(checkpoint.weights)
    wrong = [
        f"{key} is {said[key]}, the weights' {sizes[key]}" for key in sizes if said.get(key, sizes[key]) != sizes[key]
    ]
    if wrong:
        raise InputError(f"{checkpoint.source}: the settings are not these weights': {'; '.join(wrong)}")
    return sizes


def _encoder(checkpoint: Checkpoint, said: dict[str, Any], num_heads: int | None) -> BigBirdEncoderConfig:
    sizes = _check_sizes(checkpoint, said)
    heads = _heads(checkpoint, said, num_heads)
    known = {key: value for key, value in said.items() if key in BigBirdEncoderConfig.model_fields and key != "size"}
    try:
        return BigBirdEncoderConfig(**{**known, **sizes, "num_attention_heads": heads})
    except ValidationError as error:
        raise InputError(f"{checkpoint.source}: {error.errors()[0]['msg']}; give --heads or --params") from None
