"""An output folder on its way to be whole: what goes on, what is refused, what is replaced. Nothing here loads a model."""

import json

import pytest

from bigbird.manifests import InputFacts, PredictionsManifest
from bigbird.support.artifacts import json_bytes
from bigbird.support.errors import InputError
from bigbird_components.predict.job import Identity, JobState, Output, digest_of


def identity(**changes):
    facts = InputFacts(path="t.csv", bytes=3, digest="a")
    return Identity(**{"version": "1", "model_digest": "m", "input": [facts], "settings": {"id": None}} | changes)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def job(folder):
    return Output(str(folder))


def whole(folder, job, of):
    """Leaves a folder that is whole."""
    folder.mkdir(exist_ok=True)
    (folder / "predictions.jsonl").write_text("{}\n")
    manifest = PredictionsManifest(
        task="x", model="m", model_digest="m", job=digest_of(of), input=[], fields={}, files=[]
    )
    job.whole(json_bytes(manifest.sealed({}).to_json()))


def begin_answering(job, of):
    job.begin(of, overwrite=False)
    job.save(JobState(identity=of, shards=[[0, 0, 5, 1]], rejected=2, fields={"text_a": ["a", "b"]}))


def test_a_job_goes_on_where_it_was(folder, job):
    begin_answering(job, identity())
    (folder / "work" / "part-00000.json").write_text("{}")
    (folder / "work" / ".part-00001.jsonl.0123abcd.tmp").write_text("half")
    state = job.begin(identity(), overwrite=False)
    assert (state.shards, state.rejected, state.fields) == ([[0, 0, 5, 1]], 2, {"text_a": ["a", "b"]})
    assert sorted(path.name for path in (folder / "work").iterdir()) == ["job.json", "part-00000.json"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_digest": "n"}, "another model;"),
        ({"input": [InputFacts(path="t.csv", bytes=3, digest="b")]}, "another input;"),
        ({"version": "2"}, "another version of this project;"),
        ({"settings": {"id": "name"}}, "another setting of id;"),
    ],
)
def test_another_job_is_refused_unless_it_is_to_begin_anew(folder, job, changes, words):
    begin_answering(job, identity())
    with pytest.raises(InputError, match=words):
        job.begin(identity(**changes), overwrite=False)
    assert json.loads((folder / "work" / "job.json").read_text())["shards"]
    assert job.begin(identity(**changes), overwrite=True).shards is None


def test_a_job_that_read_nothing_yet_gives_way(job):
    job.begin(identity(), overwrite=False)
    assert job.begin(identity(version="2"), overwrite=False).identity == identity(version="2")


def test_answers_stay_until_they_are_to_be_replaced(folder, job):
    whole(folder, job, identity())
    with pytest.raises(InputError, match="already holds files"):
        job.begin(identity(), overwrite=False)
    job.begin(identity(version="2"), overwrite=True)  # and is killed while it reads
    with pytest.raises(InputError, match="already holds files"):
        job.begin(identity(version="3"), overwrite=False)
    assert job.begin(identity(version="2"), overwrite=False).shards is None
    assert sorted(path.name for path in folder.iterdir()) == ["predictions.jsonl", "summary.json", "work"]
    job.clear()
    assert [path.name for path in folder.iterdir()] == ["work"]


def test_a_kill_in_the_last_steps_is_made_up_for(folder, job):
    whole(folder, job, identity())
    for left in (("work",), ()):
        (folder / ".summary.json").write_bytes((folder / "summary.json").read_bytes())
        for name in left:
            (folder / name).mkdir()
            (folder / name / "part-00000.jsonl").write_text("{}")
            (folder / "summary.json").unlink()
        assert job.begin(identity(), overwrite=False) is None
        assert sorted(path.name for path in folder.iterdir()) == ["predictions.jsonl", "summary.json"]
    assert job.summary().job == digest_of(identity())


def test_half_deleted_work_is_ours_and_other_files_are_not(folder, job):
    (folder / "work").mkdir(parents=True)
    (folder / "work" / "part-00003.jsonl").write_text("{}")
    job.begin(identity(), overwrite=False)
    job.abandon()
    assert not folder.exists()
    (folder / "work").mkdir(parents=True)
    (folder / "work" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="work: holds files that no job of ours wrote"):
        job.begin(identity(), overwrite=True)
    assert (folder / "work" / "thesis.txt").exists()
