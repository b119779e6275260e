"""The preprocessing stage: raw files in, a dataset folder out.

Read and check (here) -> JSON lines -> encode (Beam, a TFRecord file per shard) -> manifest. All mistakes in the input
are found while reading, before Beam starts; nothing is written to the output's place until all of it is there.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from bigbird.manifests import DatasetManifest, VocabularyFacts
from bigbird.support import integrity
from bigbird.support.artifacts import MANIFESTS, json_bytes
from bigbird.support.errors import InputError
from bigbird.support.integrity import Facts
from bigbird.support.text_files import amount
from bigbird.tasks.family import TaskFamily
from bigbird.tasks.raw_input import Inputs, Reading, Source
from bigbird.tasks.records import BadRecords
from bigbird.tasks.registry import family_of_task
from bigbird.tasks.statistics import Statistics
from bigbird.text.files import read_vocabulary
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary
from bigbird.version import provenance
from bigbird_components.preprocess import storage
from bigbird_components.preprocess.beam_run import is_local, parse_options
from bigbird_components.preprocess.encoder import Encoder
from bigbird_components.preprocess.reading import Lines, find_sources, read_source, read_tables
from bigbird_components.preprocess.report_page import reading_lines, summary_page
from bigbird_components.raw_files import VocabularyFiles

_log = logging.getLogger(__name__)


def preprocess(
    task: str,
    output: str,
    input: str | None = None,  # noqa: A002 - the command's --input
    train_file: str | None = None,
    validation_file: str | None = None,
    test_file: str | None = None,
    vocabulary: str | None = None,
    vocabulary_size: int = 8000,
    lower_case: bool | None = None,
    max_bad_records: int = 0,
    beam_options: Sequence[str] | str = (),
    overwrite: bool = False,
    section: Mapping[str, Any] | None = None,
    **settings: Any,
) -> DatasetManifest:
    """Makes a dataset folder.

    Args:
        task: its name.
        output: the folder to write, here or in a bucket.
        input: the folder with the task's official files; or of a user's own tables a file, a folder or a pattern.
        train_file, validation_file, test_file: single files instead of, or beside, the folder's. For MNLI the matched ones.
        vocabulary: a file or folder that `bigbird.Vocabulary` takes; None trains one, of SentencePiece, on the training text.
        vocabulary_size: pieces of the vocabulary trained here.
        lower_case: lower-cases all text; None does as the vocabulary says, which one of SentencePiece does not.
        max_bad_records: records that may be skipped.
        beam_options: Apache Beam's options, `--name=value`; or all in one string, quoted as in a shell.
        overwrite: replaces an output folder that holds files.
        section: the configuration's data section: the columns of a user's own tables.
        settings: the task family's own, as `TaskFamily.defaults` names them (`max_length`, `doc_stride`); None takes the default.

    Returns:
        The manifest, as in `dataset.json`.

    Raises:
        InputError: anything wrong with the input or the options.
    """
    started = time.monotonic()
    family = family_of_task(task)
    settings = _settings(family, task, settings)
    _check(vocabulary_size, max_bad_records)
    family.check_settings(settings, section or {})
    inputs = [path for path in (input, train_file, validation_file, test_file, vocabulary) if path]
    for path in (output, *inputs):
        storage.check(path)
    options = parse_options(beam_options)
    target = _target(output, options)
    storage.check_output(target, inputs)
    files = {"train": train_file, "validation": validation_file, "test": test_file}
    named = Inputs(input or "", {split: path for split, path in files.items() if path}, section or {})
    source = named if family.reads_tables(named) else find_sources(task, input, files)
    own = None
    if vocabulary:  # what is wrong with it is said before any long work
        file, content = read_vocabulary(vocabulary, VocabularyFiles())
        own = Vocabulary(content, lower_case, name=file)
    bad = BadRecords(max_bad_records)
    with storage.output_folder(target, overwrite=overwrite) as (folder, check):
        storage.make_folder(storage.join(folder, storage.WORK))
        if own is not None:
            storage.write_bytes(storage.join(folder, own.file), own.serialized)
        with Encoder(task, folder, settings, own, options) as encoder:
            splits, reading = _read(family, task, source, folder, bad, encoder)
            labels = family.labels(task) if reading is None else reading.labels
            pieces = own or Vocabulary(_train_vocabulary(task, splits, vocabulary_size), lower_case)
            if own is None:
                storage.write_bytes(storage.join(folder, pieces.file), pieces.serialized)
                encoder.vocabulary = pieces
            statistics, checksums = encoder.encode(splits, labels)
        checksums[pieces.file] = integrity.facts_of_bytes(pieces.serialized)
        checksums |= {storage.name(split.path): split.facts for split in splits if _keeps_lines(family, split.split)}
        check()
        storage.delete_work(folder)
        stated = _stated(task, splits, statistics, settings, labels)
        if reading is not None:
            stated |= {"metrics": list(reading.metrics), **reading.facts}
        stated["vocabulary"] = _vocabulary_facts(pieces, trained_here=own is None)
        manifest = DatasetManifest(**stated, rejected=len(bad.rejected), **provenance())
        manifest = _write_texts(folder, manifest, bad, checksums, check)
    _say(manifest, output, time.monotonic() - started)
    return manifest


def _read(
    family: TaskFamily, task: str, source: Inputs | list[Source], folder: str, bad: BadRecords, encoder: Encoder
) -> tuple[list[Lines], Reading | None]:
    """Reads and checks the input.

    Args:
        family, task: what it is for.
        source: a user's own tables, or the task's official files.
        folder: the dataset's.
        bad: takes the records that are skipped.
        encoder: may begin while a user's own tables are read.

    Returns:
        The lines of each split, and what was found in a user's own tables.
    """
    if not isinstance(source, Inputs):
        return [read_source(one, task, _lines_path(family, one.split, folder), bad) for one in source], None
    work = None if storage.is_remote(folder) else storage.join(folder, storage.WORK)
    reading, splits = read_tables(
        family,
        source,
        work,
        lambda split: _lines_path(family, split, folder),
        bad,
        encoder.expect,
        encoder.begin,
    )
    return splits, reading


def _check(vocabulary_size: int, max_bad_records: int) -> None:
    if vocabulary_size < 1 or max_bad_records < 0:
        raise InputError(
            f"vocabulary_size must be at least 1 and max_bad_records at least 0; found {vocabulary_size} and {max_bad_records}"
        )


def _target(output: str, options: Any) -> str:
    """The output folder by the name under which the runner's workers reach it."""
    if is_local(options):
        return output
    target = storage.for_workers(output)
    if not storage.is_remote(target):
        raise InputError(
            f"{output}: a remote runner's workers cannot write here; expected a bucket, gs://... or /gcs/..."
        )
    return target


def _settings(family: TaskFamily, task: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The family's settings: its defaults, with what was given."""
    settings = dict(family.defaults)
    for name, value in given.items():
        if value is not None and name not in settings:
            raise InputError(f"--{name}: task {task} has no such setting; it has {', '.join(settings)}")
    return settings | {name: value for name, value in given.items() if value is not None}


def _keeps_lines(family: TaskFamily, split: str) -> bool:
    """Whether a split's JSON lines stay in the dataset: all but training's do, which most families need for the workers only."""
    return split != "train" or family.keeps_training_lines


def _lines_path(family: TaskFamily, split: str, folder: str) -> str:
    name = f"{split}.examples.jsonl"
    return storage.join(folder, name) if _keeps_lines(family, split) else storage.join(folder, storage.WORK, name)


def _train_vocabulary(task: str, splits: list[Lines], size: int) -> bytes:
    training = next((split for split in splits if split.split == "train"), None)
    if training is None:
        raise InputError("no vocabulary is given and there is no training file to train one on; pass --vocabulary")
    family = family_of_task(task)
    every = -(-training.size // family.vocabulary_bytes) if family.vocabulary_bytes else 1
    sample = f" on one of {every} training examples" if every > 1 else ""
    _log.info(f"training a vocabulary of {size:,} pieces{sample}")
    return train_vocabulary(_texts(family, training.path, training.size, every), size)


def _texts(family: TaskFamily, path: str, size: int, every: int) -> Iterator[str]:
    """The texts of a file of JSON lines, the first of every `every` lines; contexts once."""
    with storage.open_range(path, 0, size) as lines:
        for line in islice(lines, 0, None, every):
            yield from family.texts(json.loads(line))


def _stated(
    task: str,
    splits: list[Lines],
    statistics: dict[str, Statistics],
    settings: dict[str, Any],
    labels: Sequence[str] | None,
) -> dict[str, Any]:
    """What `dataset.json` says of task and splits."""
    family = family_of_task(task)
    facts = {
        split.split: {"files": split.files, "labelled": split.labelled, **statistics[split.split].to_json()}
        for split in splits
    }
    return {
        "task": task,
        "experiment_type": family.experiment_type,
        "labels": list(labels) if labels else None,
        "metrics": list(family.metrics(task)),
        "splits": facts,
        **family.manifest_facts(task, settings),
    }


def _vocabulary_facts(vocabulary: Vocabulary, *, trained_here: bool) -> VocabularyFacts:
    return VocabularyFacts(
        file=vocabulary.file,
        kind=vocabulary.kind,
        sha256=vocabulary.sha256,
        size=vocabulary.size,
        lower_case=vocabulary.lower_case,
        settings=vocabulary.settings,
        trained_here=trained_here,
    )


def _write_texts(
    folder: str, manifest: DatasetManifest, bad: BadRecords, checksums: dict[str, Facts], check: Callable[[], None]
) -> DatasetManifest:
    """rejected.jsonl, report.html and, last and after a check, the manifest; gives the manifest as written."""

    def write(name: str, text: str) -> None:
        content = text.encode("utf-8", "backslashreplace")
        storage.write_bytes(storage.join(folder, name), content)
        checksums[name] = integrity.facts_of_bytes(content)

    if bad.rejected:
        lines = "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in bad.rejected)
        write("rejected.jsonl", lines)
    write("report.html", summary_page(manifest, bad.rejected))
    manifest = manifest.sealed(checksums)
    check()
    storage.write_bytes(storage.join(folder, MANIFESTS["dataset"]), json_bytes(manifest.to_json()))
    return manifest


def _say(manifest: DatasetManifest, output: str, seconds: float) -> None:
    for split, facts in manifest.splits.items():
        cut = f", {facts.truncated:,} truncated" if facts.truncated else ""
        counts = f"{facts.examples:,} examples, {facts.records:,} records, {facts.tokens:,} tokens{cut}"
        _log.info(f"{split}: {counts}")
    for line in reading_lines(manifest):
        _log.info(line)
    if manifest.rejected:
        _log.info(f"rejected: {amount(manifest.rejected, 'record')}, see rejected.jsonl")
    _log.info(f"dataset written to {output} in {seconds:.1f} s; its report is report.html there")
