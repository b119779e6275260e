"""Weights to start from and the vocabulary they were trained with: taken along, held against another, or asked for."""

import hashlib
import json

import pytest
from google.cloud import aiplatform_v1

from bigbird.support.errors import InputError
from bigbird_pipelines.local_runs.planning import make_plan
from tests.cloud import parsed
from tests.pipelines.test_cli import options
from tests.weights import weights_file

WEIGHTS = weights_file()
SST2 = ("--task", "sst2", "--data", "gs://bucket/SST-2", "--recipe", "small_sst2")


def manifest(pieces, lower_case=False):
    vocabulary = {"sha256": hashlib.sha256(pieces).hexdigest(), "lower_case": lower_case}
    return json.dumps({"best": "best", "dataset": {"vocabulary": vocabulary}}).encode()


def model_files(pieces, **stated):
    """What a model folder of ours holds, as far as its vocabulary goes: {name in it: content}."""
    return {
        "model.json": manifest(pieces, **stated), "vocab.model": pieces, "config.yaml": b"", "best/state.json": b"{}",
        "best/model.safetensors": WEIGHTS, "checkpoints/step-00000004/state.json": b"{}",
        "checkpoints/step-00000004/model.safetensors": WEIGHTS,
    }  # fmt: skip


FORMS = ["", "/best", "/best/model.safetensors", "/checkpoints/step-00000004"]


def parameters_of(cloud):
    (job,) = cloud.jobs.values()
    sent = {k: v for k, v in job.items() if k not in ("state", "createTime")}
    return parsed(aiplatform_v1.PipelineJob, sent).runtime_config.parameter_values


@pytest.fixture
def model(tmp_path, pieces):
    """A model folder of ours on this machine."""
    for name, content in model_files(pieces).items():
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_bytes(content)
    return tmp_path / "model"


@pytest.mark.parametrize("form", FORMS)
def test_a_run_here_takes_the_weights_vocabulary_along_and_says_so(tmp_path, model, capsys, form):
    plan = make_plan(**options(tmp_path, sample="glue", init_checkpoint=f"{model}{form}", recipe="sample_glue"))
    assert plan.arguments["vocabulary"] == str(model / "vocab.model")
    assert f"the vocabulary is that of the weights: {model / 'vocab.model'}" in capsys.readouterr().err
    assert model in plan.inputs  # a container sees what lies above a checkpoint too


def test_another_vocabulary_is_refused_and_a_copy_of_the_same_taken(tmp_path, model, pieces):
    (tmp_path / "copy.model").write_bytes(pieces)
    (tmp_path / "other.model").write_bytes(b"other")
    given = {"sample": "glue", "recipe": "sample_glue", "init_checkpoint": str(model)}
    plan = make_plan(**options(tmp_path, **given, vocabulary=str(tmp_path / "copy.model")))
    assert plan.arguments["vocabulary"] == str(tmp_path / "copy.model")
    with pytest.raises(InputError) as refused:
        make_plan(**options(tmp_path, **given, vocabulary=str(tmp_path / "other.model")))
    for told in ("other.model", hashlib.sha256(b"other").hexdigest(), str(model), hashlib.sha256(pieces).hexdigest()):
        assert told in str(refused.value)
    assert "leave --vocabulary out" in str(refused.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("known", [True, False])
def test_a_vocabulary_that_is_nowhere_is_asked_for(tmp_path, model, known):
    (model / "vocab.model").unlink()
    if not known:  # with its digest alone it can be compared and not taken
        (model / "model.json").write_text("{}")
    given = {"sample": "glue", "recipe": "sample_glue", "init_checkpoint": str(model)}
    with pytest.raises(InputError, match=r"--vocabulary is not given, and beside --init-checkpoint .* there is none"):
        make_plan(**options(tmp_path, **given))
    (tmp_path / "other.model").write_bytes(b"other")
    other = options(tmp_path, **given, vocabulary=str(tmp_path / "other.model"))
    if known:
        with pytest.raises(InputError, match="was trained with another"):
            make_plan(**other)
    else:
        assert make_plan(**other).arguments["vocabulary"] == str(tmp_path / "other.model")


def test_a_bucket_is_not_looked_into_by_a_run_here(tmp_path):
    given = {"sample": "glue", "recipe": "sample_glue", "init_checkpoint": "gs://bucket/model"}
    with pytest.raises(InputError, match="--vocabulary is not given"):
        make_plan(**options(tmp_path, **given))
    plan = make_plan(**options(tmp_path, **given, vocabulary="gs://bucket/model/vocab.model"))
    assert plan.arguments["vocabulary"] == "gs://bucket/model/vocab.model"


def test_lower_cased_weights_want_lower_cased_text(tmp_path, model, pieces):
    (model / "model.json").write_bytes(manifest(pieces, lower_case=True))
    given = {"sample": "squad", "recipe": "sample_squad", "init_checkpoint": str(model)}
    with pytest.raises(
        InputError, match=r"trained on text lower-cased, .* set task\.validation_data\.do_lower_case=true"
    ):
        make_plan(**options(tmp_path, **given))
    both = ("task.train_data.do_lower_case=true", "task.validation_data.do_lower_case=true")
    assert make_plan(**options(tmp_path, **given, overrides=both)).arguments["vocabulary"] == str(model / "vocab.model")


def test_from_scratch_a_vocabulary_is_still_trained(tmp_path):
    assert make_plan(**options(tmp_path, sample="glue")).arguments["vocabulary"] == ""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("folder", ["trained", "{date}/trained"])
def test_a_submitted_run_takes_the_weights_vocabulary_along(cloud, bigbird, pieces, monkeypatch, form, folder):
    import datetime

    day = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    for name, content in model_files(pieces).items():
        cloud.objects[f"gs://bucket/{folder.replace('{date}', day)}/{name}"] = content
    result = bigbird("submit", *SST2, "--init-checkpoint", f"gs://bucket/{folder}{form}")
    assert parameters_of(cloud)["vocabulary"] == f"gs://bucket/{folder}/vocab.model"
    assert f"the vocabulary is that of the weights: gs://bucket/{folder}/vocab.model" in result.stderr


def test_a_submitted_run_is_refused_another_vocabulary(cloud, bigbird, pieces, vocabulary):
    for name, content in model_files(b"other").items():
        cloud.objects[f"gs://bucket/trained/{name}"] = content
    command = ("submit", *SST2, "--init-checkpoint", "gs://bucket/trained", "--vocabulary", vocabulary)
    refused = bigbird(*command, code=2)
    assert f"--vocabulary {vocabulary}: has SHA-256 {hashlib.sha256(pieces).hexdigest()}, but" in refused.stderr
    assert not cloud.jobs
    cloud.objects |= {f"gs://bucket/trained/{name}": content for name, content in model_files(pieces).items()}
    bigbird(*command)
    assert parameters_of(cloud)["vocabulary"] == vocabulary


def test_published_weights_want_their_vocabulary_named(cloud, bigbird, vocabulary):
    cloud.objects["gs://bucket/bert/model.ckpt-0.index"] = b"x"
    command = ("--init-checkpoint", "gs://bucket/bert/model.ckpt-0")
    assert (
        "--vocabulary is not given, and beside --init-checkpoint" in bigbird("submit", *SST2, *command, code=2).stderr
    )
    bigbird("submit", *SST2, *command, "--vocabulary", vocabulary)
    assert parameters_of(cloud)["vocabulary"] == vocabulary


def test_a_schedules_weights_that_come_later_want_it_named(cloud, bigbird):
    schedule = (
        "schedule",
        "create",
        "daily",
        "--cron",
        "0 3 * * *",
        *SST2,
        "--init-checkpoint",
        "gs://bucket/{date}/model",
    )
    assert "--vocabulary is not given" in bigbird(*schedule, code=2).stderr
    assert not cloud.schedules
    bigbird(*schedule, "--vocabulary", "gs://bucket/{date}/model/vocab.model")
    assert len(cloud.schedules) == 1
