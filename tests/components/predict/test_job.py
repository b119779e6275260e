"""An output folder on its way to be whole: what goes on, what is refused, what is replaced. Nothing here loads a model."""

import json

import pytest

from bigbird.manifests import InputFacts, PredictionsManifest
from bigbird.support.artifacts import json_bytes
from bigbird.support.errors import InputError
from bigbird_components.predict.job import Identity, JobState, Output, digest_of
from bigbird_components.predict.rows import RowRange


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
        task="x", model="m", model_digest="m", job=digest_of(of), input=[], fields={}, files=["predictions.jsonl"]
    )
    job.whole(json_bytes(manifest.sealed({}).to_json()))


def begin_answering(folder, job, of):
    job.begin(of, "jsonl", overwrite=False)
    (folder / "work" / "rows.jsonl").write_text('"ok"\n')
    job.save(JobState(identity=of, shards=[[0, 0, 5, 1]], rejected=2, fields={"text_a": ["a", "b"]}))


def test_a_job_goes_on_where_it_was(folder, job):
    begin_answering(folder, job, identity())
    (folder / "work" / "part-00000.json").write_text("{}")
    (folder / "work" / ".part-00001.jsonl.0123abcd.tmp").write_text("half")
    state = job.begin(identity(), "jsonl", overwrite=False)
    assert (state.shards, state.rejected, state.fields) == ([[0, 0, 5, 1]], 2, {"text_a": ["a", "b"]})
    assert sorted(path.name for path in (folder / "work").iterdir()) == [
        "job.json",
        "part-00000.json",
        "rows.jsonl",
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_digest": "n"}, "job whose model differs;"),
        ({"input": [InputFacts(path="t.csv", bytes=3, digest="b")]}, "job whose input differs;"),
        ({"version": "2"}, "job whose version of this project differs;"),
        ({"settings": {"id": "name"}}, "job whose setting of id differs;"),
    ],
)
def test_another_job_is_refused_unless_it_is_to_begin_anew(folder, job, changes, words):
    begin_answering(folder, job, identity())
    with pytest.raises(InputError, match=words):
        job.begin(identity(**changes), "jsonl", overwrite=False)
    assert json.loads((folder / "work" / "job.json").read_text())["shards"]
    assert job.begin(identity(**changes), "jsonl", overwrite=True).shards is None


def test_a_job_that_read_nothing_yet_gives_way(job):
    job.begin(identity(), "jsonl", overwrite=False)
    assert job.begin(identity(version="2"), "jsonl", overwrite=False).identity == identity(version="2")


def test_answers_stay_until_they_are_to_be_replaced(folder, job):
    whole(folder, job, identity())
    with pytest.raises(InputError, match="already holds files"):
        job.begin(identity(), "jsonl", overwrite=False)
    job.begin(identity(version="2"), "jsonl", overwrite=True)  # and is killed while it reads
    with pytest.raises(InputError, match="already holds files"):
        job.begin(identity(version="3"), "jsonl", overwrite=False)
    assert job.begin(identity(version="2"), "jsonl", overwrite=False).shards is None
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
        assert job.begin(identity(), "jsonl", overwrite=False) is None
        assert sorted(path.name for path in folder.iterdir()) == ["predictions.jsonl", "summary.json"]
    assert job.summary().job == digest_of(identity())


def test_half_deleted_work_is_ours_and_other_files_are_not(folder, job):
    (folder / "work").mkdir(parents=True)
    (folder / "work" / "part-00003.jsonl").write_text("{}")
    job.begin(identity(), "jsonl", overwrite=False)
    job.abandon()
    assert not folder.exists()
    (folder / "work").mkdir(parents=True)
    (folder / "work" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="work: holds files that no job of ours wrote"):
        job.begin(identity(), "jsonl", overwrite=True)
    assert (folder / "work" / "thesis.txt").exists()


def contents(folder):
    """Path inside -> content of all files."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_users_hidden_files_stay_as_they_are(folder, job, overwrite):
    folder.mkdir()
    for name in (".foo.tmp", ".vimrc.old", ".notes.0123abcd.tmp", ".summary.json"):
        (folder / name).write_text("{}")
    before = contents(folder)
    with pytest.raises(InputError, match=r"already holds files|no stage wrote it"):
        job.begin(identity(), "jsonl", overwrite=overwrite)
    assert contents(folder) == before


def test_files_beside_a_job_that_is_refused_stay_and_only_what_was_half_written_goes(folder, job):
    begin_answering(folder, job, identity())
    (folder / ".predictions.jsonl.0123abcd.tmp").write_text("half")
    (folder / "work" / ".part-00000.jsonl.0123abcd.tmp").write_text("half")
    (folder / ".foo.tmp").write_text("mine")
    before = contents(folder)
    with pytest.raises(InputError, match="job whose model differs"):
        job.begin(identity(model_digest="n"), "jsonl", overwrite=False)
    assert contents(folder) == before
    job.begin(identity(), "jsonl", overwrite=False)
    assert sorted(contents(folder)) == [".foo.tmp", "work/job.json", "work/rows.jsonl"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_in_the_place_of_the_jobs_folder_stays(folder, job, overwrite):
    folder.mkdir()
    (folder / "work").write_text("mine")
    with pytest.raises(InputError, match="work: is a file; expected no such name, or the folder of a job's own files"):
        job.begin(identity(), "jsonl", overwrite=overwrite)
    assert (folder / "work").read_text() == "mine"


@pytest.mark.parametrize(
    ("to", "overwrite"), [("parquet", False), ("parquet", True), ("jsonl", True)], ids=["other", "other new", "new"]
)
def test_a_kill_in_the_last_steps_answers_nothing_else_than_was_asked_for(folder, job, to, overwrite):
    whole(folder, job, identity())
    (folder / "summary.json").rename(folder / ".summary.json")
    if overwrite:
        assert job.begin(identity(), to, overwrite=True).shards is None
    else:
        with pytest.raises(InputError, match="already holds files"):
            job.begin(identity(), to, overwrite=False)
    assert sorted(path.name for path in folder.glob("*.json*")) == ["predictions.jsonl", "summary.json"]


@pytest.mark.parametrize("left", ["", "{", "\0\0\0\0"])
def test_an_outcome_that_cannot_be_read_counts_as_not_answered(folder, job, left):
    begin_answering(folder, job, identity())
    for number, content in enumerate(("{}", left)):
        (folder / "work" / f"part-0000{number}.json").write_text(content)
        (folder / "work" / f"part-0000{number}.jsonl").write_text("{}\n")
    assert job.begin(identity(), "jsonl", overwrite=False).shards
    assert job.answered([RowRange(0, 0, 5, 1), RowRange(1, 5, 5, 1)]) == {0}


@pytest.mark.parametrize("left", [None, "", '"ok"'])
def test_rows_that_are_not_there_whole_are_read_again(folder, job, left):
    begin_answering(folder, job, identity())
    (folder / "work" / "part-00000.json").write_text("{}")
    rows = folder / "work" / "rows.jsonl"
    rows.unlink() if left is None else rows.write_text(left)
    assert job.begin(identity(), "jsonl", overwrite=False) == JobState(identity=identity(), shards=None)
    assert job.answered([RowRange(0, 0, 5, 1)]) == {0}  # the same rows come out again


@pytest.mark.parametrize("left", ["", '{"identity": 3}'])
def test_a_state_that_cannot_be_read_is_replaced_where_asked_for(folder, job, left):
    begin_answering(folder, job, identity())
    (folder / "work" / "job.json").write_text(left)
    with pytest.raises(InputError, match=r"job\.json.*; pass --overwrite to begin anew"):
        job.begin(identity(), "jsonl", overwrite=False)
    assert job.begin(identity(), "jsonl", overwrite=True).shards is None
    assert [path.name for path in (folder / "work").iterdir()] == ["job.json"]


def test_a_manifest_that_cannot_be_read_deletes_no_answers(folder, job):
    begin_answering(folder, job, identity())
    (folder / ".summary.json").write_text("")
    assert job.begin(identity(), "jsonl", overwrite=False).shards == [[0, 0, 5, 1]]
