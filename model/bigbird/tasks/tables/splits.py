"""Cuts records into training, validation and test: by label, groups kept together, the same for the same records.

Nothing here depends on the records' order: a unit (a group of records that stay together) goes by a number made of its
hash and the seed.
"""

from __future__ import annotations

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2
_BINS = 10  # of a number's values


def mixed(values: np.ndarray) -> np.ndarray:
    """Numbers as good as random, the same for the same value: the finaliser of splitmix64 (Steele et al. 2014). uint64[n] -> uint64[n]."""
    with np.errstate(over="ignore"):
        z = values + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def quantile_bins(numbers: np.ndarray) -> np.ndarray:
    """The tenth of the values that each of them lies in. float64[n] -> int64[n]."""
    edges = np.unique(np.quantile(numbers, np.arange(1, _BINS) / _BINS))
    return np.searchsorted(edges, numbers, side="right")


def cut(
    units: np.ndarray, codes: np.ndarray, rows: np.ndarray, fractions: tuple[float, float], seed: int
) -> np.ndarray:
    """Assigns records to splits.

    Each record counts for the rarest of its labels, or for having none. Of each such class a split gets its fraction,
    rounded so that it is less than one record off and the sum over the classes is right too, where no unit is larger than
    a record. Every label has a record in training.

    Args:
        units: what each record stays together with, a hash. uint64[records].
        codes: labels of records; the order of the codes must not depend on that of the records. int[pairs].
        rows: the records that have them. int[pairs].
        fractions: of the records, in validation and test.
        seed: another one gives other splits.

    Returns:
        `TRAIN`, `VALIDATION` or `TEST` of each record, uint8[records].
    """
    if not len(units):
        return np.zeros(0, np.uint8)
    labels = int(codes.max(initial=-1)) + 1
    none = labels
    counts = np.bincount(codes, minlength=labels + 1)
    counts[none] = len(units) - len(np.unique(rows))
    rank = np.empty(labels + 1, np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(labels + 1)
    row_class = np.full(len(units), labels + 1, np.int64)
    np.minimum.at(row_class, rows, rank[codes])
    row_class[row_class == labels + 1] = rank[none]

    unique, of_row, sizes = np.unique(units, return_inverse=True, return_counts=True)
    unit_class = np.full(len(unique), labels + 1, np.int64)
    np.minimum.at(unit_class, of_row, row_class)
    with np.errstate(over="ignore"):
        priority = mixed(unique ^ mixed(np.array([seed], np.uint64)))

    records = np.bincount(unit_class, weights=sizes, minlength=labels + 1)
    wanted = _targets(records, fractions)
    split = np.zeros(len(unique), np.uint8)
    for which in (VALIDATION, TEST):
        left = np.flatnonzero(split == TRAIN)
        taken = _taken(unit_class[left], sizes[left], priority[left], wanted[which - 1])
        split[left[taken]] = which
    _keep_labels_in_training(split, priority, codes, of_row[rows])
    return split[of_row]


def _targets(records: np.ndarray, fractions: tuple[float, float]) -> list[np.ndarray]:
    """How many records of each class the validation and test splits shall have; at least one stays for training."""
    room = np.maximum(records - 1, 0)
    total = records.sum()
    found = []
    for fraction in fractions:
        # Rounding the running sum keeps the sum right, and each class less than one record off.
        share = max(fraction, 1 / total) if fraction else 0.0
        target = np.diff(np.floor(np.cumsum(records * share) + 0.5), prepend=0.0)
        target = np.minimum(target, room)
        room = room - target
        found.append(target)
    return found


def _taken(unit_class: np.ndarray, sizes: np.ndarray, priority: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Positions of the units that a split gets, by priority until each class has what is wanted."""
    too_large = sizes > 2 * wanted[unit_class]  # would miss by more than leaving it out does
    order = np.lexsort((priority, too_large, unit_class))
    sizes, unit_class, too_large = sizes[order], unit_class[order], too_large[order]
    ends = np.cumsum(sizes)
    first = np.flatnonzero(np.diff(unit_class, prepend=-1))
    before = (ends - sizes) - np.repeat((ends - sizes)[first], np.diff(np.append(first, len(order))))
    return order[(before + sizes / 2 <= wanted[unit_class]) & ~too_large]


def _keep_labels_in_training(split: np.ndarray, priority: np.ndarray, codes: np.ndarray, units: np.ndarray) -> None:
    """Moves one unit to training for each label that would have none there.

    Args:
        split: of each unit; changed in place.
        priority: of each unit.
        codes, units: labels, and the units of the records that have them.
    """
    trained = np.zeros(codes.max(initial=-1) + 1, bool)
    trained[codes[split[units] == TRAIN]] = True
    at = np.flatnonzero(~trained[codes])
    at = at[np.lexsort((priority[units[at]], codes[at]))]
    first = at[np.flatnonzero(np.diff(codes[at], prepend=-1))]
    split[units[first]] = TRAIN
