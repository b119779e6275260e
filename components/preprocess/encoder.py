"""A dataset's lines become TFRecord files, some of them while the lines are still read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from bigbird.support.integrity import Facts
from bigbird.tasks.raw_input import Reading
from bigbird.tasks.statistics import Statistics
from bigbird.text.vocabulary import Vocabulary
from bigbird_components.preprocess import storage
from bigbird_components.preprocess.beam_run import is_local, run_shards
from bigbird_components.preprocess.local_shards import EarlyShards
from bigbird_components.preprocess.reading import Lines, OnShard

if TYPE_CHECKING:
    from bigbird_components.preprocess.shards import Encoding


class Encoder:
    """Makes lines into TFRecord files; a context, at whose end no process encodes any more.

    Args:
        task: its name.
        folder: the dataset's.
        settings: the task family's.
        vocabulary: a given one; else it is set as `vocabulary` before `encode`.
        options: Beam's.
    """

    def __init__(self, task: str, folder: str, settings: dict[str, Any], vocabulary: Vocabulary | None, options: Any):
        self._task, self._folder, self._settings = task, folder, settings
        self.vocabulary, self._options = vocabulary, options
        self._done = storage.join(folder, storage.WORK, "done")
        storage.make_folder(self._done)
        self._early: EarlyShards | None = None
        if vocabulary is not None and not storage.is_remote(folder) and is_local(options):
            work = storage.join(folder, storage.WORK, "early")
            storage.make_folder(work)
            self._early = EarlyShards(options, work)

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._early is not None:
            self._early.close()

    def expect(self, size: int) -> None:
        """As `EarlyShards.expect`."""
        if self._early is not None:
            self._early.expect(size)

    def begin(self, reading: Reading) -> OnShard | None:
        """Gives what takes shards while lines are still written; None where encoding cannot begin before."""
        if self._early is None:
            return None
        self._early.begin(self._encoding(reading.splits, reading.labelled, reading.labels))
        return self._early.add

    def encode(
        self, splits: list[Lines], labels: Sequence[str] | None
    ) -> tuple[dict[str, Statistics], dict[str, Facts]]:
        """Writes all files that are not written yet; gives each split's statistics and each file's facts.

        Raises:
            InputError: what a worker found wrong with an example, or that it ended early.
            WorkerError: a bug of ours in a worker.
        """
        from bigbird_components.preprocess.shards import Shard, read_outcome

        shards = [
            Shard(
                split.split,
                split.path,
                *cut,
                storage.join(self._folder, name),
                storage.join(self._done, f"{name}.json"),
            )
            for split in splits
            for name, cut in zip(split.files, split.cuts, strict=True)
        ]
        if self._early is None or not self._early.finish(shards):
            labelled = [split.split for split in splits if split.labelled]
            encoding = self._encoding([split.split for split in splits], labelled, labels)
            run_shards(shards, encoding, self._options, self._done)
        statistics = {split.split: Statistics() for split in splits}
        checksums: dict[str, Facts] = {}
        for shard in shards:
            found, facts = read_outcome(shard)
            statistics[shard.split].merge(found)
            checksums[storage.name(shard.output)] = facts
        return statistics, checksums

    def _encoding(self, splits: Sequence[str], labelled: Collection[str], labels: Sequence[str] | None) -> Encoding:
        from bigbird_components.preprocess.shards import Encoding

        assert self.vocabulary is not None  # noqa: S101 - nothing is encoded before
        return Encoding(
            task=self._task,
            vocabulary=storage.join(self._folder, self.vocabulary.file),
            lower_case=self.vocabulary.lower_case,
            labelled=frozenset(labelled),
            evaluation=frozenset(split for split in splits if split != "train"),
            settings=self._settings,
            labels=None if labels is None else tuple(labels),
        )
