"""What steps and remote workers read and write alike."""

import pytest

from bigbird.support.errors import DamagedError
from bigbird_components.output_files import open_range


def test_lines_that_are_not_there_any_more_are_told_with_their_file(tmp_path):
    (tmp_path / "rows.jsonl").write_text("one\ntwo\n")
    with open_range(str(tmp_path / "rows.jsonl"), 4, 10) as lines:
        assert next(lines) == b"two\n"
        with pytest.raises(DamagedError, match=r"rows\.jsonl: ends 6 bytes before .* call the command again"):
            next(lines)
