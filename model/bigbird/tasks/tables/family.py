"""What families that read a user's own tables have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, ClassVar

from bigbird.config import Task
from bigbird.support.errors import InputError
from bigbird.tasks.family import AnsweringFamily
from bigbird.tasks.raw_input import FileNames, Inputs, Item, Reading, Source, Storage
from bigbird.tasks.records import BadRecords
from bigbird.tasks.table_rows import TableRows
from bigbird.tasks.tables.files import is_table, named_tables, split_tables
from bigbird.tasks.tables.section import SPLITS, TableFiles, section_of


class TableFamily(AnsweringFamily):
    """A family that reads tables whose columns the configuration's data section (`task.data`) names.

    Attributes:
        section: the class of that data section.
    """

    own_tables = True
    keeps_training_lines = True
    identity = "record_id"
    unit = "documents"
    # Training a vocabulary takes about a second per million characters, more than all else that is done with them.
    vocabulary_bytes = 10_000_000
    section: ClassVar[type[TableFiles]]

    def splits(self, task: str) -> tuple[str, ...]:
        return SPLITS

    def file_names(self, task: str) -> FileNames:
        return FileNames({}, "", "", self.section.expected_names)

    def read(self, task: str, source: Source, storage: Storage, bad: BadRecords) -> Iterator[Item]:
        raise InputError(f"task {task} reads tables as a whole (see read_table), not one official file after the other")

    def is_table(self, name: str) -> bool:
        return is_table(name, self.section.endings)

    def named_tables(self, config: Task) -> dict[str, list[str]]:
        return named_tables(config.data)  # type: ignore[attr-defined]  # these families' tasks have it

    def find_tables(self, inputs: Inputs, storage: Storage) -> Mapping[str, Sequence[str]]:
        return split_tables(section_of(inputs, self.section), storage)

    @abstractmethod
    def read_table(
        self,
        inputs: Inputs,
        storage: Storage,
        scratch: BinaryIO,
        bad: BadRecords,
        told: Callable[[str], None],
        progress: Callable[[str, int], None],
    ) -> Reading: ...

    @abstractmethod
    def rows_to_check(self, inputs: Inputs, storage: Storage) -> TableRows: ...

    def preprocessing_settings(self, config: Task) -> dict[str, Any]:
        section = config.data  # type: ignore[attr-defined]  # as above
        return {
            **super().preprocessing_settings(config),
            "section": section.model_dump(mode="json", exclude_unset=True),
        }
