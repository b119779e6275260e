"""Checks of the whole table: rows that are there twice, splits that share rows, labels, columns, lengths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial

import numpy as np

from bigbird.support.text_files import shown
from bigbird.tasks.table_rows import NO_SPLIT
from bigbird_components.check.collected import Collected, first_with
from bigbird_components.check.kinds import NOTHING, Example, Found, TableCheck
from bigbird_components.check.texts import SCRIPTS
from bigbird_components.check.words import few_words

TRAIN, VALIDATION, TEST = 0, 1, 2
LENGTHS = (512, 1024, 2048, 4096)
"""Tokens that models read; 4,096 are the published BigBird's."""

RARE = 10  # training rows of a label that are too few
SHARED_EDGE = 20  # rows that begin or end alike, at least
SHARED_EDGE_SHARE = 0.01  # of the rows, at least
CUT_ROWS = 10  # rows that are as long as the longest one, at least, to be taken for cut
SHORTEST_CUT = 100  # characters
EXTREME = 20  # times the median of words
IMBALANCE = 50  # times as many rows as another label has
DOMINANT = 0.9  # share of the training rows
NAMED = 0.95  # share of a label's rows whose text names it
NAMED_ROWS = 10
FEW_ROWS = 100  # of a training split
MAIN_SCRIPT = 0.9
_PLACEHOLDERS = frozenset("n a|na|nan|nil|null|none|unknown|undefined|missing|todo|tbd|not available".split("|"))


def _fault(name: str, table: Collected) -> Found:
    """What the reading counted."""
    return table.faults.get(name, NOTHING)


def _rows(table: Collected, mask: np.ndarray, told: Callable[[int], str] = lambda _row: "", note: str = "") -> Found:
    rows = np.flatnonzero(mask)
    return Found(len(rows), table.some(rows, told), note)


def _labels(table: Collected, names: list[str], told: Callable[[str], str] = lambda _label: "") -> Found:
    first = table.first_of_label
    return Found(
        len(names),
        [
            Example(table.place(first[name]), f"{shown(name, 60)}{f': {said}' if (said := told(name)) else ''}")
            for name in names[: table.most_examples]
        ],
    )


def _same_as(table: Collected, earlier: np.ndarray) -> Callable[[int], str]:
    return lambda row: f"as {table.place(int(earlier[row]))}"


# -------------------------------------------------------------------------------------------- rows that are there twice


def _exact(table: Collected) -> Found:
    earlier = table.earlier_exact
    return _rows(table, earlier != np.arange(table.rows), _same_as(table, earlier))


def _folded(table: Collected) -> Found:
    own = np.arange(table.rows)
    earlier = table.earlier_folded
    return _rows(table, (earlier != own) & (table.earlier_exact == own), _same_as(table, earlier))


def _near(table: Collected) -> Found:
    own = np.arange(table.rows)
    earlier = table.group_of
    return _rows(table, (earlier != own) & (table.earlier_folded == own), _same_as(table, earlier))


def _known_elsewhere(table: Collected, values: np.ndarray) -> tuple[np.ndarray, dict[int, int]]:
    """Training rows whose value a validation or test row has, and the first such row of each value."""
    held = (table.splits == VALIDATION) | (table.splits == TEST)
    rows = np.flatnonzero(held & table.has_text)
    keys, first = np.unique(values[rows], return_index=True)
    shared = (table.splits == TRAIN) & table.has_text & np.isin(values, keys)
    return shared, dict(zip(keys.tolist(), rows[first].tolist(), strict=True))


def _leakage(table: Collected) -> Found:
    values = table["exact"]
    shared, first = _known_elsewhere(table, values)
    return _rows(table, shared, lambda row: f"as {table.place(first[int(values[row])])}")


def _near_leakage(table: Collected) -> Found:
    groups = table.group_of
    shared, first = _known_elsewhere(table, groups)
    exact, _ = _known_elsewhere(table, table["exact"])
    return _rows(table, shared & ~exact, lambda row: f"nearly as {table.place(first[int(groups[row])])}")


def _shared_names(table: Collected, column: str) -> Found:
    """Rows whose id or group is that of a row of an earlier split."""
    if column not in table.source.columns:
        return NOTHING
    values, splits = table[column], table.splits
    has = (values != 0) & (splits != NO_SPLIT)
    order = np.lexsort((splits, values))
    sorted_values, sorted_splits = values[order], splits[order]
    new = np.append(True, sorted_values[1:] != sorted_values[:-1])
    first = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    mask = np.zeros(len(values), bool)
    mask[order] = sorted_splits != sorted_splits[first]
    earlier = np.empty(len(values), np.int64)
    earlier[order] = order[first]
    return _rows(table, mask & has & has[earlier], _same_as(table, earlier))


def _repeated_ids(table: Collected) -> Found:
    if "id" not in table.source.columns:
        return NOTHING
    splits = np.array([table.source.named.index(split) for split, _ in table.source.files])[table["file"]]
    with np.errstate(over="ignore"):
        values = table["id"] + splits.astype(np.uint64)
    earlier = first_with(values, table["id"] != 0)
    return _rows(table, earlier != np.arange(table.rows), _same_as(table, earlier))


# --------------------------------------------------------------------------------------------------------- conflicts


def _first_conflicts(table: Collected, values: np.ndarray) -> dict[int, tuple[int, int]]:
    """Value -> its first row, and the first one with other labels; of the values that have several."""
    labels = table["label"]
    rows = np.flatnonzero(table.has_text & (labels != 0))
    order = rows[np.lexsort((rows, values[rows]))]
    sorted_values = values[order]
    new = np.append(True, sorted_values[1:] != sorted_values[:-1])
    first = order[np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))]
    found: dict[int, tuple[int, int]] = {}
    for one, other in zip(
        first[labels[order] != labels[first]].tolist(), order[labels[order] != labels[first]].tolist(), strict=True
    ):
        found.setdefault(int(values[one]), (one, other))
    return found


def _conflicts(table: Collected, pairs: list[tuple[int, int]], what: str) -> Found:
    names = table.label_names

    def label(row: int) -> str:
        found = names.get(int(table["label"][row]), ())
        return shown(", ".join(found), 40) if found else "another number"

    pairs = sorted(pairs)
    examples = [
        Example(table.place(one), f"{label(one)}; {what} at {table.place(other)}: {label(other)}")
        for one, other in pairs[: table.most_examples]
    ]
    return Found(len(pairs), examples)


def _conflict(table: Collected) -> Found:
    return _conflicts(table, list(_first_conflicts(table, table["exact"]).values()), "the same text")


def _near_conflict(table: Collected) -> Found:
    if table.outcome.kind == "number":
        return NOTHING  # nearly equal texts may well have other numbers
    exact = {int(table.group_of[one]) for one, _ in _first_conflicts(table, table["exact"]).values()}
    near = _first_conflicts(table, table.group_of)
    return _conflicts(table, [pair for group, pair in near.items() if group not in exact], "nearly the same text")


# ------------------------------------------------------------------------------------------------------------- texts


def _shared_edges(table: Collected, edge: str) -> Found:
    """Rows of different texts that begin, or end, with the same words as many others."""
    values = table[edge]
    different = (values != 0) & (table.group_of == np.arange(table.rows))
    keys, counts = np.unique(values[different], return_counts=True)
    least = max(SHARED_EDGE, SHARED_EDGE_SHARE * table.rows)
    often = keys[counts >= least]
    rows = np.flatnonzero(different & np.isin(values, often))
    _, first = np.unique(values[rows], return_index=True)
    firsts = rows[np.sort(first)]
    sizes = dict(zip(keys.tolist(), counts.tolist(), strict=True))
    return Found(
        len(rows),
        table.some(firsts, lambda row: f"as {sizes[int(values[row])] - 1:,} other texts"),
        f"{len(often):,} different ones",
    )


def _cut(table: Collected) -> Found:
    """Texts of exactly the greatest length, if there are many: a program cut them there."""
    characters = table["characters"]
    most = int(characters.max(initial=0))
    own = table.earlier_exact == np.arange(table.rows)
    mask = (characters == most) & own
    if most < SHORTEST_CUT or np.count_nonzero(mask) < CUT_ROWS:
        return NOTHING
    return _rows(table, mask, note=f"{most:,} characters")


def _extremely_long(table: Collected) -> Found:
    words = table["words"]
    median = float(np.median(words[table.has_text])) if table.has_text.any() else 0.0
    mask = (words > EXTREME * max(median, 1.0)) & (table["tokens"] > LENGTHS[-1])
    return _rows(table, mask, lambda row: f"{int(words[row]):,} words", f"the median is {median:,.0f} words")


def _other_script(table: Collected) -> Found:
    scripts = table["script"][table.has_text]
    counts = np.bincount(scripts, minlength=len(SCRIPTS))
    main = int(counts.argmax())
    if not counts.sum() or counts[main] < MAIN_SCRIPT * counts.sum():
        return NOTHING  # of several scripts; `lengths` says nothing of it and nothing is odd about one row
    return _rows(
        table,
        table.has_text & (table["script"] != main),
        lambda row: SCRIPTS[table["script"][row]],
        f"the others are in {SCRIPTS[main]}",
    )


def _longer(table: Collected) -> Found:
    tokens, bound = table["tokens"], LENGTHS[-1]
    lost = int(np.maximum(tokens.astype(np.int64) - bound, 0).sum())
    return _rows(
        table,
        tokens > bound,
        lambda row: f"{int(tokens[row]):,} tokens",
        f"{lost:,} tokens are cut off" if lost else "",
    )


# ------------------------------------------------------------------------------------------------------------ labels


def _training(table: Collected) -> dict[str, int]:
    """Label -> its training rows; nothing where labels are numbers."""
    return {label: int(counts[TRAIN]) for label, counts in table.label_counts.items()}


def _one_label(table: Collected) -> Found:
    names = [label for label, count in _training(table).items() if count]
    return _labels(table, names) if len(names) == 1 and table.outcome.kind == "single" else NOTHING


def _single_row(table: Collected) -> Found:
    return _labels(table, [label for label, count in _training(table).items() if count == 1])


def _rare(table: Collected) -> Found:
    rare = {label: count for label, count in _training(table).items() if 1 < count < RARE}
    return _labels(table, list(rare), lambda label: f"{rare[label]} rows")


def _unseen(table: Collected) -> Found:
    return _labels(table, [label for label, count in _training(table).items() if not count])


def _unvalidated(table: Collected) -> Found:
    if not (table.splits == VALIDATION).any():
        return NOTHING
    names = [label for label, counts in table.label_counts.items() if counts[TRAIN] and not counts[VALIDATION]]
    return _labels(table, names, lambda label: f"{_training(table)[label]:,} training rows")


def _alike(table: Collected) -> Found:
    groups: dict[str, list[str]] = defaultdict(list)
    for label in table.label_counts:
        groups["".join(few_words(label)) or label].append(label)
    spellings = {label: group[0] for group in groups.values() for label in group[1:]}
    return _labels(table, list(spellings), lambda label: f"as {shown(spellings[label], 60)}")


def _outer_blanks(table: Collected) -> Found:
    return _labels(table, [label for label in table.label_counts if label != label.strip()])


def _no_label(table: Collected) -> Found:
    return _labels(table, [label for label in table.label_counts if " ".join(few_words(label)) in _PLACEHOLDERS])


def _imbalance(table: Collected) -> Found:
    counts = _training(table)
    most = max(counts.values(), default=0)
    few = {label: count for label, count in counts.items() if count >= RARE and count * IMBALANCE < most}
    return _labels(table, list(few), lambda label: f"{few[label]:,} of {most:,} rows that the most frequent one has")


def _dominant(table: Collected) -> Found:
    counts, rows = _training(table), int(np.count_nonzero(table.splits == TRAIN))
    names = [label for label, count in counts.items() if count > DOMINANT * rows] if len(counts) > 1 else []
    return _labels(table, names, lambda label: f"{counts[label] / rows:.1%} of the training rows")


def _named_in_text(table: Collected) -> Found:
    told: dict[str, str] = {}
    for label, (rows, hits, other_rows, other_hits) in table.label_hits.items():
        elsewhere = other_hits / other_rows if other_rows else 0.0
        if rows >= NAMED_ROWS and hits >= NAMED * rows and elsewhere < NAMED / 2:
            told[label] = f"in {hits:,} of its {rows:,} texts"
    return _labels(table, list(told), told.__getitem__)


def _number(table: Collected) -> Found:
    if table.outcome.kind != "number" or not table.outcome.kind_told:
        return NOTHING
    return Found(1, [], table.outcome.kind_told)


def _refused(table: Collected) -> Found:
    return Found(1, [], table.outcome.refusal) if table.outcome.refusal else NOTHING


def _few_rows(table: Collected) -> Found:
    rows = int(np.count_nonzero(table.splits == TRAIN))
    return Found(rows, []) if rows < FEW_ROWS else NOTHING


# ----------------------------------------------------------------------------------------------------------- columns


def _empty_columns(table: Collected) -> Found:
    names = [name for name, column in table.columns.items() if not column.filled]
    return Found(len(names), [Example("", shown(name, 60)) for name in names[: table.most_examples]])


def _constant_columns(table: Collected) -> Found:
    names = {
        name: c.first
        for name, c in table.columns.items()
        if c.filled and c.filled == table.rows and c.constant and table.rows > 1
    }
    told = [Example("", f"{shown(name, 60)}: {shown(value, 60)}") for name, value in names.items()]
    return Found(len(names), told[: table.most_examples])


def _label_columns(table: Collected) -> Found:
    names = [name for name, column in table.columns.items() if column.filled and column.same_as_label]
    return Found(len(names), [Example("", shown(name, 60)) for name in names[: table.most_examples]])


TABLE_CHECKS = (
    TableCheck(
        "refused", "reading", "error", "tables", "whose labels training refuses as a whole",
        "read the message, and correct the column or name another", find=_refused,
    ),
    TableCheck(
        "unreadable", "reading", "error", "rows", "with too few or too many values, or without a JSON object",
        "correct them, or skip them with --max-bad-records", find=partial(_fault, "unreadable"),
    ),
    TableCheck(
        "bad-value", "reading", "error", "rows", "with a list or an object where a text should be",
        "write texts, or name another column", find=partial(_fault, "bad_value"),
    ),
    TableCheck(
        "nul-character", "reading", "error", "rows", "whose text has a NUL character",
        "take it out: no text has one", find=partial(_fault, "nul_character"),
    ),
    TableCheck(
        "bad-label", "reading", "error", "rows", "whose label cannot be used: an object, a word among numbers, a span outside its text",
        "correct it, or say what the labels are (--kind, --spans)", find=partial(_fault, "bad_label"),
    ),
    TableCheck(
        "repeated-id", "reading", "error", "rows", "whose id an earlier row of the split has",
        "give each row an id of its own, or leave --id out", find=_repeated_ids,
    ),
    TableCheck(
        "number-label", "reading", "note", "columns", "of labels, read as a number to be learnt",
        "if the numbers are names of classes, set --kind single", find=_number,
    ),
    TableCheck(
        "few-rows", "reading", "warning", "rows", f"to train on, fewer than {FEW_ROWS}",
        "add rows: what is measured on so few is chance", find=_few_rows,
    ),
    TableCheck(
        "empty-text", "blanks", "error", "rows", "without a text", "leave them out, or name another column with --text",
        find=partial(_fault, "empty_text"),
    ),
    TableCheck(
        "blank-text", "blanks", "error", "rows", "whose text is blanks only", "leave them out", find=partial(_fault, "blank_text"),
    ),
    TableCheck(
        "missing-label", "blanks", "error", "rows", "without a label", "label them, or leave them out",
        find=partial(_fault, "missing_label"),
    ),
    TableCheck(
        "missing-id", "blanks", "error", "rows", "without an id", "give each row one, or leave --id out", find=partial(_fault, "missing_id"),
    ),
    TableCheck(
        "missing-group", "blanks", "error", "rows", "without a group", "give each row one, or leave --group out",
        find=partial(_fault, "missing_group"),
    ),
    TableCheck(
        "empty-column", "blanks", "note", "columns", "without a value in any row", "see whether the export is whole", find=_empty_columns,
    ),
    TableCheck(
        "constant-column", "texts", "note", "columns", "with the same value in all rows",
        "nothing, unless they should differ: training does not read them", find=_constant_columns,
    ),
    TableCheck(
        "duplicate", "duplicates", "warning", "rows", "whose text an earlier row has",
        "keep one of each: what is there twice counts twice", find=_exact,
    ),
    TableCheck(
        "folded-duplicate", "duplicates", "warning", "rows", "whose text differs from an earlier one by case, blanks and punctuation only",
        "keep one of each", find=_folded,
    ),
    TableCheck(
        "near-duplicate", "duplicates", "note", "rows", "with about 80 % of their phrases in an earlier row",
        "keep one of each, or keep them in one split with --group", find=_near,
    ),
    TableCheck(
        "leak", "leakage", "error", "rows", "of training whose text validation or test has",
        "leave them out of training; of tables with labels --drop-duplicates does", find=_leakage,
    ),
    TableCheck(
        "near-leak", "leakage", "warning", "rows", "of training with nearly the text of a validation or test row",
        "name a column with --group that such rows share, or leave them out: a score on known texts is too high", find=_near_leakage,
    ),
    TableCheck(
        "id-leak", "leakage", "error", "rows", "whose id a row of another split has", "see whether these are the same documents",
        find=partial(_shared_names, column="id"),
    ),
    TableCheck(
        "group-leak", "leakage", "error", "rows", "whose group a row of another split has",
        "cut the splits by group: give all rows as one table with --group", find=partial(_shared_names, column="group"),
    ),
    TableCheck(
        "conflict", "conflicts", "error", "texts", "with different labels in different rows",
        "correct the labels, or keep one row of each: no model can learn both", find=_conflict,
    ),
    TableCheck(
        "near-conflict", "conflicts", "warning", "groups", "of nearly equal texts with different labels",
        "see which label is right", find=_near_conflict,
    ),
    TableCheck(
        "shared-beginning", "texts", "note", "rows", "with the first eight words of many other texts",
        "take such beginnings out: they use up what a model reads", find=partial(_shared_edges, edge="begins"),
    ),
    TableCheck(
        "shared-end", "texts", "note", "rows", "with the last eight words of many other texts",
        "take such ends out, such as signatures and notices", find=partial(_shared_edges, edge="ends"),
    ),
    TableCheck(
        "cut-text", "texts", "warning", "rows", "whose text is exactly as long as the longest one, as if it had been cut there",
        "export the table again without a limit", find=_cut,
    ),
    TableCheck(
        "extremely-long", "texts", "note", "rows", f"of more than {EXTREME} times the median's words, and more than {LENGTHS[-1]:,} tokens",
        "see whether several documents were joined", find=_extremely_long,
    ),
    TableCheck(
        "other-script", "texts", "note", "rows", "in another script than nearly all others",
        "see whether the vocabulary has that script's characters", find=_other_script,
    ),
    TableCheck(
        "too-long", "lengths", "note", "rows", f"of more than {LENGTHS[-1]:,} tokens, which even the longest model cuts",
        "use --long-documents head_tail or windows; documents with spans are always read in windows", find=_longer,
    ),
    TableCheck(
        "one-label", "labels", "error", "labels", "in training, where two or more are needed", "see whether the label's column is the right one", find=_one_label,
    ),
    TableCheck(
        "unseen-label", "labels", "error", "labels", "of validation or test that training does not have",
        "add training rows with them, or correct them", find=_unseen,
    ),
    TableCheck(
        "single-row-label", "labels", "warning", "labels", "with one training row", "add rows, or join such labels to others",
        find=_single_row,
    ),
    TableCheck(
        "rare-label", "labels", "note", "labels", f"with two to {RARE - 1} training rows", "add rows, or join such labels to others",
        find=_rare,
    ),
    TableCheck(
        "unvalidated-label", "labels", "note", "labels", "of training without a validation row",
        "set a larger --validation-fraction, to see how well they are learnt", find=_unvalidated,
    ),
    TableCheck(
        "alike-labels", "labels", "warning", "labels", "with the name of another but for case, blanks and punctuation",
        "write them alike if they are one label", find=_alike,
    ),
    TableCheck(
        "label-blanks", "labels", "warning", "labels", "with blanks at the beginning or the end", "take the blanks out", find=_outer_blanks,
    ),
    TableCheck(
        "placeholder-label", "labels", "warning", "labels", "named like a missing value, such as N/A",
        "leave such rows out, unless the model is to answer so", find=_no_label,
    ),
    TableCheck(
        "imbalance", "labels", "note", "labels", f"with less than a fiftieth of the rows that the most frequent one has, and {RARE} at least",
        "use --class-weights balanced, and look at the macro averages", find=_imbalance,
    ),
    TableCheck(
        "dominant-label", "labels", "warning", "labels", f"that more than {DOMINANT:.0%} of the training rows have",
        "look at F1 and not at the accuracy, which that label alone makes high", find=_dominant,
    ),
    TableCheck(
        "label-in-text", "labels", "note", "labels", "named in nearly all of their texts and not in others",
        "take the name out, unless the texts that the model will be asked about have it too", find=_named_in_text,
    ),
    TableCheck(
        "label-column", "labels", "note", "columns", "with the label's value in all rows, besides the label's own",
        "nothing: training does not read them. Do not add them to --text", find=_label_columns,
    ),
)  # fmt: skip
"""The checks of the whole table."""
