"""Every stage and conversion works in a folder whose name Beam, TensorFlow and others would take for a pattern or a quote."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bigbird.checkpoints.convert import convert
from bigbird.checkpoints.names import TARGETS
from bigbird.checkpoints.reading import read_checkpoint
from bigbird.data.record_files import find_files
from bigbird.storage import listing
from bigbird.support.errors import InputError
from bigbird_components.preprocess import storage
from bigbird_components.preprocess.preprocess import preprocess
from bigbird_pipelines.predict import predict_command
from tests.components.conftest import finish, train_small

pytestmark = pytest.mark.slow  # a fixture that its tests share takes more than 10 s

ODD = "run [1] a*b? {x} [!c], 'q' \"d\" %41 #h é東\n\\e"
RECORDING = Path(__file__).parents[1] / "checkpoints" / "recordings"


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """Folder with dataset, model, evaluation and saved_model, made with a vocabulary and data that lie there too."""
    folder = tmp_path_factory.mktemp("odd") / ODD
    (folder / "data").mkdir(parents=True)
    for split, size in (("train", 40), ("dev", 16)):
        lines = [f"a {'tree house river'[: i % 17]} {['sad', 'great'][i % 2]}\t{i % 2}\n" for i in range(size)]
        (folder / "data" / f"{split}.tsv").write_text("sentence\tlabel\n" + "".join(lines), encoding="utf-8")
    data = str(folder / "data")
    preprocess("sst2", str(folder / "first"), input=data, max_length=128, vocabulary_size=40)
    vocabulary = str(folder / "first" / "vocab.model")
    for _ in range(2):  # the second replaces the first
        preprocess("sst2", str(folder / "dataset"), input=data, max_length=128, vocabulary=vocabulary, overwrite=True)
    train_small("bigbird/glue", folder, 128, [32, 128], 4)
    return finish(folder)


def test_all_stages_leave_what_they_should_and_nothing_else(stages):
    assert sorted(path.name for path in stages.iterdir()) == [
        "data", "dataset", "evaluation", "first", "model", "saved_model",
    ]  # fmt: skip
    assert [path.name for path in stages.parent.iterdir()] == [ODD]
    names = {path.name for path in (stages / "dataset").iterdir()}
    assert "work" not in names and "train-00000-of-00001.tfrecord" in names


def test_the_exported_model_answers(stages, capsys):
    predict_command(stages / "saved_model", None, text="a tree")
    assert set(json.loads(capsys.readouterr().out)) == {"label", "logits", "probabilities"}


@pytest.mark.parametrize("kind", TARGETS)
def test_checkpoints_are_converted_there_and_back(stages, tmp_path, kind):
    ours = read_checkpoint(str(stages / "model"), 2).weights
    done = convert(str(stages / "model"), str(tmp_path / ODD), kind)
    for given in (done.checkpoint, tmp_path / ODD):
        found = read_checkpoint(str(given), 2)
        assert found.kind == kind
        for name, array in found.weights.items():
            np.testing.assert_array_equal(array, ours[name])
    convert(str(done.checkpoint), str(tmp_path / f"{ODD} back"), "bigbird")


def test_a_checkpoints_own_name_may_be_odd_too(tmp_path):
    prefix, odd = RECORDING / "model_garden" / "bare", tmp_path / "ck[1] *?"
    for file in prefix.parent.glob("bare.*"):
        shutil.copyfile(file, tmp_path / f"{odd.name}{file.name.removeprefix('bare')}")
    expected = read_checkpoint(str(prefix), 2).weights
    for given in (odd, f"{odd}.index", tmp_path):
        assert read_checkpoint(str(given), 2).weights.keys() == expected.keys()


def test_a_path_that_is_there_is_no_pattern(tmp_path, monkeypatch):
    folder, other = tmp_path / ODD, tmp_path / "run 1 axxbx"
    for place in (folder, other):
        place.mkdir()
        for name in ("train-0.tfrecord", "train-1.tfrecord", "train-[01].tfrecord", "a,b"):
            (place / name).touch()
    for name in ("train-0.tfrecord", "train-[01].tfrecord", "a,b"):
        assert find_files(str(folder / name)) == find_files([str(folder / name)]) == [str(folder / name)]
    found = [str(folder / f"train-{name}.tfrecord") for name in ("0", "1")]
    assert find_files([f"{folder}/train-?.tfrecord"]) == found
    assert find_files([f"{folder}/train-*.tfrecord"]) == [*found, str(folder / "train-[01].tfrecord")]
    with pytest.raises(InputError, match="matches no file"):
        find_files([f"{folder}/none-*"])
    monkeypatch.chdir(folder)
    assert find_files(["train-?.tfrecord"]) == ["./train-0.tfrecord", "./train-1.tfrecord"]  # as TensorFlow says it
    monkeypatch.chdir(tmp_path)
    assert find_files([f"./{ODD}/train-0.*", f"{ODD}/train-1.*"]) == [
        f"./{ODD}/train-0.tfrecord",
        f"{ODD}/train-1.tfrecord",
    ]


def test_a_digest_of_files_is_of_those_in_the_folder_that_is_named(tmp_path):
    folder, like_it = tmp_path / "run [1]", tmp_path / "run 1"
    for place in (folder, like_it):
        place.mkdir()
    (folder / "ck*.index").write_text("here")
    before = storage.fingerprint([str(folder), str(folder / "ck*")])
    (like_it / "ckx.index").write_text("elsewhere")
    assert storage.fingerprint([str(folder), str(folder / "ck*")]) == before
    (folder / "ck*.index").write_text("changed")
    assert storage.fingerprint([str(folder), str(folder / "ck*")]) != before
    of_a_pattern = storage.fingerprint([str(folder / "c*")])
    (like_it / "cky").write_text("elsewhere too")
    assert storage.fingerprint([str(folder / "c*")]) == of_a_pattern
    with pytest.raises(InputError, match="no such file or folder"):
        storage.fingerprint([str(folder / "ckx*")])


@pytest.mark.parametrize("path", ["folder", "folder/", "checkpoint", "folder/a.txt"])
def test_a_digest_of_files_is_what_beam_would_list(tmp_path, path):
    from apache_beam.io.filesystems import FileSystems

    for name in ("folder/a.txt", "folder/in/b", "folder/.c", "folder.d/e", "checkpoint.index", "checkpoint.data-0"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    given = f"{tmp_path}/{path}"
    results = FileSystems.match([given, f"{given}.*", FileSystems.join(given, "**")])
    files = [file for result in results for file in result.metadata_list]
    listed = {file.path: (file.size_in_bytes, file.last_updated_in_seconds) for file in files}
    assert listing._match_local(given) == listed


def test_what_is_deleted_is_what_is_named(tmp_path):
    for name in ("run [1]", "run 1"):
        (tmp_path / name / "work").mkdir(parents=True)
        (tmp_path / name / "work" / "file").touch()
    storage.delete([str(tmp_path / "run [1]" / "work")])
    assert list((tmp_path / "run [1]").iterdir()) == []
    assert (tmp_path / "run 1" / "work" / "file").exists()
