"""Answers a table: reads and checks all rows, answers them shard by shard, puts the answers together.

    OUT/work/rows.jsonl   the good rows, checked            (1, here)
    OUT/work/part-*       a shard's answers, and its outcome (2, here or on Beam)
    OUT/predictions.*     all answers                        (3, here)
    OUT/summary.json      what was counted; written last

A job that is interrupted goes on with the shards that are missing. Its bytes are the same however often that happens: what is
answered together depends on the rows alone.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bigbird import storage
from bigbird.manifests import DatasetManifest, PredictionsManifest
from bigbird.serving.model_facts import ModelFacts, read_facts
from bigbird.support.artifacts import json_bytes
from bigbird.support.errors import DamagedError, InputError
from bigbird.support.integrity import Facts, facts_of_file
from bigbird.support.locks import Held, locked
from bigbird.support.progress import Progress, format_duration
from bigbird.support.text_files import amount, shown
from bigbird.tasks.tables.files import LOCAL, Table, TableStorage, find_tables
from bigbird.tasks.tables.reading import column_names
from bigbird.tasks.tables.section import TableFormat
from bigbird.version import provenance
from bigbird_components.predict.answering import JobFiles, answer_shards
from bigbird_components.predict.columns import ColumnOptions, RowColumns, choose_columns
from bigbird_components.predict.job import Identity, JobState, Output, digest_of, input_facts
from bigbird_components.predict.model_files import local_model
from bigbird_components.predict.rows import RowRange, TableInput, read_rows
from bigbird_components.predict.tables import FORMATS, write_table
from bigbird_components.predict.whole_files import copy, new_file

_log = logging.getLogger(__name__)

REJECTED = "rejected.jsonl"
_BUCKETS = TableStorage(storage.open_file, storage.list_names, storage.is_file)


def predict(
    model: str,
    table: str,
    output: str,
    *,
    to: str = "jsonl",
    columns: Mapping[str, Sequence[str]] | None = None,
    id_column: str | None = None,
    keep: Sequence[str] = (),
    keep_all: bool = False,
    table_format: Mapping[str, Any] | None = None,
    max_bad_records: int = 0,
    overwrite: bool = False,
    beam_options: Sequence[str] = (),
) -> PredictionsManifest:
    """Answers every row of a table.

    Args:
        model: folder of a run, a SavedModel or a trained model, here or in a bucket.
        table: a file, a folder or a pattern; CSV, TSV, JSON Lines or Parquet.
        output: the folder to write; one that this job was interrupted in is gone on with.
        to: jsonl, csv or parquet.
        columns: text, text_b, question, context -> columns; default those of the model's training table, or its inputs' names.
        id_column: column of the rows' names; default file and line.
        keep: columns to carry through.
        keep_all: carries through all that are read for nothing else.
        table_format: `format`, `encoding`, `delimiter`, `quoted`, as in a configuration's data section.
        max_bad_records: rows that may be rejected.
        overwrite: replaces what the folder holds.
        beam_options: Apache Beam's, with which shards are answered by its runner; none: in this process.

    Returns:
        The summary, as in summary.json.

    Raises:
        InputError: the model, the table or the options cannot be used.
        ServiceError: a bucket cannot be reached.
    """
    if to not in FORMATS:
        raise InputError(f"--to {to}: expected one of {', '.join(FORMATS)}")
    if max_bad_records < 0:
        raise InputError(f"--max-bad-records {max_bad_records}: expected at least 0")
    section = _section(table_format or {})
    options, output = _beam(beam_options, output, model)
    files = _BUCKETS if storage.is_remote(table) else LOCAL
    for path in (table, output):
        if storage.is_remote(path):
            storage.service_of(path)
    storage.check_output(output, [table, model])
    source = TableInput(_outside(find_tables([table], section, files).tables, output, table), section, files)
    given = ColumnOptions(
        {name: list(names) for name, names in (columns or {}).items()}, id_column, list(keep), keep_all
    )
    with _locked(output) as held:
        facts, fields = _model(model)
        settings = {
            **section.model_dump(),
            "columns": given.texts,
            "id": given.id,
            "keep": given.keep,
            "keep_all": given.keep_all,
            "max_bad_records": max_bad_records,
        }
        identity = Identity(
            version=provenance()["version"],
            model_digest=facts.digest,
            input=input_facts([each.path for each in source.tables]),
            settings=settings,
        )
        job = Output(output)
        state = job.begin(identity, to, overwrite)
        if state is None:
            _log.info(f"{output}: all rows were answered before")
            return job.summary()
        try:
            if state.shards is None:
                try:
                    chosen = _choose(source, fields, facts.dataset, given)
                    state = _read(job, state, source, chosen, max_bad_records)
                except InputError:
                    job.abandon()
                    raise
            shards = [RowRange(*shard) for shard in state.shards or ()]
            job_files = JobFiles(model, facts.digest, job.work)
            _answer(job, job_files, shards, options)
            return _finish(job, job_files, shards, state, to, facts, held.check)
        except (KeyboardInterrupt, SystemExit):
            _log.info(f"{output}: the same command goes on with what is not answered yet")
            raise


def _section(given: Mapping[str, Any]) -> TableFormat:
    try:
        return TableFormat.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        told = problem["ctx"]["error"] if problem["type"] == "value_error" else problem["msg"]
        raise InputError(f"--{problem['loc'][0]}: {told}") from None


def _outside(tables: Sequence[Table], output: str, given: str) -> Sequence[Table]:
    """The tables without those of the output folder, which a pattern may match once something is answered."""
    found = [each for each in tables if not storage.holds(output, each.path)]
    if not found:
        raise InputError(f"{given}: matches only files of the output folder {output}; expected tables to answer")
    left = len(tables) - len(found)
    if left:
        _log.info(f"{given}: {left:,} of the files that match are left out, as they are in the output folder {output}")
    return found


def _beam(flags: Sequence[str], output: str, model: str) -> tuple[Any, str]:
    """Beam's options, None without any, and the output folder by the name under which its workers reach it."""
    if not flags:
        return None, output
    if find_spec("apache_beam") is None:
        raise InputError(
            f"{flags[0]}: is for Apache Beam, which is not installed in this environment; pip install apache-beam"
        )
    from bigbird_components.beam_options import parse_options, sees_this_machine

    options = parse_options(flags, _OWN)
    if sees_this_machine(options):
        return options, output
    output = storage.for_workers(output)
    for path, what in ((output, "write"), (model, "read")):
        if not storage.is_remote(path):
            raise InputError(
                f"{path}: a remote runner's workers cannot {what} here; expected a bucket, gs://... or s3://..."
            )
    return options, output


# The command's own options, to suggest where one is misspelt.
_OWN = (
    "model", "output", "to", "text", "text_b", "question", "context", "id", "keep", "keep_all", "format", "encoding", "delimiter", "quoted", "no_quoted",
    "max_bad_records", "overwrite",
)  # fmt: skip


def _locked(output: str) -> AbstractContextManager[Held]:
    if storage.is_remote(output):
        return storage.locked_in_bucket(output, "bigbird predict")
    place = Path(output).resolve()
    if place.exists() and not place.is_dir():
        raise InputError(f"{output}: is a file; expected a folder to write to")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output}: cannot be made ({error}); give another output folder") from None
    return locked(place, "bigbird predict")


def _model(model: str) -> tuple[ModelFacts, Sequence[str]]:
    """What the model's files say, and its inputs. An exported model is not loaded yet."""
    with local_model(model) as folder:
        facts = read_facts(folder)
        if facts.fields is not None:
            return facts, facts.fields
        from bigbird.serving.text_model import load_model

        return facts, load_model(folder).fields


def _choose(
    table: TableInput, fields: Sequence[str], dataset: DatasetManifest | None, given: ColumnOptions
) -> RowColumns:
    first, *others = table.tables
    names = column_names(first, table.section, table.storage)
    more = [name for each in others if given.keep_all for name in column_names(each, table.section, table.storage)]
    chosen = choose_columns(fields, given, first, names, more, dataset)
    for field, used in chosen.fields.items():
        _log.info(f"{field} is read from {' and '.join(shown(name, 60) for name in used)}")
    return chosen


def _read(job: Output, state: JobState, table: TableInput, chosen: RowColumns, max_bad_records: int) -> JobState:
    job_files = JobFiles("", "", job.work)
    shards, rejected = read_rows(
        table,
        chosen,
        max_bad_records=max_bad_records,
        rows_file=job_files.rows,
        rejected_file=job_files.rejected,
    )
    if input_facts([each.path for each in table.tables]) != state.identity.input:
        raise InputError(f"{table.tables[0].path}: was changed while it was read; give a file that nobody writes")
    read = JobState(
        identity=state.identity,
        shards=[list(shard) for shard in shards],
        rejected=rejected,
        fields={field: list(used) for field, used in chosen.fields.items()},
    )
    job.save(read)
    return read


def _answer(job: Output, files: JobFiles, shards: Sequence[RowRange], options: Any) -> None:
    done = job.answered(shards)
    missing = [shard for shard in shards if shard.number not in done]
    total, before = (sum(shard.rows for shard in some) for some in (shards, [s for s in shards if s.number in done]))
    if done:
        _log.info(f"{before:,} of {total:,} rows were answered before")
    if not missing:
        return
    progress = Progress("answer", total)
    started, count = time.monotonic(), before

    def told(rows: int) -> None:
        nonlocal count
        count += rows
        progress.update(count, "rows")

    progress.prepare(before, "rows, loading the model")
    if options is None:
        answer_shards(files, missing, told)
    else:
        from bigbird_components.predict.beam_run import answer_on_beam

        def there() -> int:
            found = job.answered(shards)
            return sum(shard.rows for shard in shards if shard.number in found)

        answer_on_beam(files, missing, options, there, progress)
    progress.finish(f"answered {total - before:,} rows in {format_duration(time.monotonic() - started)}")


def _finish(
    job: Output,
    files: JobFiles,
    shards: Sequence[RowRange],
    state: JobState,
    to: str,
    facts: ModelFacts,
    check_lock: Callable[[], None],
) -> PredictionsManifest:
    """Puts the answers together and makes the folder whole."""
    check_lock()
    outcomes = [json.loads(storage.read_bytes(files.outcome(shard))) for shard in shards]
    parts = [files.part(shard) for shard in shards]
    for shard, part, outcome in zip(shards, parts, outcomes, strict=True):
        _check_part(part, outcome, files.outcome(shard))
    job.clear()
    name = f"predictions.{to}"
    checksums: dict[str, Facts] = {name: write_table(parts, to, job.path(name))}
    if state.rejected:
        with new_file(job.path(REJECTED)) as file:
            copy(files.rejected, file)
        checksums[REJECTED] = file.facts()
    labels: Counter[str] = Counter()
    renamed: dict[str, str] = {}
    for outcome in outcomes:
        labels.update(outcome["labels"])
        renamed |= outcome["renamed"]
    answered, seconds = sum(shard.rows for shard in shards), sum(outcome["seconds"] for outcome in outcomes)
    cuts = [outcome["cut"] for outcome in outcomes]
    manifest = PredictionsManifest(
        task=facts.task,
        model=files.model,
        model_digest=facts.digest,
        job=digest_of(state.identity),
        input=state.identity.input,
        fields=state.fields,
        files=[name],
        answered=answered,
        cut=None if None in cuts else sum(cuts),
        rejected=state.rejected,
        labels=dict(labels.most_common()),
        renamed=renamed,
        seconds=round(seconds, 3),
        rows_per_second=round(answered / seconds, 1) if seconds else 0.0,
        **provenance(),
    ).sealed(checksums)
    check_lock()
    job.whole(json_bytes(manifest.to_json()))
    _say(manifest, job.folder)
    return manifest


def _check_part(part: str, outcome: Mapping[str, Any], file: str) -> None:
    """Refuses answers that are not what was written; `write_table` reads them next.

    Args:
        part: the file of answers.
        outcome: what was noted of it.
        file: where that was noted; deleted where it does not hold, so that the rows are answered again.
    """
    if storage.is_remote(part):
        entry = storage.entry_of(part)
        size = entry.size if entry else -1
        same = size == outcome["bytes"]
    else:
        same = Path(part).is_file() and facts_of_file(part) == {name: outcome[name] for name in ("bytes", "sha256")}
    if not same:
        storage.delete([file])
        raise DamagedError(f"{part}: is not what was written; call the command again, which answers its rows anew")


def _say(manifest: PredictionsManifest, output: str) -> None:
    cut = "" if not manifest.cut else f", of which {manifest.cut:,} are longer than the model reads"
    _log.info(f"answered {manifest.answered:,} rows{cut}, {manifest.rows_per_second:,.0f} rows/s")
    if manifest.cut is None:
        _log.info("how many are longer than the model reads is not known: an earlier version exported the model")
    if manifest.rejected:
        _log.info(f"rejected {amount(manifest.rejected, 'row')}, see {REJECTED}")
    for name, other in manifest.renamed.items():
        _log.info(f"column {shown(name, 60)} is written as {shown(other, 60)}, as the answers have one of its name")
    if manifest.labels:
        told = [f"{label} {count:,}" for label, count in list(manifest.labels.items())[:10]]
        more = len(manifest.labels) - len(told)
        _log.info(f"labels: {', '.join(told)}{f' and {more:,} more' if more else ''}")
    _log.info(f"answers written to {storage.join(output, manifest.files[0])}")
