"""The preprocessing stage: raw files in, a dataset folder out.

Read and check (here) -> JSON lines -> encode (Beam, a TFRecord file per shard) -> manifest. All mistakes in the input
are found while reading, before Beam starts; nothing is written to the output's place until all of it is there.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bigbird.artifacts import package_version
from bigbird.errors import InputError
from bigbird.tasks import glue, squad
from bigbird.tasks.records import BadRecords
from bigbird.vocabulary import Vocabulary, train_vocabulary
from components.preprocess import storage
from components.preprocess.beam_run import is_local, parse_options, run_shards
from components.preprocess.sources import Lines, Source, find_sources, read_source
from components.preprocess.statistics import Statistics
from components.preprocess.summary import summary_page

TASKS = (*glue.TASKS, *squad.TASKS)


def preprocess(
    task: str,
    output: str,
    input: str | None = None,  # noqa: A002 - the command's --input
    train_file: str | None = None,
    validation_file: str | None = None,
    test_file: str | None = None,
    vocabulary: str | None = None,
    vocabulary_size: int = 8000,
    max_length: int = 1024,
    doc_stride: int = 128,
    query_length: int = 64,
    lower_case: bool = False,
    max_bad_records: int = 0,
    beam_options: Sequence[str] = (),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Makes a dataset folder.

    Args:
        task: a name of `TASKS`.
        output: the folder to write, here or in a bucket.
        input: the folder with the task's official files.
        train_file, validation_file, test_file: single files instead of, or beside, the folder's. For MNLI the matched ones.
        vocabulary: a SentencePiece `.model`; None trains one on the training text.
        vocabulary_size: pieces of the vocabulary trained here.
        max_length: most tokens of a record.
        doc_stride: tokens from one window to the next (SQuAD).
        query_length: most tokens of a question (SQuAD).
        lower_case: lower-cases all text.
        max_bad_records: records that may be skipped.
        beam_options: Apache Beam's options, `--name=value`.
        overwrite: replaces an output folder that holds files.

    Returns:
        The manifest, as in `dataset.json`.

    Raises:
        InputError: anything wrong with the input or the options.
    """
    if task not in TASKS:
        raise InputError(f"task {task!r} is not known; expected one of {', '.join(TASKS)}")
    started = time.monotonic()
    options = _check_options(task, max_length, doc_stride, query_length, vocabulary_size, max_bad_records)
    pipeline_options = parse_options(beam_options)
    local = is_local(pipeline_options)
    target = output if local else storage.for_workers(output)
    if not local and not storage.is_remote(target):
        raise InputError(
            f"{output}: the workers of a remote runner cannot write here; expected a bucket, gs://... or /gcs/..."
        )
    files = {"train": train_file, "validation": validation_file, "test": test_file}
    sources = find_sources(task, input, files)
    given = storage.read_bytes(vocabulary, "SentencePiece vocabulary") if vocabulary else None
    if given is not None:
        _load_vocabulary(given, lower_case, vocabulary)  # before any long work
    bad = BadRecords(max_bad_records)
    with storage.output_folder(target, overwrite=overwrite) as folder:
        work = storage.join(folder, "work")
        storage.make_folder(work)
        splits = [read_source(source, task, _lines_path(source, folder), bad) for source in sources]
        model = given if given is not None else _train_vocabulary(task, splits, vocabulary_size)
        pieces = _load_vocabulary(model, lower_case, vocabulary or "the trained vocabulary")
        with storage.create(storage.join(folder, "vocab.model")) as file:
            file.write(model)
        statistics, names = _encode(task, splits, folder, options, lower_case, pipeline_options)
        storage.delete([work])
        manifest = {
            "format": 1,
            "task": task,
            "experiment_type": "bigbird/glue" if task in glue.TASKS else "bigbird/squad",
            "labels": _labels(task),
            "metrics": list(glue.TASKS[task].metrics if task in glue.TASKS else squad.METRICS[task]),
            "splits": {
                split.split: {
                    "files": names[split.split],
                    "labelled": split.labelled,
                    **statistics[split.split].to_json(),
                }
                for split in splits
            },
            "max_length": max_length,
            **_squad_settings(task, options),
            "vocabulary": {
                "file": "vocab.model",
                "sha256": pieces.sha256,
                "size": pieces.size,
                "lower_case": lower_case,
                "trained_here": given is None,
            },
            "rejected": len(bad.rejected),
            "version": package_version(),
        }
        _write_texts(folder, manifest, bad)
    _say(manifest, output, time.monotonic() - started)
    return manifest


def _check_options(
    task: str, max_length: int, doc_stride: int, query_length: int, vocabulary_size: int, max_bad_records: int
) -> squad.WindowOptions | int:
    """The SQuAD window options, or GLUE's max_length, once they make sense."""
    if vocabulary_size < 1 or max_bad_records < 0:
        raise InputError("vocabulary_size must be at least 1 and max_bad_records at least 0")
    if task in squad.TASKS:
        return squad.WindowOptions(max_length, doc_stride, query_length)
    if max_length < 8:
        raise InputError(
            f"max_length {max_length} leaves no room for text beside the special tokens; expected at least 8"
        )
    return max_length


def _squad_settings(task: str, options: squad.WindowOptions | int) -> dict[str, Any]:
    if not isinstance(options, squad.WindowOptions):
        return {}
    return {"query_length": options.query_length, "doc_stride": options.doc_stride, "version_2": squad.TASKS[task]}


def _labels(task: str) -> list[str] | None:
    labels = glue.TASKS[task].labels if task in glue.TASKS else None
    return list(labels) if labels else None


def _load_vocabulary(model: bytes, lower_case: bool, name: str) -> Vocabulary:
    try:
        return Vocabulary(model, lower_case)
    except InputError as error:
        raise InputError(str(error).replace("the vocabulary", name, 1)) from None


def _lines_path(source: Source, folder: str) -> str:
    """Evaluation splits keep their JSON lines in the dataset; training's are only for the workers."""
    name = f"{source.split}.examples.jsonl"
    return storage.join(folder, "work", name) if source.split == "train" else storage.join(folder, name)


def _train_vocabulary(task: str, splits: list[Lines], size: int) -> bytes:
    training = next((split for split in splits if split.split == "train"), None)
    if training is None:
        raise InputError("no vocabulary is given and there is no training file to train one on; pass --vocabulary")
    print(f"training a vocabulary of {size:,} pieces", file=sys.stderr)
    return train_vocabulary(_texts(task, training.path), size)


def _texts(task: str, lines_path: str) -> Iterator[str]:
    """Every text of a file of JSON lines, contexts once."""
    for line in storage.read_bytes(lines_path, "training text").splitlines():
        example = json.loads(line)
        if task in glue.TASKS:
            yield from filter(None, (example["text_a"], example["text_b"]))
        else:
            yield example["context"]
            yield from (question["question"] for question in example["questions"])


def _encode(
    task: str,
    splits: list[Lines],
    folder: str,
    options: squad.WindowOptions | int,
    lower_case: bool,
    pipeline_options: Any,
) -> tuple[dict[str, Statistics], dict[str, list[str]]]:
    """Runs the shards; gives each split's statistics and file names."""
    from components.preprocess.shards import Encoding, Shard

    windows = options if isinstance(options, squad.WindowOptions) else squad.WindowOptions(max_length=max(options, 68))
    encoding = Encoding(
        task=task,
        vocabulary=storage.join(folder, "vocab.model"),
        lower_case=lower_case,
        max_length=options.max_length if isinstance(options, squad.WindowOptions) else options,
        doc_stride=windows.doc_stride,
        query_length=windows.query_length,
        labelled=frozenset(split.split for split in splits if split.labelled),
        evaluation=frozenset(split.split for split in splits if split.split != "train"),
    )
    done = storage.join(folder, "work", "done")
    storage.make_folder(done)
    shards, names = [], {}
    for split in splits:
        names[split.split] = [
            f"{split.split}-{i:05d}-of-{len(split.cuts):05d}.tfrecord" for i in range(len(split.cuts))
        ]
        for name, (start, size, examples, first) in zip(names[split.split], split.cuts, strict=True):
            output = storage.join(folder, name)
            shards.append(
                Shard(split.split, split.path, start, size, examples, first, output, storage.join(done, f"{name}.json"))
            )
    run_shards(shards, encoding, pipeline_options, done)
    statistics = {split.split: Statistics() for split in splits}
    for shard in shards:
        counted = json.loads(storage.read_bytes(shard.done, "shard's statistics"))
        statistics[shard.split].merge(Statistics.from_json(counted))
    return statistics, names


def _write_texts(folder: str, manifest: dict[str, Any], bad: BadRecords) -> None:
    """rejected.jsonl, report.html and, last, the manifest."""
    if bad.rejected:
        storage.write_text(storage.join(folder, "rejected.jsonl"), _json_lines(bad.rejected))
    storage.write_text(storage.join(folder, "report.html"), summary_page(manifest, bad.rejected))
    storage.write_text(storage.join(folder, "dataset.json"), json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def _json_lines(values: Iterable[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(value, ensure_ascii=False)}\n" for value in values)


def _say(manifest: dict[str, Any], output: str, seconds: float) -> None:
    for split, facts in manifest["splits"].items():
        cut = f", {facts['truncated']:,} truncated" if facts["truncated"] else ""
        print(
            f"{split}: {facts['examples']:,} examples, {facts['records']:,} records, {facts['tokens']:,} tokens{cut}",
            file=sys.stderr,
        )
    if manifest["rejected"]:
        print(f"rejected: {manifest['rejected']:,} records, see rejected.jsonl", file=sys.stderr)
    print(f"dataset written to {output} in {seconds:.1f} s; its report is report.html there", file=sys.stderr)
