"""A checkpoint with its encoder's configuration, which is put together from what lies beside the weights and from their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bigbird.checkpoints import names, settings
from bigbird.checkpoints.beside import settings_of
from bigbird.checkpoints.checks import HEAD_SIZE, check_shapes, check_sizes, heads_of
from bigbird.checkpoints.lengthen import LEAST_TYPES, is_bert, lengthen, with_full_attention
from bigbird.checkpoints.published import Checkpoint, read_checkpoint
from bigbird.config import ENCODER_KEY, BigBirdEncoderConfig, Task, replace
from bigbird.support.errors import InputError
from bigbird.support.text_files import problem_list
from bigbird.support.validation import problem_words

# What a BERT may have less of than the model that starts from it.
_LENGTHENED = ("max_position_embeddings", "type_vocab_size")

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
    (said, file), given = settings_of(path, checkpoint), dict(given or {})
    fixed = {key: value for key, value in given.items() if key not in _LENGTHENED or not is_bert(checkpoint)}
    check_sizes(checkpoint, said | fixed, file or "--params")
    learnt = settings.sizes_of(checkpoint.weights).get("max_position_embeddings", 0)
    if max_length is not None and (max_length < learnt or (max_length > learnt and not is_bert(checkpoint))):
        raise InputError(
            f"--max-length {max_length}: {checkpoint.source} has {learnt} positions; expected at least as many, and more only "
            "for a BERT, whose positions are repeated: to make a conversion longer, convert the BERT again"
        )
    heads = given.get("num_attention_heads") or heads_of(checkpoint, said, file, num_heads)
    _split_heads(checkpoint, heads)
    check_shapes(checkpoint, heads)
    if is_bert(checkpoint):
        types = max(given.get("type_vocab_size") or LEAST_TYPES, LEAST_TYPES)
        lengthen(checkpoint, max_length or given.get("max_position_embeddings"), types)
    stated = _rule(checkpoint) | said | given | settings.sizes_of(checkpoint.weights) | {"num_attention_heads": heads}
    known = {key: value for key, value in stated.items() if key in BigBirdEncoderConfig.model_fields and key != "size"}
    try:
        encoder = BigBirdEncoderConfig(**known)
    except ValidationError as error:
        told = [problem_words(problem, BigBirdEncoderConfig) for problem in error.errors(include_url=False)]
        raise InputError(f"{checkpoint.source}: {file or '--params'}: {problem_list(told)}") from None
    if is_bert(checkpoint):
        encoder = with_full_attention(encoder, checkpoint.learnt)
    checkpoint.notes += _guessed(checkpoint, said, encoder)
    return checkpoint, encoder


def _split_heads(checkpoint: Checkpoint, heads: int) -> None:
    """Splits the attention of a kind that joins heads, whose number was not known when it was read."""
    if names.joins_heads(checkpoint.kind):
        names.split_heads(checkpoint.weights, heads)


def _guessed(checkpoint: Checkpoint, said: Mapping[str, Any], encoder: BigBirdEncoderConfig) -> list[str]:
    """What nothing says of a checkpoint, and what it was taken to be: a note, or none."""
    told = []
    if checkpoint.kind == "google_bert" and not checkpoint.settings:
        told.append(f"{encoder.num_attention_heads} attention heads, one for every {HEAD_SIZE} of the hidden size")
    if (checkpoint.kind == "bigbird" and not said) or (checkpoint.kind in names.BERTS and not checkpoint.settings):
        told.append(f"activation {encoder.hidden_activation}, layer norm's epsilon {encoder.layer_norm_epsilon:g}")
    if checkpoint.kind == "bigbird" and not said:
        told.append(f"blocks of {encoder.block_size} with {encoder.num_rand_blocks} random ones")
    if not told or checkpoint.kind.startswith("model_garden"):  # whose published BERTs have no such file
        return []
    return [f"not said beside the weights, and taken as usual: {', '.join(told)}"]


def start_from(path: str, task: Task) -> tuple[Checkpoint, Task]:
    """Reads the checkpoint that a task's model starts from, and sets the model up as the checkpoint has it.

    A BERT's positions are filled up to the model's. Other sizes that the task's configuration sets must be the checkpoint's; its other
    settings are compared when the weights are placed.

    Args:
        path: as `read_checkpoint` takes it.
        task: its configuration.

    Returns:
        The checkpoint, and the task with the encoder that reads it.

    Raises:
        InputError: no checkpoint there, one that is damaged, or the task cannot be learnt with such an encoder.
    """
    checkpoint = read_checkpoint(path, 1)
    said, file = settings_of(path, checkpoint)
    check_sizes(checkpoint, said, file)
    own = task.encoder.num_attention_heads if "num_attention_heads" in task.encoder.model_fields_set else None
    heads = heads_of(checkpoint, said, file, None if "num_attention_heads" in said else own)
    _split_heads(checkpoint, heads)
    check_shapes(checkpoint, heads)
    found = _rule(checkpoint) | said
    dense = found.get("attention") == {"implementation": "dense"}
    sizes = settings.sizes_of(checkpoint.weights)
    found = {key: value for key, value in found.items() if key in TAKEN} | sizes | {"num_attention_heads": heads}
    if is_bert(checkpoint):
        found.pop("max_position_embeddings", None)
        found["type_vocab_size"] = max(sizes.get("type_vocab_size", 0), LEAST_TYPES)
    elif checkpoint.kind in _PUBLISHED:  # the model has more, which start fresh
        found.pop("type_vocab_size", None)
    if dense:
        found["attention"] = {"implementation": "dense"}
    _check_own(task, {key: found[key] for key in (*sizes, "num_attention_heads") if key in found}, checkpoint)
    task = fill_encoder(task, found, checkpoint.source)
    if is_bert(checkpoint):
        full = with_full_attention(task.encoder, checkpoint.learnt).full_attention_max_length
        if full != task.encoder.full_attention_max_length:
            task = fill_encoder(task, {"full_attention_max_length": full}, checkpoint.source)
        lengthen(checkpoint, task.encoder.max_position_embeddings, task.encoder.type_vocab_size)
    checkpoint.notes += _guessed(checkpoint, said, task.encoder)
    return checkpoint, task


def _check_own(task: Task, sizes: Mapping[str, int], checkpoint: Checkpoint) -> None:
    """Refuses a size that the task's configuration sets and the weights have otherwise."""
    own = {key: getattr(task.encoder, key) for key in sizes if key in task.encoder.model_fields_set}
    if is_bert(checkpoint):
        own.pop("type_vocab_size", None)  # more of them start fresh
    wrong = [
        f"{ENCODER_KEY}.{key} is {value}, the weights have {sizes[key]}"
        for key, value in own.items()
        if value != sizes[key]
    ]
    if wrong:
        longest = sizes.get("max_position_embeddings", 0)
        told = (
            f"; texts may have {longest:,} tokens at most (--max-length, seq_length)"
            if "max_position_embeddings" in own
            else ""
        )
        raise InputError(
            f"{checkpoint.source}: this run's model has other sizes than these weights:\n  "
            + "\n  ".join(wrong)
            + f"\nLeave these settings out, or take a recipe that does: they are taken from the weights{told}"
        )


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
        told = [problem_words(problem, type(task), ("task",)) for problem in error.errors(include_url=False)]
        raise InputError(
            f"{source}: its encoder does not fit this run: {problem_list(told)}. Settings under {ENCODER_KEY} that the run leaves open are taken from the checkpoint"
        ) from None
    return filled


def _rule(checkpoint: Checkpoint) -> dict[str, Any]:
    """The rule for random blocks that a published BigBird brings along, for where nothing else is said."""
    return {"random_pattern": "google_research"} if checkpoint.kind in _PUBLISHED else {}
