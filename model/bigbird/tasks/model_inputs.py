"""Texts as arrays, for a model that is called from Python; the stages lay out records the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bigbird.support.errors import InputError
from bigbird.tasks.shortening import truncated_lengths

if TYPE_CHECKING:
    from bigbird.text.vocabulary import Vocabulary


def encode_texts(
    vocabulary: Vocabulary, texts: Sequence[str], length: int, second: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Texts as what the encoder and the models take: [CLS] text [SEP], or [CLS] text [SEP] second [SEP], then padding.

    Args:
        vocabulary: that the encoder was trained with.
        texts: B texts.
        length: L, tokens of every row. What is longer is cut as in training: the end goes, of a pair that of the longer one.
        second: the second text of each pair.

    Returns:
        input_word_ids, input_mask (1 for tokens) and input_type_ids (1 for the second text), int32[B, L] each.

    Raises:
        InputError: there is no room for text in `length`, or there are not as many second texts.

    Example:
        >>> import bigbird
        >>> vocabulary = bigbird.load_vocabulary("runs/reviews")
        >>> inputs = bigbird.encode_texts(vocabulary, ["a tree", "a lovely film"], length=16)
        >>> inputs["input_word_ids"].shape
        (2, 16)
    """
    if isinstance(texts, str) or isinstance(second, str):
        raise InputError("texts is one text; expected a list of texts")
    if length < 8:
        raise InputError(f"length is {length}; expected at least 8, for text beside the special pieces")
    if second is not None and len(second) != len(texts):
        raise InputError(f"there are {len(texts)} texts and {len(second)} second ones; expected as many")
    inputs = {
        name: np.zeros((len(texts), length), np.int32) for name in ("input_word_ids", "input_mask", "input_type_ids")
    }
    pairs: Sequence[np.ndarray | None] = [None] * len(texts) if second is None else vocabulary.encode(second)
    for row, (a, b) in enumerate(zip(vocabulary.encode(texts), pairs, strict=True)):
        keep, keep_b = (length - 2, 0) if b is None else truncated_lengths(len(a), len(b), length - 3)
        first = [vocabulary.cls_id, *a[:keep], vocabulary.sep_id]
        ids = first if b is None else [*first, *b[:keep_b], vocabulary.sep_id]
        inputs["input_word_ids"][row, : len(ids)] = ids
        inputs["input_mask"][row, : len(ids)] = 1
        inputs["input_type_ids"][row, len(first) : len(ids)] = 1
    return inputs
