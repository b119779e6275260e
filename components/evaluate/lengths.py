"""The same model when it may read less of each text: `--at-lengths`.

An example is read up to a number of tokens, special pieces included: [CLS], the text's beginning, [SEP]. The family says what that
is where it lays texts out otherwise (`AnsweringFamily.shorten`): beginning and end of a text are both cut, and of a text in
windows the windows up to that token are read. The records are written anew into a temporary dataset folder, so that input
pipeline, model and scoring are what they are for the whole split. What was chosen after training, such as thresholds, stays.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bigbird.config import Task
from bigbird.data.record_files import split_files
from bigbird.manifests import DatasetManifest
from bigbird.records import features
from bigbird.records.features import TOKENS
from bigbird.support.errors import InputError
from bigbird.tasks.evaluation import Evaluation
from bigbird.tasks.family import AnsweringFamily

LEAST_LENGTH = 8  # room for a little text beside the special pieces


class Shortened(NamedTuple):
    """A dataset folder that holds one split, shortened.

    Attributes:
        folder: where.
        manifest: of it.
        changed: records that were cut or left out.
    """

    folder: str
    manifest: DatasetManifest
    changed: int


def check_lengths(lengths: Sequence[int], labelled: bool) -> None:
    """Refuses lengths that cannot be evaluated.

    Raises:
        InputError: says what was found and what was expected.
    """
    if few := [length for length in lengths if length < LEAST_LENGTH]:
        raise InputError(
            f"--at-lengths: found {few[0]}; expected lengths in tokens, each at least {LEAST_LENGTH}, such as 512,1024"
        )
    if lengths and not labelled:
        raise InputError("--at-lengths: the split has no labels, so there are no metrics to compare; leave it out")


def check_can_be_cut(family: AnsweringFamily, config: Task) -> None:
    """Refuses a family whose records hold more of each token than its id and its segment, which a cut would break.

    Raises:
        InputError: names what they hold.
    """
    known = {feature.name for feature in TOKENS}
    others = [each.name for each in family.record_features(config) if each.sequence and each.name not in known]
    if others:
        raise InputError(
            f"--at-lengths: this task's answers are spans of the text, so its records hold more of each token than its id "
            f"({', '.join(others)}) and cannot be cut; preprocess the split with a smaller --max-length instead, and evaluate that dataset"
        )


def evaluate_at_lengths(
    lengths: Sequence[int],
    family: AnsweringFamily,
    dataset: str,
    manifest: DatasetManifest,
    split: str,
    whole: Evaluation,
    measure: Callable[[str, DatasetManifest, int], Evaluation],
) -> dict[str, Any]:
    """Evaluates a split at shorter lengths.

    Args:
        lengths: in tokens; in any order, repeated ones once.
        family: of the task.
        dataset: the dataset folder.
        manifest: of the dataset.
        split: of the dataset.
        whole: of the split as it is; taken for lengths that change no record.
        measure: evaluates a dataset folder, of a manifest, at a length.

    Returns:
        Length, as a text -> its metrics, the interval of the primary one where there is one, how many records are
        changed, and the seconds it took; ascending.
    """
    found = {}
    for length in sorted(set(lengths)):
        started = time.monotonic()
        with shortened_dataset(family, dataset, manifest, split, length) as short:
            evaluation = measure(short.folder, short.manifest, length) if short.changed else whole
        found[str(length)] = {
            "metrics": evaluation.metrics,
            "interval": evaluation.details.get("interval"),
            "records_changed": short.changed,
            "seconds": round(time.monotonic() - started, 3),
        }
    return found


@contextmanager
def shortened_dataset(
    family: AnsweringFamily, dataset: str, manifest: DatasetManifest, split: str, length: int
) -> Iterator[Shortened]:
    """Yields a temporary dataset folder with one split, of which at most `length` tokens an example are read.

    Args:
        family: of the task.
        dataset: the dataset folder.
        manifest: of the dataset.
        split: of the dataset.
        length: in tokens.

    Raises:
        InputError: a file is gone or damaged.
    """
    files = split_files(dataset, manifest, split)
    with tempfile.TemporaryDirectory(prefix="shortened-") as name:
        folder = Path(name)
        shutil.copyfile(Path(dataset) / f"{split}.examples.jsonl", folder / f"{split}.examples.jsonl")
        records = changed = 0
        with (folder / f"{split}.tfrecord").open("wb") as output:
            for file in files:
                for data in features.read_records(file):
                    record = features.decode(data)
                    short = family.shorten(record, length, manifest)
                    if short is None:
                        changed += 1
                        continue
                    same = len(short["input_ids"]) == len(record["input_ids"])
                    changed += not same
                    records += 1
                    output.write(features.frame(features.encode(short)))
        facts = manifest.splits[split].to_json() | {"files": [f"{split}.tfrecord"], "records": records}
        yield Shortened(name, manifest.with_values(splits={split: facts}, checksums=None), changed)
