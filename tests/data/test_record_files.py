"""TFRecord files: which ones a path or pattern names, their records counted, their contents told apart."""

from pathlib import Path

import pytest

from bigbird.data.record_files import checksum, count_records, find_files
from bigbird.support.errors import InputError
from tests.data.small_records import LENGTHS, small_record, write_records


def test_files_are_found_by_pattern_list_or_commas(files, tmp_path):
    folder = str(files[0]).rpartition("/")[0]
    assert find_files(f"{folder}/train-*.tfrecord") == files
    assert find_files(f"{files[1]},{files[0]}") == files[::-1]
    assert find_files(files) == files
    with pytest.raises(InputError, match=r"nothing-\*': matches no file"):
        find_files(str(tmp_path / "nothing-*"))


def test_records_are_counted_and_contents_change_the_checksum(files, tmp_path):
    assert count_records(files) == 20
    copy = tmp_path / "train-0.tfrecord"
    copy.write_bytes(Path(files[0]).read_bytes())
    assert checksum([str(copy)]) == checksum(files[:1])
    write_records(copy, [small_record(number, length, label_ids=[1]) for number, length in enumerate(LENGTHS[:12])])
    assert checksum([str(copy)]) != checksum(files[:1])
