"""Makes a BERT's tables as long as a BigBird's.

Positions are lengthened as Longformer's authors do it (Beltagy et al. 2020, section 5): copies of all learnt positions, one
after the other. At each seam position n follows position n - 1 as the first token follows the last.
"""

from __future__ import annotations

import shlex

import numpy as np

from bigbird.checkpoints import names
from bigbird.checkpoints.checkpoint import Checkpoint
from bigbird.checkpoints.names import POSITIONS, TYPES
from bigbird.config import ENCODER_KEY, BigBirdEncoderConfig, replace

LEAST_TYPES = 2  # a text and a second one; RoBERTa has a row for one

CONTINUE = (
    "to adapt the model to its new length, pre-train it further on text of your own:\n"
    "    bigbird preprocess --task pretraining --input TEXT --output DATASET --vocabulary VOCABULARY --max-length {length}\n"
    "    bigbird train --config-file pipelines/experiments/bert_adaptation.yaml --dataset DATASET --model-dir ADAPTED"
    " --params-override task.init_checkpoint={path}{settings}"
)
RECIPE_LENGTH = 4096  # of that recipe


def is_bert(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint is one whose tables may be lengthened."""
    return checkpoint.kind in names.BERTS


def lengthen(checkpoint: Checkpoint, positions: int | None, types: int | None) -> None:
    """Gives a BERT's tables more rows, or fewer positions, and notes what was done.

    Args:
        checkpoint: a BERT's; changed.
        positions: rows wanted; None keeps them.
        types: rows wanted; None keeps them. One row is repeated, several are not: the rest starts fresh.
    """
    table, learnt = checkpoint.weights.get(POSITIONS), checkpoint.learnt
    if table is not None and learnt and positions not in (None, len(table)):
        checkpoint.weights[POSITIONS] = table[np.arange(positions) % learnt]
        if positions > learnt:
            note = f"{learnt:,} learnt positions, repeated up to {positions:,}"
        else:
            note = f"the first {positions:,} of {learnt:,} learnt positions"
        checkpoint.notes.append(f"{POSITIONS}: {note}")
    table = checkpoint.weights.get(TYPES)
    if table is not None and len(table) == 1 and types and types > 1:
        checkpoint.weights[TYPES] = np.repeat(table, types, axis=0)
        checkpoint.notes.append(f"{TYPES}: one learnt row, repeated for all {types} types")


def with_full_attention(encoder: BigBirdEncoderConfig, learnt: int) -> BigBirdEncoderConfig:
    """The encoder with full attention over all that the original attended to, unless it says itself how far.

    Args:
        encoder: the model's.
        learnt: positions of the original.
    """
    if encoder.full_attention_max_length is not None or encoder.full_attention_threshold >= learnt:
        return encoder
    changed: BigBirdEncoderConfig = replace(encoder, full_attention_max_length=learnt)
    return changed


def advice(path: str, encoder: BigBirdEncoderConfig, learnt: int, longest: int | None = None) -> list[str]:
    """What one should know who trains a model that was a BERT; nothing of others.

    Args:
        path: the checkpoint to go on from.
        encoder: the model's.
        learnt: positions of the original, 0 where it was no BERT.
        longest: tokens of an input, at most; None: as many as the model has positions.
    """
    if not learnt:
        return []
    told = []
    longest = longest or encoder.max_position_embeddings
    if longest > encoder.full_attention_threshold:
        told.append(
            f"attention dropout {encoder.attention_dropout_rate:g}: up to {encoder.full_attention_threshold:,} tokens; "
            "BigBird's sparse attention has none"
        )
    if longest > learnt:
        settings = (
            ""
            if longest == RECIPE_LENGTH
            else (
                f" --params-override task.train_data.seq_length={longest},task.validation_data.seq_length={longest},task.bucket_lengths=[{longest}]"
                + (f",{ENCODER_KEY}.max_position_embeddings={longest}" if longest > RECIPE_LENGTH else "")
            )
        )
        told.append(CONTINUE.format(length=longest, path=shlex.quote(path), settings=settings))
    return told
