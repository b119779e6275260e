"""`bigbird submission`: the GLUE benchmark's zip from finished evaluations."""

from __future__ import annotations

import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path

from bigbird.manifests import EvaluationManifest
from bigbird.support.errors import InputError
from bigbird.support.temporary_names import temporary_sibling
from bigbird.support.text_files import decode, shown, split_lines
from bigbird.tasks.classification.glue import GLUE_TASKS, GlueSpec

_log = logging.getLogger(__name__)

# Rows of each test set, as the benchmark counts them.
ROWS = {
    "CoLA.tsv": 1063, "SST-2.tsv": 1821, "MRPC.tsv": 1725, "STS-B.tsv": 1379, "QQP.tsv": 390965, "MNLI-m.tsv": 9796,
    "MNLI-mm.tsv": 9847, "QNLI.tsv": 5463, "RTE.tsv": 3000, "WNLI.tsv": 146, "AX.tsv": 1104,
}  # fmt: skip


@dataclass(frozen=True)
class _Entry:
    """A file of the submission: its name there and where it lies."""

    name: str
    path: Path


def write_submission(evaluations: tuple[Path, ...], output: Path, *, partial: bool, overwrite: bool) -> list[str]:
    """Writes the zip: flat, one TSV per test set.

    Args:
        evaluations: evaluation folders of test splits; MNLI gives two.
        output: the zip to write.
        partial: also where test sets are missing or not whole.
        overwrite: replaces an existing zip.

    Returns:
        The names in the zip.

    Raises:
        InputError: an evaluation is no GLUE test set's, two are of the same one, a file does not keep to the
            benchmark's format, or the submission is not whole and `partial` is not set.
    """
    if output.suffix != ".zip":
        raise InputError(f"{output}: expected a file name that ends in .zip")
    if output.exists() and not overwrite:
        raise InputError(f"{output}: exists; choose another name, or pass --overwrite to replace it")
    entries: dict[str, _Entry] = {}
    for folder in evaluations:
        entry = _entry(folder)
        if entry.name in entries:
            raise InputError(
                f"{folder}: and {entries[entry.name].path.parent} both hold {entry.name}; give one of them"
            )
        entries[entry.name] = entry
    contents = {name: entries[name].path.read_bytes() for name in ROWS if name in entries}
    problems = [f"{name}: no evaluation holds it" for name in ROWS if name not in entries]
    problems += [
        f"{entries[name].path}: has {rows:,} predictions; the test set has {ROWS[name]:,}"
        for name, content in contents.items()
        if (rows := _check(entries[name], content)) != ROWS[name]
    ]
    if problems and not partial:
        raise InputError("the submission is not whole; --partial writes it all the same:\n  " + "\n  ".join(problems))
    for problem in problems:
        _log.warning(problem)
    temporary = temporary_sibling(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.items():
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
        temporary.replace(output)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})") from None
    finally:
        temporary.unlink(missing_ok=True)
    return list(contents)


def _entry(folder: Path) -> _Entry:
    """The submission file in an evaluation folder, or in the evaluation of a run's folder."""
    manifest = EvaluationManifest.read(folder)
    task, split = manifest.task, manifest.split
    spec = GLUE_TASKS.get(task)
    if spec is None or split not in spec.submissions:
        splits = (
            f"its {' and '.join(spec.submissions)} split{'s' * (len(spec.submissions) > 1)}" if spec else "GLUE tasks"
        )
        raise InputError(f"{folder}: is an evaluation of {task}'s {split} split; the benchmark takes {splits}")
    manifest.check_files(folder, [spec.submissions[split]])
    return _Entry(spec.submissions[split], folder / spec.submissions[split])


def _check(entry: _Entry, content: bytes) -> int:
    """The number of predictions; `InputError` unless each is as the benchmark spells it."""
    spec = next(spec for spec in GLUE_TASKS.values() if entry.name in spec.submissions.values())
    lines = split_lines(decode(content, str(entry.path), "the file that the evaluate stage wrote"))
    header, *rows = lines or [""]
    if header != "index\tprediction":
        raise InputError(f"{entry.path}:1: has the header {shown(header)}; expected 'index\\tprediction'")
    for number, row in enumerate(rows):
        index, _, prediction = row.partition("\t")
        if index != str(number) or not _is_valid(prediction, spec):
            expected = "a number from 0 to 5" if spec.labels is None else " or ".join(spec.labels)
            raise InputError(f"{entry.path}:{number + 2}: has {shown(row)}; expected {number}, a tab and {expected}")
    return len(rows)


def _is_valid(prediction: str, spec: GlueSpec) -> bool:
    if spec.labels is not None:
        return prediction in spec.labels
    try:
        return 0.0 <= float(prediction) <= 5.0
    except ValueError:
        return False
