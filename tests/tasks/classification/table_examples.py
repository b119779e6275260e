"""The examples that a dataset of tables gives, read back from their JSON lines."""

import json
from typing import NamedTuple


class Example(NamedTuple):
    name: str
    file: str
    line: int
    text_a: str
    text_b: str | None
    label: str | list[str] | float | None


def examples(found):
    """(split, example) of each line, whose form and numbers are checked."""
    numbers = {}
    result = []
    for split, line, labelled in found.lines():
        record = json.loads(line)
        assert line == f"{json.dumps(record, ensure_ascii=False)}\n".encode()
        assert record.pop("id") == numbers.setdefault(split, 0)
        numbers[split] += 1
        assert list(record) == list(Example._fields)
        assert labelled == (record["label"] is not None)
        result.append((split, Example(**record)))
    return result


def examples_of(found, split):
    return [example for name, example in examples(found) if name == split]
