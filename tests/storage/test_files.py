"""One interface for paths here, gs:// and s3://."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bigbird import storage
from bigbird.support.errors import InputError

ROOT = Path(__file__).parents[2]
ODD = "a/é b#1 {x}.txt"


def test_what_is_written_is_read(place):
    path = storage.join(place, "a.txt")
    assert not storage.exists(path) and not storage.is_file(path)
    storage.write_bytes(path, b"first")
    storage.write_bytes(path, b"second")
    assert storage.read_bytes(path) == b"second"
    assert storage.exists(path) and storage.is_file(path)
    with storage.open_file(path) as file:
        assert file.read() == b"second"


def test_odd_names_are_names(bucket):
    path = storage.join(bucket, ODD)
    storage.write_bytes(path, b"\0\xff")
    assert storage.read_bytes(path) == b"\0\xff"
    assert [entry.path for entry in storage.list_files(bucket)] == [path]
    assert not storage.is_file(storage.join(bucket, "a"))
    storage.delete([path])
    assert storage.list_files(bucket) == []


@pytest.mark.parametrize("megabytes", [0, 1, 17])
def test_a_file_is_written_in_parts_and_read_where_it_is_asked_for(place, megabytes):
    path = storage.join(place, "big")
    with storage.create(path) as file:
        for number in range(megabytes):
            assert file.write(bytes([number]) * 2**20) == 2**20
    with storage.open_file(path) as file:
        assert file.seek(0, io.SEEK_END) == megabytes * 2**20
        assert file.read() == b""
        if megabytes == 17:
            file.seek(9 * 2**20 - 2)
            assert (file.read(4), file.tell()) == (b"\x08\x08\x09\x09", 9 * 2**20 + 2)
            file.seek(-2, io.SEEK_END)
            assert file.read() == b"\x10\x10"
    assert len(storage.read_bytes(path)) == megabytes * 2**20


@pytest.mark.parametrize("parts", [1, 3])
def test_of_a_failed_write_a_bucket_has_nothing(bucket, parts):
    path = storage.join(bucket, "half")

    def fail():
        with storage.create(path) as file:
            for _ in range(parts):
                file.write(bytes(7 * 2**20))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not storage.exists(path)


def test_lines_are_read_from_a_range(place):
    path = storage.join(place, "lines")
    storage.write_bytes(path, b"one\ntwo\nthree\n")
    with storage.open_file(path) as file:
        file.seek(4)
        assert [file.readline(), file.readline(), file.readline()] == [b"two\n", b"three\n", b""]


def test_folders_and_files_are_deleted_and_nothing_beside_them(place):
    for name in ("run/a", "run/b", "run2"):
        if not storage.is_remote(place):
            Path(place, "run").mkdir(exist_ok=True)
        storage.write_bytes(storage.join(place, name), b"x")
    storage.delete([storage.join(place, "run")])
    assert storage.list_names(place) == ["run2"]
    storage.delete([storage.join(place, "run2")])
    assert storage.list_names(place) == []


def test_what_is_not_there_is_told(bucket):
    path = storage.join(bucket, "none.txt")
    for read in (storage.read_bytes, storage.open_file):
        with pytest.raises(InputError, match=f"{path}: no such object"):
            read(path)
    storage.delete([path])  # it is what is wanted


def test_a_file_that_shrinks_while_it_is_read_is_told(bucket):
    path = storage.join(bucket, "a")
    storage.write_bytes(path, b"0123456789")
    with storage.open_file(path) as file:
        storage.write_bytes(path, b"0123")
        with pytest.raises(InputError, match=f"{path}: was changed while it was read"):
            file.read()


def test_a_bucket_that_does_not_exist_is_told(bucket):
    other = bucket.replace("://bucket", "://other")
    for call in (storage.list_names, storage.list_files, lambda path: storage.write_bytes(path, b"")):
        with pytest.raises(InputError, match=f"{other.rpartition('/')[0]}: no such bucket; check its name"):
            call(other)
    assert not storage.exists(other)


def test_paths_of_this_machine_need_no_library(tmp_path):
    code = (
        "import sys; from bigbird import storage; p = sys.argv[1] + '/a'; storage.write_bytes(p, b'x');"
        "storage.open_file(p).close(); storage.list_names(sys.argv[1]); storage.fingerprint([p]); storage.exists(p);"
        "storage.delete([p]);"
        "print([n for n in ('fsspec', 'gcsfs', 's3fs', 'aiohttp', 'botocore', 'google.auth', 'requests') if n in sys.modules])"
    )
    assert run(code, tmp_path) == "[]\n"


@pytest.mark.parametrize("missing", ["gcsfs", "s3fs"])
def test_a_library_that_is_not_installed_is_told(missing, tmp_path):
    scheme = {"gcsfs": "gs", "s3fs": "s3"}[missing]
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.modules[{missing + '.core'!r}] = None\n"
        "from bigbird import storage\n"
        f"try: storage.exists('{scheme}://b/x')\n"
        "except storage.files.InputError as error: print(error)"
    )
    told = run(code, tmp_path)
    assert re.fullmatch(f"{scheme}://b/x: cannot be reached from here, as {missing}.* is not installed\n", told)


def run(code, *arguments):
    """What a program prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "model"), "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
