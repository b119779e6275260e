"""`bigbird predict`: loads a model and answers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bigbird.serving.text_model import BATCH, load_model
from bigbird.support.errors import InputError
from bigbird.support.safe_paths import folder_here
from bigbird.support.text_files import read_json_lines, read_lines
from bigbird.tasks.tables.files import is_table

FIELDS = {"text": "text_a", "text_b": "text_b", "question": "question", "context": "context"}


def predict_command(model: str | os.PathLike[str], file: str | os.PathLike[str] | None, **texts: str | None) -> None:
    """Prints one line of JSON for every example.

    Raises:
        InputError: the folder holds no model, it or the file is not of this machine, or an example does not have the model's fields.
    """
    given = {FIELDS[option]: text for option, text in texts.items() if text is not None}
    if bool(given) == bool(file):
        raise InputError("expected either a FILE or --text, or --question with --context")
    if file and "://" in os.fspath(file):
        raise InputError(
            f"{file}: is in a bucket, from which --output FOLDER answers; without it expected a file of this machine"
        )
    folder_here(model, "copy it here first, or answer a table with --output FOLDER, which copies it itself")
    examples = list(read_examples(Path(file))) if file else [("the command line", given)]
    asked = load_model(model)
    for where, example in examples:
        asked.check(where, example)
    for start in range(0, len(examples), BATCH):
        for answer in asked.predict([example for _, example in examples[start : start + BATCH]]):
            print(json.dumps(answer, ensure_ascii=False))


def read_examples(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (where it stands, fields) for every line of a JSON lines or text file that is not blank."""
    if file.suffix not in {".jsonl", ".ndjson", ".json"}:
        if is_table(file.name):
            raise InputError(
                f"{file}: is a table, which --output FOLDER answers; without it expected JSON Lines, or a file with one text a line"
            )
        for number, line in read_lines(file, "one text a line, in UTF-8"):
            if line.strip():
                yield f"{file}:{number}", {"text_a": line}
        return
    for number, example in read_json_lines(file, "one JSON object a line, in UTF-8"):
        if not isinstance(example, dict):
            raise InputError(
                f'{file}:{number}: holds {type(example).__name__}; expected an object such as {{"text_a": …}}'
            )
        yield f"{file}:{number}", example
