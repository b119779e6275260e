"""Notices about labels and texts: what a user should know about a table that can be used all the same."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bigbird.support.text_files import amount
from bigbird.tasks.tables.problems import Notice, listed


def label_notices(kind: str, counts: Mapping[str, Mapping[str, int]]) -> list[Notice]:
    """What is odd about labels.

    Args:
        kind: single or multi.
        counts: split -> label -> records that have it; labels in order.
    """
    labels = list(counts["train"])
    found = []
    single = [label for label, count in counts["train"].items() if count == 1]
    if single:
        found.append(
            Notice(
                f"{amount(len(single), 'label')} with one training record: {listed(single)}",
                len(single),
                "add records, or join such labels to others: one record teaches little",
            )
        )
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault(" ".join(label.casefold().split()), []).append(label)
    groups = [group for group in alike.values() if len(group) > 1]
    if groups:
        found.append(
            Notice(
                f"labels that differ by case or blanks only: {'; '.join(listed(group, 4) for group in groups[:3])}",
                sum(map(len, groups)),
                "write them alike if they are one label",
            )
        )
    absent = [label for label, count in counts.get("validation", {}).items() if not count]
    if absent:
        found.append(
            Notice(
                f"{amount(len(absent), 'label')} of training without a validation record: {listed(absent)}",
                len(absent),
                "add records, or set a larger validation_fraction (--validation-fraction), to see how well they are learnt",
            )
        )
    lists = [label for label in labels if label.startswith("[") and label.endswith("]")]
    if lists and kind == "single":
        found.append(
            Notice(
                f"{amount(len(lists), 'label')} written like a list: {listed(lists, 3)}",
                len(lists),
                "if a record has several labels, write them with a separator between and set label_separator (--label-separator)",
            )
        )
    return found


def no_validation() -> Notice:
    """A dataset without a validation split, which training by its default mode and `bigbird run` do not take."""
    return Notice(
        "there is no validation split to choose the best checkpoint by",
        1,
        "train on it with bigbird train --mode train, or set a larger validation_fraction (--validation-fraction) or name a file "
        "(--validation-file)",
    )


def shared_texts(count: int, first: str, *, dropped: bool) -> Notice:
    """Training records whose text validation or test has too.

    Args:
        count: how many.
        first: the place of the first one.
        dropped: whether they are left out of training.
    """
    records = amount(count, "record")
    if dropped:
        message = f"{records} left out of training, as validation or test has the same text (first: {first})"
        return Notice(message, count, "leave drop_duplicates (--drop-duplicates) out to train on them all the same")
    message = f"{records} in training with a text that validation or test has too (first: {first})"
    remedy = "set drop_duplicates (--drop-duplicates) to leave them out of training: what was trained on is no test"
    return Notice(message, count, remedy)


def with_several_labels(texts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The texts that are there with different labels.

    Args:
        texts: hashes of the records' texts. uint64[records].
        labels: a number for each record's label or labels. uint64[records].

    Returns:
        Hashes of texts, sorted, uint64[texts].
    """
    order = np.lexsort((labels, texts))
    texts, labels = texts[order], labels[order]
    return np.unique(texts[1:][(texts[1:] == texts[:-1]) & (labels[1:] != labels[:-1])])


def contradiction(count: int, first: str) -> Notice:
    """Texts with different labels: how many, and the place of the first record with one."""
    return Notice(
        f"{amount(count, 'text')} with different labels in different records (first: {first})",
        count,
        "correct the labels, or keep one record of each: a model cannot learn both",
    )
