"""`bigbird predict --target vertex`: the real client against a server on this machine that speaks the API's REST."""

import json
import re

import pytest
from google.cloud import aiplatform_v1

from bigbird_pipelines import remote_predict
from tests.cloud import PARENT, parsed

TABLE = "gs://bucket/mails/1.jsonl"
ARGUMENTS = ("predict", "--target", "vertex", "--poll", "0.01", "--output", "gs://bucket/answers")
FOLDER = "gs://bucket/runs/7/saved_model"


@pytest.fixture
def registered(cloud):
    """A project with a registered model of two versions, and a table."""
    for version, aliases in (("1", ["default"]), ("2", ["candidate"])):
        cloud.versions.append(
            {
                "name": f"{PARENT}/models/7", "displayName": "bigbird-sst2", "labels": {"bigbird": "register"},
                "versionId": version, "versionAliases": aliases, "artifactUri": f"{FOLDER}{version}",
            }
        )  # fmt: skip
        signature = {"inputs": {"text_a": {"dtype": "string", "shape": [None], "meaning": "the text"}}, "outputs": {}}
        manifest = {"task": "sst2", "signatures": {"serving_default": signature}}
        cloud.objects[f"{FOLDER}{version}/signature.json"] = json.dumps(manifest).encode()
    cloud.objects |= {TABLE: b'{"text_a": "a", "n": 1}\n', "gs://bucket/mails/2.jsonl": b'{"text_a": "b", "n": 2}\n'}
    cloud.predictions = [("JOB_STATE_PENDING", {}), ("JOB_STATE_RUNNING", {}), ("JOB_STATE_SUCCEEDED", DONE)]
    return cloud


DONE = {
    "completionStats": {"successfulCount": "2", "failedCount": "0"},
    "outputInfo": {"gcsOutputDirectory": "gs://bucket/answers/prediction-bigbird-sst2"},
}


def test_a_table_is_answered_by_the_default_version_and_the_states_are_told(registered, bigbird):
    result = bigbird(*ARGUMENTS, "--model", "registry:bigbird-sst2", "gs://bucket/mails/*.jsonl", "--id", "n")
    (sent,) = registered.batch_jobs.values()
    job = parsed(aiplatform_v1.BatchPredictionJob, {k: v for k, v in sent.items() if k not in ("state", "createTime")})
    assert job.model == f"{PARENT}/models/7@1"
    assert (job.input_config.instances_format, list(job.input_config.gcs_source.uris)) == (
        "jsonl",
        [TABLE, "gs://bucket/mails/2.jsonl"],
    )
    assert list(job.instance_config.included_fields) == ["text_a"]
    assert (job.instance_config.instance_type, job.instance_config.key_field) == ("object", "n")
    assert job.output_config.predictions_format == "jsonl"
    assert job.output_config.gcs_destination.output_uri_prefix == "gs://bucket/answers"
    assert job.dedicated_resources.machine_spec.machine_type == "n1-standard-4"
    assert (job.dedicated_resources.starting_replica_count, job.dedicated_resources.max_replica_count) == (1, 1)
    assert job.manual_batch_tuning_parameters.batch_size == 16
    assert job.labels["bigbird"] == "predict" and len(job.labels["bigbird-request"]) == 16
    assert "2 rows: gs://bucket/answers/prediction-bigbird-sst2" in result.output
    assert "/vertex-ai/locations/europe-west4/batch-predictions/1?project=my-project" in result.output
    told = [line.split("  ")[-1] for line in result.stderr.splitlines() if "  " in line]
    assert told == ["pending", "running", "succeeded, 2 rows answered"]


@pytest.mark.parametrize("version", ["2", "candidate"])
def test_a_version_may_be_named(registered, bigbird, version):
    model = f"registry:bigbird-sst2@{version}"
    bigbird(*ARGUMENTS, "--model", model, TABLE, "--machine-type", "n1-standard-16", "--replicas", "3")
    (sent,) = registered.batch_jobs.values()
    assert sent["model"] == f"{PARENT}/models/7@2"
    assert sent["dedicatedResources"] == {
        "machineSpec": {"machineType": "n1-standard-16"},
        "startingReplicaCount": 1,
        "maxReplicaCount": 3,
    }


@pytest.mark.parametrize("handled", [False, True])
def test_a_lost_answer_sends_no_second_job(registered, bigbird, handled):
    registered.trouble("POST .*batchPredictionJobs", times=1, handled=handled)
    bigbird(*ARGUMENTS, "--model", "registry:bigbird-sst2", TABLE)
    assert len(registered.batch_jobs) == 1


def test_a_failed_job_ends_with_code_4_and_its_reasons(registered, bigbird):
    failed = {
        "error": {"code": 3, "message": 'The model server did not answer: instances[0]: text_a is ""'},
        "partialFailures": [{"code": 3, "message": "2 rows of mails/1.jsonl"}],
        "completionStats": {"successfulCount": "5", "failedCount": "2"},
    }
    registered.predictions = [("JOB_STATE_FAILED", failed)]
    result = bigbird(*ARGUMENTS, "--model", "registry:bigbird-sst2", TABLE, code=4)
    assert "the batch prediction failed: 5 rows answered, 2 failed" in result.stderr
    assert "The model server did not answer" in result.stderr and "2 rows of mails/1.jsonl" in result.stderr
    assert "batch-predictions/1?project=my-project" in result.stderr


def test_rows_that_failed_are_told_though_the_job_succeeded(registered, bigbird):
    part = {**DONE, "completionStats": {"successfulCount": "1", "failedCount": "1"}}
    registered.predictions = [("JOB_STATE_SUCCEEDED", part)]
    result = bigbird(*ARGUMENTS, "--model", "registry:bigbird-sst2", TABLE, code=4)
    assert "ended: 1 rows answered, 1 failed" in result.stderr
    assert "are in gs://bucket/answers/prediction-bigbird-sst2" in result.stderr


def test_a_service_out_of_reach_is_waited_for(registered, bigbird, monkeypatch):
    registered.trouble("GET .*batchPredictionJobs/", times=7, status=503)
    result = bigbird(*ARGUMENTS, "--model", "registry:bigbird-sst2", TABLE)
    assert "trying again" in result.stderr and "2 rows" in result.output
    registered.trouble("GET .*batchPredictionJobs/", times=1000, status=503)
    monkeypatch.setattr(remote_predict, "PATIENCE_S", 0.0)
    bigbird(*ARGUMENTS, "--model", "registry:bigbird-sst2", TABLE, code=4)


def test_a_dry_run_sends_nothing(registered, bigbird):
    result = bigbird(*ARGUMENTS, "--model", "registry:bigbird-sst2", TABLE, "--dry-run")
    body = json.loads(result.stdout)
    parsed(aiplatform_v1.BatchPredictionJob, body["batchPredictionJob"])
    assert body["parent"] == PARENT and not registered.batch_jobs


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--model", "runs/x", TABLE), 2, "expected registry:NAME or registry:NAME@VERSION with --target"),
        (("--model", "registry:other", TABLE), 2, "has no model of this name that a run registered; expected one"),
        (("--model", "registry:bigbird-sst2@9", TABLE), 4, "version 9 of registry:bigbird-sst2"),
        (("--model", "registry:bigbird-sst2", "mails.jsonl"), 2, "expected a file, a folder or a pattern in a bucket"),
        (("--model", "registry:bigbird-sst2", "gs://bucket/none.jsonl"), 2, "no such file or folder"),
        (
            ("--model", "registry:bigbird-sst2", "gs://bucket/t.parquet"),
            2,
            "expected uncompressed JSON Lines (.jsonl)",
        ),
        (("--model", "registry:bigbird-sst2", "gs://bucket/t.csv"), 2, "expected uncompressed JSON Lines (.jsonl)"),
        (("--model", "registry:bigbird-sst2", TABLE, "--text", "body"), 2, "--text is given with --target"),
        (("--model", "registry:bigbird-sst2", TABLE, "--to", "csv"), 2, "--to is given with --target"),
        (("--model", "registry:bigbird-sst2"), 2, "--target needs a FILE and --output"),
        (("--model", "registry:bigbird-sst2", TABLE, "--runner=X"), 2, "No such option '--runner'"),
    ],
)
def test_what_cannot_be_sent_is_refused(registered, bigbird, words, code, message):
    registered.objects["gs://bucket/t.parquet"] = b"PAR1"
    registered.objects["gs://bucket/t.csv"] = b"text_a\na\n"
    result = bigbird(*ARGUMENTS, *words, code=code)
    assert message in result.stderr
    assert not registered.batch_jobs


def test_a_model_whose_files_are_gone_is_explained(registered, bigbird):
    del registered.objects[f"{FOLDER}1/signature.json"]
    result = bigbird(*ARGUMENTS, "--model", "registry:bigbird-sst2", TABLE, code=4)
    assert "its files were deleted, register a model again" in result.stderr


def test_ctrl_c_while_a_job_is_sent_says_that_it_may_be_there(registered, bigbird, interrupted):
    registered.trouble("POST .*batchPredictionJobs", 1, status=None, handled=True)
    told = bigbird(*ARGUMENTS, "--model", "registry:bigbird-sst2", TABLE, code=130).stderr
    assert re.search(r"batch prediction \S+ may have been sent; look for it on Vertex AI before sending another", told)
    assert "half-written" not in told
