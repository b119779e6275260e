"""A checkpoint with its encoder's configuration, which is put together from what lies beside the weights and from their shapes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from bigbird.checkpoints import names, settings
from bigbird.checkpoints.beside import settings_of
from bigbird.checkpoints.checkpoint import Checkpoint
from bigbird.checkpoints.checks import HEAD_SIZE, check_shapes, check_sizes, heads_of
from bigbird.checkpoints.lengthen import LEAST_TYPES, is_bert, lengthen, with_full_attention
from bigbird.checkpoints.reading import read_checkpoint
from bigbird.config import ENCODER_KEY, BigBirdEncoderConfig, Task, replace
from bigbird.support.errors import InputError
from bigbird.support.text_files import problem_list
from bigbird.support.validation import problem_words

_GIVEN = "as given"  # who says what the user does, for messages
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
        num_heads: attention heads, where the source does not say; default of google-research's one for every 64 of the hidden size.
        given: settings of the encoder that go before what the source says.
        max_length: positions; a BERT's are repeated up to them. Default `given`'s, or as the source has.

    Raises:
        InputError: no checkpoint there, settings that do not fit the weights, arithmetic that is not built here, or
            more positions than a checkpoint has that is no BERT's.
    """
    checkpoint = read_checkpoint(path, num_heads or 1)
    (said, file), given = settings_of(path, checkpoint), settings.known(given or {}, _GIVEN)
    fixed = {key: value for key, value in given.items() if key not in _LENGTHENED or not is_bert(checkpoint)}
    check_sizes(checkpoint, {key: value for key, value in said.items() if key not in given}, file)
    check_sizes(checkpoint, fixed, _GIVEN)
    learnt = settings.sizes_of(checkpoint.weights).get("max_position_embeddings", 0)
    if max_length is not None and (max_length < learnt or (max_length > learnt and not is_bert(checkpoint))):
        raise InputError(
            f"--max-length {max_length}: {checkpoint.source} has {learnt} positions; expected at least as many, and more only "
            "for a BERT, whose positions are repeated: to make a conversion longer, convert the BERT again"
        )
    asked = given.get("num_attention_heads")
    if asked is not None and names.joins_heads(checkpoint.kind):  # goes before what is said
        heads = heads_of(checkpoint, given, _GIVEN, num_heads)
    else:
        heads = heads_of(checkpoint, said, file, num_heads or asked)
    _split_heads(checkpoint, heads)
    check_shapes(checkpoint, heads)
    if is_bert(checkpoint):
        types = max(given.get("type_vocab_size") or LEAST_TYPES, LEAST_TYPES)
        lengthen(checkpoint, max_length or given.get("max_position_embeddings"), types)
        check_sizes(checkpoint, given, _GIVEN)
    stated = _rule(checkpoint) | said | given | settings.sizes_of(checkpoint.weights) | {"num_attention_heads": heads}
    try:
        encoder = BigBirdEncoderConfig(**{key: value for key, value in stated.items() if key != "size"})
    except ValidationError as error:
        told = [problem_words(problem, BigBirdEncoderConfig) for problem in error.errors(include_url=False)]
        raise InputError(f"{checkpoint.source}: {file or _GIVEN}: {problem_list(told)}") from None
    if is_bert(checkpoint):
        encoder = with_full_attention(encoder, checkpoint.learnt)
    given_heads = {"num_attention_heads"} if num_heads else set()
    checkpoint.notes += _guessed(checkpoint, file, given_heads | given.keys(), encoder)
    return checkpoint, encoder


def _split_heads(checkpoint: Checkpoint, heads: int) -> None:
    """Splits the attention of a kind that joins heads, whose number was not known when it was read."""
    if names.joins_heads(checkpoint.kind):
        names.split_heads(checkpoint.weights, heads)


def _guessed(checkpoint: Checkpoint, file: str, given: Collection[str], encoder: BigBirdEncoderConfig) -> list[str]:
    """What nothing says of a checkpoint, and what it was taken to be: a note, or none.

    Args:
        checkpoint: as it was read.
        file: where settings are said; the kind where no file says them, or nothing.
        given: settings that the user gives.
        encoder: the model's.
    """
    usual = ("google_research", "model_garden", "model_garden_bert", "model_garden_bert_v2")  # published without a file
    if file not in ("", checkpoint.kind) or checkpoint.kind in usual:
        return []
    taken = {"hidden_activation": "activation", "layer_norm_epsilon": "layer norm's epsilon"}
    if checkpoint.kind == "google_bert":
        taken = {"num_attention_heads": f"one head for every {HEAD_SIZE} of the hidden size:"} | taken
    if checkpoint.kind not in names.BERTS:
        taken |= {"block_size": "tokens of a block", "num_rand_blocks": "random blocks"}
    told = [f"{words} {getattr(encoder, key)}" for key, words in taken.items() if key not in given]
    return [f"not said beside the weights, and taken as usual: {', '.join(told)}"] if told else []


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
    given = task.encoder.model_fields_set
    asked = task.encoder.num_attention_heads if "num_attention_heads" in given - said.keys() else None
    heads = heads_of(checkpoint, said, file, asked)
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
    checkpoint.notes += _guessed(checkpoint, file, given, task.encoder)
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
        positions = (
            f". --max-length may be {longest:,} at most; less asks for max_position_embeddings={longest}"
            if own.get("max_position_embeddings", longest) != longest
            else ""
        )
        raise InputError(
            f"{checkpoint.source}: this run's model has other sizes than these weights:\n  "
            + "\n  ".join(wrong)
            + f"\nSet them to the weights', or take a recipe that leaves them open: they are taken from the weights then{positions}"
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
