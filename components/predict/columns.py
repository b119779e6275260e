"""Which columns of a table are read: texts for the model's inputs, the rows' names, and what is carried through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bigbird.manifests import DatasetManifest
from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.tables.columns import Columns
from bigbird.tasks.tables.files import Table
from bigbird.tasks.tables.problems import no_such_column

OPTIONS = {"text_a": "text", "text_b": "text_b", "question": "question", "context": "context"}
"""Input of a model -> the option, with underscores, that names its column; other inputs' columns are called as they are."""


@dataclass(frozen=True)
class ColumnOptions:
    """What the command's options say of columns.

    Attributes:
        texts: option, as `OPTIONS` has it -> columns; several become one text.
        id: column of the rows' names.
        keep: columns to carry through.
        keep_all: carries all through that are read for nothing else.
    """

    texts: Mapping[str, Sequence[str]]
    id: str | None = None
    keep: Sequence[str] = ()
    keep_all: bool = False


@dataclass(frozen=True)
class RowColumns:
    """The columns of a table that are read.

    Attributes:
        fields: input of the model -> columns of its text; several become one text.
        id: column of the rows' names; None names them by file and line.
        keep: columns that are carried through, in order.
        required: those of `keep` that every file must have.
    """

    fields: Mapping[str, Sequence[str]]
    id: str | None
    keep: Sequence[str]
    required: frozenset[str]

    def of_table(self) -> Columns:
        """What reading a table takes."""
        keys = {name: OPTIONS.get(text, text) for text, names in self.fields.items() for name in names}
        if self.id is not None:
            keys.setdefault(self.id, "id")
        optional = frozenset(name for name in self.keep if name not in keys and name not in self.required)
        lists = frozenset(name for name in self.keep if name not in keys)
        for name in self.keep:
            keys.setdefault(name, "keep")
        return Columns(keys, optional, lists)


def choose_columns(
    fields: Sequence[str],
    given: ColumnOptions,
    table: Table,
    names: Sequence[str],
    more_names: Sequence[str],
    dataset: DatasetManifest | None,
) -> RowColumns:
    """The columns that the options name, and otherwise those that the model's training table had, or its inputs' names.

    Args:
        fields: the model's inputs.
        given: what the options say.
        table: the first file, for messages.
        names: its columns.
        more_names: of the other files.
        dataset: what the model was trained on.

    Raises:
        InputError: an option is not this model's, or a column is missing.
    """
    options = {name: OPTIONS.get(name, name) for name in fields}
    for option, columns in given.texts.items():
        if columns and option not in options.values():
            flags = " and ".join(f"--{name.replace('_', '-')}" for name in options.values())
            raise InputError(
                f"--{option.replace('_', '-')} {columns[0]}: this model has no such text; expected {flags}, as its inputs are "
                f"{' and '.join(fields)}"
            )
    chosen = {
        name: list(given.texts.get(option) or _usual(name, option, table, names, dataset))
        for name, option in options.items()
    }
    used = [name for columns in chosen.values() for name in columns]
    for name in used:
        if used.count(name) > 1:
            raise InputError(f"the column {shown(name)} is named for two texts, or twice; expected a column for each")
    kept = list(dict.fromkeys(given.keep))
    if given.keep_all:
        others = [name for name in (*names, *more_names) if name not in used and name != given.id]
        kept = list(dict.fromkeys([*kept, *others]))
    return RowColumns(chosen, given.id, kept, frozenset(given.keep))


def _usual(
    field: str, option: str, table: Table, names: Sequence[str], dataset: DatasetManifest | None
) -> Sequence[str]:
    """An input's columns where no option names them."""
    trained = (dataset.get("columns") or {}).get(option) if dataset is not None else None
    trained = [trained] if isinstance(trained, str) else trained
    choices = [*([trained] if trained else []), [field], [option]]
    for choice in choices:
        if all(name in names for name in choice):
            return choice
    raise no_such_column(table.place(1), choices[0][0], names, option)
