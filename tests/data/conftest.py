"""Files of small records."""

import pytest

from tests.data.small_records import LENGTHS, small_record, write_records


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    records = [small_record(number, length) for number, length in enumerate(LENGTHS)]
    return [
        write_records(folder / "train-0.tfrecord", records[:12]),
        write_records(folder / "train-1.tfrecord", records[12:]),
    ]
