"""The check of a user's own tables: every finding that can be had without training, in one pass over the rows.

In memory are some 340 bytes of a row (see `collected`), whatever its length, and while the findings are counted as much again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bigbird.manifests import (
    CheckedFile,
    CheckManifest,
    EvaluationManifest,
    ExampleFacts,
    FindingFacts,
    LengthShare,
    SuspectFacts,
    TextLengths,
)
from bigbird.storage import check_output, is_remote, join
from bigbird.support.errors import ChecksFailed, InputError
from bigbird.support.new_folders import new_folder
from bigbird.support.progress import Progress, format_duration
from bigbird.support.text_files import shown
from bigbird.tasks.raw_input import Inputs
from bigbird.tasks.registry import answering_family, checked_task_names, data_section_keys, family_of_task
from bigbird.tasks.table_rows import SPLITS
from bigbird.version import provenance
from bigbird_components import raw_files
from bigbird_components.check.collected import Collected
from bigbird_components.check.kinds import GROUPS, Check, Example, Found
from bigbird_components.check.report_page import findings_page
from bigbird_components.check.suspects import Suspect, suspects
from bigbird_components.check.table_checks import LENGTHS, TABLE_CHECKS
from bigbird_components.check.texts import ROW_CHECKS
from bigbird_components.check.wording import counted, doubt, suspect_place

_log = logging.getLogger(__name__)

SUSPECTS = Check(
    "suspect-label",
    "suspects",
    "warning",
    "rows",
    "whose label is probably wrong, as the model of --predictions is confident of another one",
    "look at them, the least likely first",
)
CHECKS: tuple[Check, ...] = (*TABLE_CHECKS, *ROW_CHECKS)
REPORT = "report.html"
NONE = "none"
"""Of `fail_on`: nothing is to fail."""

_PROGRESS = 1000  # rows from one line to the next


def check_names() -> tuple[str, ...]:
    """What `--fail-on` takes: names of checks, and of groups of them."""
    return (*GROUPS, SUSPECTS.group, *(check.name for check in CHECKS), SUSPECTS.name)


def parse_fail_on(text: str, option: str = "--fail-on") -> tuple[str, ...]:
    """The checks and groups in a list with commas between; none of "none" and of nothing.

    Raises:
        InputError: one is no check and no group.
    """
    names = [name for part in text.split(",") if (name := part.strip())]
    wrong = next((name for name in names if name not in check_names() and name != NONE), None)
    if wrong is not None:
        raise InputError(
            f"{option} {shown(wrong)}: is no check; expected {NONE}, or some of the groups {', '.join((*GROUPS, SUSPECTS.group))} and the checks "
            f"{', '.join(check.name for check in (*CHECKS, SUSPECTS))}, with commas between"
        )
    return tuple(dict.fromkeys(name for name in names if name != NONE))


def check(
    input: str | None = None,  # noqa: A002 - as preprocessing has it
    output: str | None = None,
    task: str | None = None,
    train_file: str | None = None,
    validation_file: str | None = None,
    test_file: str | None = None,
    section: Mapping[str, Any] | None = None,
    vocabulary: str | None = None,
    predictions: str | None = None,
    fail_on: str = NONE,
    examples: int = 5,
    overwrite: bool = False,
) -> CheckManifest:
    """Checks a user's own tables.

    Args:
        input: a file, a folder or a pattern, from which the splits are cut.
        output: the folder to write check.json and report.html to; None writes none.
        task: by whose rules the tables are read; None takes the first one that has the section's keys and reads such files.
        train_file, validation_file, test_file: files of splits, in place of `input` or beside it.
        section: the configuration's data section: the columns, and how splits are cut.
        vocabulary: counts tokens, as `bigbird.Vocabulary` takes it; None estimates them.
        predictions: the folder of an evaluation, whose probabilities tell which labels are probably wrong.
        fail_on: names of checks and groups, with commas between.
        examples: how many of a finding are told.
        overwrite: replaces an output folder that holds files.

    Returns:
        The manifest, as in check.json.

    Raises:
        InputError: the tables cannot be read, or an option is wrong, or the output folder holds what is read.
    """
    started = time.monotonic()
    asked = parse_fail_on(fail_on)
    files = {"train": train_file, "validation": validation_file, "test": test_file}
    inputs = Inputs(input or "", {split: path for split, path in files.items() if path}, section or {})
    if output is not None:
        check_output(output, [path for path in (input, *files.values(), vocabulary, predictions) if path])
    task = task or _fitting_task(inputs)
    count_tokens = _counter(vocabulary) if vocabulary else None
    doubtful = _suspects(predictions) if predictions else None

    def checked() -> CheckManifest:
        table = _read(task, inputs, count_tokens, examples)
        findings = [_finding(each, found) for each, found in _findings(table)]
        if doubtful is not None:
            findings.append(_finding(SUSPECTS, _doubts(*doubtful, examples)))
        failed = [each.check for each in findings if each.count and {each.check, each.group} & set(asked)]
        return CheckManifest(
            task=task,
            **_facts(table),
            findings=findings,
            suspects=None if doubtful is None else doubtful[0],
            fail_on=list(asked),
            failed=failed,
            seconds=round(time.monotonic() - started, 2),
            **provenance(),
        )

    if output is None:
        return checked()
    with new_folder(output, overwrite=overwrite) as folder:
        manifest = checked()
        (folder / REPORT).write_text(findings_page(manifest), encoding="utf-8", errors="backslashreplace")
        manifest = manifest.write(folder)
    _log.info(
        f"checked {manifest.rows:,} rows in {format_duration(manifest.seconds)}; the report is {join(output, REPORT)}"
    )
    return manifest


def refuse_failed(manifest: CheckManifest) -> None:
    """Raises `ChecksFailed` where a check that was asked for found something."""
    if not manifest.failed:
        return
    told = [
        f"{each.check}: {counted(each)}{f' (first: {each.examples[0].place})' if each.examples and each.examples[0].place else ''}"
        for each in manifest.findings
        if each.check in manifest.failed
    ]
    raise ChecksFailed("the data fail checks that were asked for (--fail-on):\n" + "\n".join(told))


def _fitting_task(inputs: Inputs) -> str:
    """The task that tells by the data section's keys and by the names of the files."""
    tasks = checked_task_names()
    having = [task for task in tasks if inputs.section.keys() <= data_section_keys(task)] or list(tasks)
    form = inputs.section.get("format")
    if form not in (None, "auto"):
        having = [task for task in having if _reads(task, form)] or having
    for path in filter(None, (inputs.path, *inputs.files.values())):
        names = (
            [path]
            if any(mark in path for mark in "*?[") or raw_files.is_file(path)
            else raw_files.list_names(path) or [path]
        )
        reading = [task for task in having if any(map(family_of_task(task).is_table, names))]
        having = reading or having
    return having[0]


def _reads(task: str, form: str) -> bool:
    option = family_of_task(task).table_options.get("format")
    return option is not None and form in option.choices


def _counter(vocabulary: str) -> Callable[[Sequence[str]], Sequence[int]]:
    from bigbird.text.files import read_vocabulary
    from bigbird.text.vocabulary import Vocabulary

    file, content = read_vocabulary(vocabulary, raw_files.VocabularyFiles())
    pieces = Vocabulary(content, name=file)
    return lambda texts: [len(ids) + 2 for ids in pieces.encode(texts)]


def _read(
    task: str, inputs: Inputs, count_tokens: Callable[[Sequence[str]], Sequence[int]] | None, examples: int
) -> Collected:
    source = family_of_task(task).rows_to_check(inputs, raw_files)
    for split, path in source.files:
        _log.info(f"reading {path}{'' if len(source.named) == 1 else f' ({split})'}")
    table = Collected(source, count_tokens, examples)
    progress = Progress("check rows")
    for row in source.read(table.unreadable):
        table.add(row)
        if not table.rows % _PROGRESS:
            progress.update(table.rows)
    progress.finish()
    if not table.rows:
        raise InputError(f"{source.files[0][1]}: has no row that can be read; expected rows under a header")
    table.close(source.outcome())
    return table


def _findings(table: Collected) -> list[tuple[Check, Found]]:
    return [
        *((check, check.find(table)) for check in TABLE_CHECKS),
        *((check, table.row_findings[check.name]) for check in ROW_CHECKS),
    ]


def _finding(check: Check, found: Found) -> FindingFacts:
    return FindingFacts(
        check=check.name,
        group=check.group,
        severity=check.severity,
        count=found.number,
        unit=check.unit,
        counts=check.counts,
        told=found.told,
        remedy=check.remedy,
        examples=[ExampleFacts(place=example.place, told=example.told) for example in found.examples],
    )


def _facts(table: Collected) -> dict[str, Any]:
    """What the manifest says of the table itself."""
    source = table.source
    return {
        "files": [
            CheckedFile(path=path, split=split, rows=rows)
            for (split, path), rows in zip(source.files, table.rows_of_file, strict=True)
        ],
        "columns": {key: list(names) for key, names in source.columns.items()},
        "other_columns": list(source.other_columns),
        "rows": table.rows,
        "splits": {split: rows for split, rows in table.split_sizes().items() if rows},
        "kind": table.outcome.kind,
        "labels": {
            label: {split: int(counts[at]) for at, split in enumerate(SPLITS) if table.split_sizes()[split]}
            for label, counts in table.label_counts.items()
        },
        "lengths": _lengths(table),
    }


def _lengths(table: Collected) -> TextLengths:
    tokens = table["tokens"].astype(np.int64)
    return TextLengths(
        exact=table.counted,
        median=int(np.median(tokens)),
        most_95=int(np.quantile(tokens, 0.95)),
        longest=int(tokens.max()),
        total=int(tokens.sum()),
        longer=[
            LengthShare(
                tokens=bound, rows=int(np.count_nonzero(tokens > bound)), lost=int(np.maximum(tokens - bound, 0).sum())
            )
            for bound in LENGTHS
        ],
    )


def _suspects(predictions: str) -> tuple[list[SuspectFacts], str]:
    """The rows whose label is probably wrong, and how good the model is that says so."""
    if is_remote(predictions):
        raise InputError(f"--predictions {predictions}: expected a folder of this machine; copy the evaluation here")
    folder = Path(predictions)
    evaluation = EvaluationManifest.read(folder)
    found = suspects(answering_family(evaluation.task).answers(folder))
    told = ""
    if evaluation.primary and evaluation.baseline:
        told = (
            f"the model's {evaluation.primary.name} is {evaluation.primary.value:.4f}, the best constant answer's {evaluation.baseline.value:.4f}: "
            "one that is hardly better says nothing about labels"
        )
    return [_suspect_facts(each) for each in found], told


def _doubts(found: Sequence[SuspectFacts], told: str, examples: int) -> Found:
    first = [Example(suspect_place(each.file, each.line, each.id), doubt(each)) for each in found[:examples]]
    return Found(len(found), first, told)


def _suspect_facts(suspect: Suspect) -> SuspectFacts:
    return SuspectFacts(
        id=suspect.answer.id,
        file=suspect.answer.file,
        line=suspect.answer.line,
        label=suspect.label,
        suggested=suspect.suggested,
        given=round(suspect.given, 6),
        better=round(suspect.better, 6),
    )
