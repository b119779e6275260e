"""The preprocessing stage: raw files in, a dataset folder out.

Read and check (here) -> JSON lines -> encode (Beam, a TFRecord file per shard) -> manifest. All mistakes in the input
are found while reading, before Beam starts; nothing is written to the output's place until all of it is there.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from bigbird import integrity
from bigbird.artifacts import MANIFESTS, json_bytes
from bigbird.errors import InputError
from bigbird.integrity import Facts
from bigbird.tasks.family import Source
from bigbird.tasks.records import BadRecords
from bigbird.tasks.registry import family_of_task
from bigbird.tasks.statistics import Statistics
from bigbird.version import provenance
from bigbird.vocabulary import Vocabulary, train_vocabulary
from components.preprocess import storage
from components.preprocess.beam_run import is_local, parse_options, run_shards
from components.preprocess.sources import Lines, find_sources, read_source
from components.preprocess.summary import summary_page

VOCABULARY = "vocab.model"
WORK = "work"  # a folder inside the output's, gone when it is whole


def preprocess(
    task: str,
    output: str,
    input: str | None = None,  # noqa: A002 - the command's --input
    train_file: str | None = None,
    validation_file: str | None = None,
    test_file: str | None = None,
    vocabulary: str | None = None,
    vocabulary_size: int = 8000,
    max_length: int | None = None,
    doc_stride: int | None = None,
    query_length: int | None = None,
    lower_case: bool = False,
    max_bad_records: int = 0,
    beam_options: Sequence[str] | str = (),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Makes a dataset folder.

    Args:
        task: its name.
        output: the folder to write, here or in a bucket.
        input: the folder with the task's official files.
        train_file, validation_file, test_file: single files instead of, or beside, the folder's. For MNLI the matched ones.
        vocabulary: a SentencePiece `.model`; None trains one on the training text.
        vocabulary_size: pieces of the vocabulary trained here.
        max_length: most tokens of a record; default the task family's, like the next two.
        doc_stride: tokens from one window to the next (SQuAD, TriviaQA).
        query_length: most tokens of a question (SQuAD, TriviaQA).
        lower_case: lower-cases all text.
        max_bad_records: records that may be skipped.
        beam_options: Apache Beam's options, `--name=value`; or all in one string, quoted as in a shell.
        overwrite: replaces an output folder that holds files.

    Returns:
        The manifest, as in `dataset.json`.

    Raises:
        InputError: anything wrong with the input or the options.
    """
    started = time.monotonic()
    given = {"max_length": max_length, "doc_stride": doc_stride, "query_length": query_length}
    family = family_of_task(task)
    settings = dict(family.defaults) | {name: value for name, value in given.items() if value is not None}
    _check(vocabulary_size, max_bad_records)
    family.check_settings(settings)
    inputs = [path for path in (input, train_file, validation_file, test_file, vocabulary) if path]
    for path in (output, *inputs):
        storage.check(path)
    options = parse_options(beam_options)
    target = _target(output, options)
    storage.check_output(target, inputs)
    sources = find_sources(task, input, {"train": train_file, "validation": validation_file, "test": test_file})
    own = None
    if vocabulary:  # what is wrong with it is said before any long work
        own = Vocabulary(storage.read_bytes(vocabulary, "SentencePiece vocabulary"), lower_case, name=vocabulary)
    bad = BadRecords(max_bad_records)
    with storage.output_folder(target, overwrite=overwrite) as folder:
        storage.make_folder(storage.join(folder, WORK))
        splits = [read_source(source, task, _lines_path(source, folder), bad) for source in sources]
        pieces = own or Vocabulary(_train_vocabulary(task, splits, vocabulary_size), lower_case)
        with storage.create(storage.join(folder, VOCABULARY)) as file:
            file.write(pieces.serialized)
        statistics, checksums = _encode(task, splits, folder, settings, lower_case, options)
        checksums[VOCABULARY] = integrity.facts_of_bytes(pieces.serialized)
        checksums |= {storage.name(split.path): split.facts for split in splits if split.split != "train"}
        storage.delete([storage.join(folder, WORK)])
        manifest = _manifest(task, splits, statistics, settings)
        manifest["vocabulary"] = _vocabulary_facts(pieces, trained_here=own is None)
        manifest |= {"rejected": len(bad.rejected), **provenance()}
        manifest = _write_texts(folder, manifest, bad, checksums)
    _say(manifest, output, time.monotonic() - started)
    return manifest


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


def _lines_path(source: Source, folder: str) -> str:
    """Evaluation splits keep their JSON lines in the dataset; training's are only for the workers."""
    name = f"{source.split}.examples.jsonl"
    return storage.join(folder, WORK, name) if source.split == "train" else storage.join(folder, name)


def _train_vocabulary(task: str, splits: list[Lines], size: int) -> bytes:
    training = next((split for split in splits if split.split == "train"), None)
    if training is None:
        raise InputError("no vocabulary is given and there is no training file to train one on; pass --vocabulary")
    print(f"training a vocabulary of {size:,} pieces", file=sys.stderr)
    return train_vocabulary(_texts(task, training.path), size)


def _texts(task: str, lines_path: str) -> Iterator[str]:
    """Every text of a file of JSON lines, contexts once."""
    family = family_of_task(task)
    for line in storage.read_bytes(lines_path, "training text").splitlines():
        yield from family.texts(json.loads(line))


def _encode(
    task: str, splits: list[Lines], folder: str, settings: dict[str, int], lower_case: bool, options: Any
) -> tuple[dict[str, Statistics], dict[str, Facts]]:
    """Writes the TFRecord files; gives each split's statistics and each file's facts.

    Raises:
        InputError: what a worker found wrong with an example, or that it ended early.
        WorkerError: a bug of ours in a worker.
    """
    from components.preprocess.shards import Encoding, Shard, read_outcome

    encoding = Encoding(
        task=task,
        vocabulary=storage.join(folder, VOCABULARY),
        lower_case=lower_case,
        labelled=frozenset(split.split for split in splits if split.labelled),
        evaluation=frozenset(split.split for split in splits if split.split != "train"),
        settings=settings,
    )
    done = storage.join(folder, WORK, "done")
    storage.make_folder(done)
    shards = [
        Shard(split.split, split.path, *cut, storage.join(folder, name), storage.join(done, f"{name}.json"))
        for split in splits
        for name, cut in zip(split.files, split.cuts, strict=True)
    ]
    run_shards(shards, encoding, options, done)
    statistics = {split.split: Statistics() for split in splits}
    checksums: dict[str, Facts] = {}
    for shard in shards:
        found, facts = read_outcome(shard)
        statistics[shard.split].merge(found)
        checksums[storage.name(shard.output)] = facts
    return statistics, checksums


def _manifest(
    task: str, splits: list[Lines], statistics: dict[str, Statistics], settings: dict[str, int]
) -> dict[str, Any]:
    """What `dataset.json` says of task and splits."""
    family, labels = family_of_task(task), family_of_task(task).labels(task)
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


def _vocabulary_facts(vocabulary: Vocabulary, *, trained_here: bool) -> dict[str, Any]:
    return {
        "file": VOCABULARY,
        "sha256": vocabulary.sha256,
        "size": vocabulary.size,
        "lower_case": vocabulary.lower_case,
        "trained_here": trained_here,
    }


def _write_texts(folder: str, manifest: dict[str, Any], bad: BadRecords, checksums: dict[str, Facts]) -> dict[str, Any]:
    """rejected.jsonl, report.html and, last, the manifest; gives the manifest as written."""

    def write(name: str, text: str) -> None:
        content = text.encode("utf-8", "backslashreplace")
        storage.write_bytes(storage.join(folder, name), content)
        checksums[name] = integrity.facts_of_bytes(content)

    if bad.rejected:
        lines = "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in bad.rejected)
        write("rejected.jsonl", lines)
    write("report.html", summary_page(manifest, bad.rejected))
    manifest = integrity.sealed({**manifest, integrity.CHECKSUMS: checksums})
    storage.write_bytes(storage.join(folder, MANIFESTS["dataset"]), json_bytes(manifest))
    return manifest


def _say(manifest: dict[str, Any], output: str, seconds: float) -> None:
    for split, facts in manifest["splits"].items():
        cut = f", {facts['truncated']:,} truncated" if facts["truncated"] else ""
        counts = f"{facts['examples']:,} examples, {facts['records']:,} records, {facts['tokens']:,} tokens{cut}"
        print(f"{split}: {counts}", file=sys.stderr)
    if manifest["rejected"]:
        print(f"rejected: {manifest['rejected']:,} records, see rejected.jsonl", file=sys.stderr)
    print(f"dataset written to {output} in {seconds:.1f} s; its report is report.html there", file=sys.stderr)
