"""Folders of buckets are copied whole, and no object's name leads out of the copy."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bigbird import storage
from bigbird.storage import transfer as module
from bigbird.support.errors import InputError

MODEL = {
    "saved_model.pb": b"graph" * 1000,
    "signature.json": b"{}",
    "variables/variables.index": b"",
    "variables/ünd data.bin": bytes(range(256)),
}


@pytest.fixture
def model(bucket):
    """A folder with files, beside another whose name begins so."""
    for name, content in {**MODEL, "": b""}.items():
        storage.write_bytes(f"{bucket}/7/{name}", content)
    storage.write_bytes(f"{bucket}/77/other", b"another's")
    return f"{bucket}/7"


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("part", [1000, 32 * 2**20])
def test_every_object_in_the_folder_is_copied_and_nothing_else(model, tmp_path, monkeypatch, part):
    monkeypatch.setattr(module, "_PART", part)
    sizes, done = [], []

    def show(number, entries):
        done.append(number)
        sizes.append(sum(entry.size for entry in entries))

    storage.download(model, tmp_path, progress=show)
    assert contents(tmp_path) == MODEL
    assert sizes == [sum(map(len, MODEL.values()))] * 5
    assert done == [0, 1, 2, 3, 4]


def test_a_copy_of_a_folder_goes_with_its_block(model):
    with storage.local_copy(model, only="signature.json") as folder:
        assert [path.name for path in folder.iterdir()] == ["signature.json"]
    assert not folder.exists()
    with pytest.raises(InputError, match="ftp://bucket/m: cannot be reached from here"):
        storage.local_copy("ftp://bucket/m").__enter__()


def test_one_file_of_a_folder_is_copied(model, tmp_path):
    storage.download(model, tmp_path, only="signature.json")
    assert contents(tmp_path) == {"signature.json": b"{}"}


@pytest.mark.parametrize("only", ["", "none.json"])
def test_what_is_not_there_is_told(bucket, tmp_path, only):
    with pytest.raises(InputError, match=f"{bucket}: holds no {only or 'objects'}; it is another folder"):
        storage.download(bucket, tmp_path, only=only)


@pytest.mark.parametrize("name", ["x/../../evil", "x//passwd", "./a", "a\\..\\b"])
def test_a_name_that_leads_out_of_the_folder_is_refused_and_nothing_is_written(model, tmp_path, name):
    entry = storage.Entry(f"{model}/{name}", 1, 0.0, "1", "")
    with pytest.raises(
        InputError, match=r"its name cannot be a file's, as it has an empty part, '\.', '\.\.', a backslash"
    ):
        module._place(tmp_path, entry.path, f"{model}/")


def test_a_file_in_the_place_of_a_folder_is_told(bucket, tmp_path):
    storage.write_bytes(f"{bucket}/a/b", b"2")
    (tmp_path / "a").write_text("in the way")
    with pytest.raises(InputError, match=f"{bucket}: cannot be copied"):
        storage.download(bucket, tmp_path)


def test_a_copy_that_is_cut_short_or_damaged_is_told(bucket, tmp_path):
    storage.write_bytes(f"{bucket}/a", b"whole")
    here = module.backend(bucket)
    for size, md5, message in ((6, "", "arrived with 5 of 6 bytes"), (5, "AAAA", "arrived damaged: its MD5")):
        with pytest.raises(InputError, match=message):
            module._copy(here, storage.Entry(f"{bucket}/a", size, 0.0, "", md5), tmp_path / "a", threading.Event())


def test_an_interruption_waits_for_the_parts_that_are_on_their_way_alone(tmp_path, monkeypatch):
    asked, begun, interrupted = [], threading.Event(), threading.Event()

    class Service:
        def cat_file(self, path, start=0, end=None):
            asked.append((path, start))
            begun.set()
            assert interrupted.wait(10)
            return bytes(end - start)

    class Pool(ThreadPoolExecutor):
        def shutdown(self, *arguments, **options):
            interrupted.set()
            super().shutdown(*arguments, **options)

    def interrupt(done, _):
        if done:
            assert begun.wait(10)
            raise KeyboardInterrupt

    entries = [
        storage.Entry(f"gs://models/m/{name}", size, 0.0, "1", "") for name, size in (("empty", 0), ("long", 90))
    ]
    monkeypatch.setattr(module, "list_files", lambda _: entries)
    monkeypatch.setattr(module, "backend", lambda _: Service())
    monkeypatch.setattr(module, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(module, "_PART", 10)
    with pytest.raises(KeyboardInterrupt):
        module.download("gs://models/m", tmp_path, progress=interrupt)
    assert asked == [("gs://models/m/long", 0)]
