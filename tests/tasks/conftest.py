"""What the tests of families that read a user's tables share."""

from io import BytesIO

import pytest

from bigbird.tasks.classification.data_section import TableData
from bigbird.tasks.classification.dataset import read_dataset
from bigbird.tasks.classification.rows import read_rows
from bigbird.tasks.records import BadRecords
from bigbird.tasks.tables.files import find_tables


@pytest.fixture
def write(tmp_path):
    """Writes a file of a text (in an encoding) or bytes; gives its path."""

    def write(name, content, encoding="utf-8"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return str(path)

    return write


@pytest.fixture
def rows():
    """Reads the rows of files; gives them and the bad records."""

    def rows(*paths, limit=0, label_may_lack=False, **settings):
        section = TableData(files=list(paths), **settings)
        bad = BadRecords(limit)
        tables = find_tables(section.files, section).tables
        return list(read_rows(tables, section, bad, label_may_lack=label_may_lack)), bad.rejected

    return rows


@pytest.fixture
def dataset():
    """Reads a dataset; gives it, its bad records in `rejected`."""

    def dataset(limit=0, **settings):
        bad = BadRecords(limit)
        found = read_dataset(TableData(**settings), bad, BytesIO())
        found.rejected = bad.rejected
        return found

    return dataset
