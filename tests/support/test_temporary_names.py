"""What a name tells of a file that is not whole yet."""

from pathlib import Path

import pytest

from bigbird.support.temporary_names import TemporaryName, parse_temporary, temporary_sibling


@pytest.mark.parametrize("name", ["dataset", ".hidden", "part-1.jsonl", "a.0123abcd.tmp", "two\nlines"])
@pytest.mark.parametrize("kind", ["tmp", "old"])
def test_a_name_that_was_made_is_read_back(name, kind):
    target = Path("folder") / name
    made = [temporary_sibling(target, kind) for _ in range(2)]
    assert made[0] != made[1] and {path.parent for path in made} == {target.parent}
    assert [parse_temporary(path.name) for path in made] == [TemporaryName(name, kind)] * 2


@pytest.mark.parametrize(
    "name", ["dataset", ".dataset.tmp", ".dataset.old", ".dataset.notes.tmp", ".dataset.0123abc.tmp", "..0123abcd.tmp", ".a.0123abcd.new"]
)  # fmt: skip
def test_other_hidden_names_are_a_users_own(name):
    assert parse_temporary(name) is None
