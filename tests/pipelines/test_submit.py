"""`bigbird submit` to Vertex AI: the real client against a server on this machine that speaks its REST."""

import json

import pytest
from google.cloud import aiplatform_v1

from bigbird.config.overrides import parse_override
from bigbird_components.gate import NO_THRESHOLD
from bigbird_pipelines.machines import MACHINES
from bigbird_pipelines.submit import exit_code
from tests.cloud import PARENT, TRAINERS, parsed, task

SST2 = ("--task", "sst2", "--data", "gs://bucket/SST-2", "--recipe", "small_sst2")


def job_of(cloud):
    (job,) = cloud.jobs.values()
    return parsed(aiplatform_v1.PipelineJob, {k: v for k, v in job.items() if k not in ("state", "createTime")})


def custom_job(spec):
    """The training step's custom job as the API's own message, the launcher's placeholders filled in."""
    (name,) = [n for n in spec["components"] if n == "comp-train"]
    parameters = spec["components"][name]["inputDefinitions"]["parameters"]
    defaults = {n: p["defaultValue"] for n, p in parameters.items() if "defaultValue" in p}
    scheduling = {
        "timeout": defaults["timeout"],
        "restart_job_on_worker_restart": defaults["restart_job_on_worker_restart"],
        "strategy": defaults["strategy"],
        "max_wait_duration": defaults["max_wait_duration"],
    }
    pools = [
        {
            **pool,
            "replica_count": int(pool["replica_count"]),
            "disk_spec": {**pool["disk_spec"], "boot_disk_size_gb": 100},
        }
        for pool in defaults["worker_pool_specs"]
    ]
    body = {
        "display_name": defaults["display_name"],
        "labels": defaults["labels"],
        "job_spec": {
            "worker_pool_specs": pools,
            "scheduling": scheduling,
            "service_account": defaults["service_account"],
            "network": defaults["network"],
        },
    }
    return parsed(aiplatform_v1.CustomJob, body)


def test_a_submitted_run_is_a_pipeline_job_of_the_api(cloud, bigbird):
    result = bigbird(
        "submit",
        *SST2,
        "--name",
        "first try",
        "--epochs",
        "0.5",
        "--max-length",
        "128",
        "--run-label",
        "team=search",
        "--margin",
        "0.01",
        "--service-account",
        "runner@my-project.iam.gserviceaccount.com",
        "--network",
        "projects/1/global/networks/v",
    )
    assert list(cloud.jobs) == ["bigbird-first-try"]
    job = job_of(cloud)
    assert job.name == f"{PARENT}/pipelineJobs/bigbird-first-try"
    assert job.display_name == "first try"
    assert job.service_account == "runner@my-project.iam.gserviceaccount.com"
    assert job.network == "projects/1/global/networks/v"
    assert job.runtime_config.gcs_output_directory == "gs://bucket/runs"
    assert job.runtime_config.failure_policy.name == "PIPELINE_FAILURE_POLICY_FAIL_FAST"
    labels = dict(job.labels)
    assert len(labels.pop("bigbird-spec")) == 16
    assert labels.pop("commit")
    assert labels == {"bigbird": "finetune", "task": "sst2", "machine": "tpu-v5e-1", "team": "search"}
    values = dict(job.runtime_config.parameter_values)
    assert "trainer" in values.pop("recipe")
    assert parse_override(values.pop("overrides")) == {
        "task": {
            "train_data": {"seq_length": 128}, "validation_data": {"seq_length": 128}, "bucket_lengths": [32, 64, 128],
        },
        "trainer": {
            "epochs": 0.5, "train_steps": 0,
            "optimizer_config": {
                "learning_rate": {"polynomial": {"decay_steps": None}},
                "warmup": {"polynomial": {"warmup_steps": None}, "linear": {"warmup_steps": None}},
            },
        },
    }  # fmt: skip
    assert values == {
        "task": "sst2", "data": "gs://bucket/SST-2", "train_file": "", "validation_file": "", "test_file": "", "vocabulary": "",
        "vocabulary_size": 8000, "max_bad_records": 0, "beam_options": "", "init_checkpoint": "",
        "metric_threshold": NO_THRESHOLD, "model_name": "bigbird-sst2",
        "margin": 0.01,
    }  # fmt: skip
    assert (
        "https://console.cloud.google.com/vertex-ai/locations/europe-west4/pipelines/runs/bigbird-first-try"
        in result.output
    )


def test_the_authorization_header_is_not_sent_over_plain_http(cloud, bigbird):
    bigbird("submit", *SST2)
    assert cloud.requests
    assert not [request for request in cloud.requests if "authorization" in request.headers]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backend"), TRAINERS)
def test_each_machines_custom_job_is_what_the_api_takes(cloud, bigbird, name, backend):
    machine = MACHINES[name]
    asked = ("--machine", name, "--backend", backend, "--timeout-hours", "2.5", "--batch-size", "16")
    bigbird("submit", *SST2, *asked)
    spec = next(iter(cloud.jobs.values()))["pipelineSpec"]
    job = custom_job(spec)
    (pool,) = job.job_spec.worker_pool_specs
    assert pool.replica_count == 1
    assert pool.machine_spec.machine_type == machine.machine_type
    assert pool.machine_spec.tpu_topology == machine.topology
    assert pool.machine_spec.accelerator_type.name == (machine.accelerator or "ACCELERATOR_TYPE_UNSPECIFIED")
    assert pool.machine_spec.accelerator_count == (1 if machine.accelerator else 0)
    assert (
        pool.container_spec.image_uri
        == f"europe-west4-docker.pkg.dev/my-project/images/bigbird-{machine.image(backend)}:0123456789ab"
    )
    assert job.job_spec.scheduling.timeout.total_seconds() == 9000
    assert job.job_spec.scheduling.strategy.name == {"gpu-h100": "FLEX_START"}.get(name, "STANDARD")
    assert job.job_spec.scheduling.restart_job_on_worker_restart
    trained = spec["components"]["comp-exit-handler-1"] if "comp-exit-handler-1" in spec["components"] else spec["root"]
    runtime = trained["dag"]["tasks"]["train"]["inputs"]["parameters"]["runtime"]["runtimeValue"]["constant"]
    assert runtime == machine.runtime(backend)
    assert f"runtime.backend={backend}" in runtime


@pytest.mark.parametrize(
    ("options", "image"),
    [
        (("--machine", "tpu-v6e-4"), "train-jax-tpu"),
        (("--machine", "tpu-v5e-4"), "train-tpu"),
        (("--machine", "tpu-v5e-4", "--override", "runtime.backend=jax"), "train-jax-tpu"),
        (("--machine", "gpu-l4", "--backend", "jax"), "train-jax-gpu"),
        (("--machine", "cpu", "--backend", "jax"), "train"),
    ],
)
def test_the_backend_of_the_machine_or_the_user_decides_the_image(cloud, bigbird, options, image):
    bigbird("submit", *SST2, *options)
    spec = next(iter(cloud.jobs.values()))["pipelineSpec"]
    (pool,) = custom_job(spec).job_spec.worker_pool_specs
    assert pool.container_spec.image_uri.rpartition("/")[2].startswith(f"bigbird-{image}:")


def test_a_recipes_backend_decides_the_image(cloud, bigbird, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("runtime: {backend: jax}\ntrainer: {epochs: 1}\n", encoding="utf-8")
    bigbird("submit", *SST2, "--recipe", recipe)
    (pool,) = custom_job(next(iter(cloud.jobs.values()))["pipelineSpec"]).job_spec.worker_pool_specs
    assert "bigbird-train-jax-tpu:" in pool.container_spec.image_uri


@pytest.mark.parametrize(
    ("strategy", "sent"), [("spot", "SPOT"), ("flex-start", "FLEX_START"), ("standard", "STANDARD")]
)
def test_the_strategy_is_the_apis(cloud, bigbird, strategy, sent):
    bigbird("submit", *SST2, "--machine", "tpu-v5e-4", "--strategy", strategy, "--max-wait-hours", "3")
    scheduling = custom_job(next(iter(cloud.jobs.values()))["pipelineSpec"]).job_spec.scheduling
    assert (scheduling.strategy.name, scheduling.max_wait_duration.total_seconds()) == (sent, 10800)


def test_a_dry_run_prints_the_request_and_sends_none(cloud, bigbird):
    printed = json.loads(bigbird("submit", *SST2, "--name", "x", "--dry-run").stdout)
    assert not cloud.asked("POST")
    bigbird("submit", *SST2, "--name", "x")
    (sent,) = cloud.asked("POST .*pipelineJobs")
    assert printed == {"parent": PARENT, "pipelineJobId": sent.query["pipelineJobId"], "pipelineJob": sent.body}


@pytest.mark.parametrize(
    ("flag", "cached"),
    [((), {"preprocess": True, "resolve": False, "register": False}),
     (("--caching",), {"preprocess": True, "resolve": False, "register": False}),
     (("--no-caching",), {"preprocess": False, "resolve": False, "register": False})],
)  # fmt: skip
def test_caching_has_three_values(cloud, bigbird, flag, cached):
    bigbird("submit", *SST2, *flag)
    spec = next(iter(cloud.jobs.values()))["pipelineSpec"]
    tasks = {
        name: one
        for part in [spec["root"], *spec["components"].values()]
        for name, one in part.get("dag", {}).get("tasks", {}).items()
    }
    assert {name: bool(tasks[name].get("cachingOptions", {}).get("enableCache")) for name in cached} == cached


def test_waiting_tells_each_steps_states_and_the_metrics(cloud, bigbird):
    metrics = {"metrics": {"artifacts": [{"metadata": {"accuracy": 0.93, "baseline": 0.5}}]}}
    cloud.progress = [
        ("PIPELINE_STATE_PENDING", []),
        ("PIPELINE_STATE_RUNNING", [task(1, "preprocess", "RUNNING")]),
        ("PIPELINE_STATE_RUNNING", [task(1, "preprocess", "SKIPPED"), task(2, "train", "RUNNING")]),
        ("PIPELINE_STATE_SUCCEEDED", [
            task(1, "preprocess", "SKIPPED"), task(2, "train", "SUCCEEDED"), task(3, "evaluate", "SUCCEEDED", outputs=metrics),
        ]),
    ]  # fmt: skip
    result = bigbird("submit", *SST2, "--name", "x", "--wait", "--poll", "0.01")
    lines = [
        line.split()[1:] for line in result.stderr.splitlines()
    ]  # without the time of day, and the seconds it took
    assert [" ".join(words).partition(" after ")[0] for words in lines] == [
        "preprocess running",
        "preprocess taken from the cache",
        "train running",
        "train succeeded",
        "evaluate succeeded",
    ]
    assert "accuracy 0.9300  baseline 0.5000\nx succeeded\n" in result.stdout


def test_waiting_ends_with_the_failed_step_its_error_its_log_and_its_exit_code(cloud, bigbird):
    error = "The replica workerpool0-0 exited with a non-zero status of 2."
    detail = {"executorDetail": {"customJobDetail": {"job": f"{PARENT}/customJobs/77"}}}
    cloud.progress = [
        (
            "PIPELINE_STATE_FAILED",
            [
                task(
                    1,
                    "exit-handler-1",
                    "FAILED",
                    error="The DAG failed because some tasks failed. The failed tasks are: [train].",
                ),
                task(2, "preprocess", "SUCCEEDED", parent=1),
                task(3, "train", "FAILED", parent=1, error=error, **detail),
            ],
        )
    ]
    cloud.logs = [{"textPayload": "error: recipe: trainer.steps: unknown key\n"}, {"jsonPayload": {"message": "first"}}]
    result = bigbird("submit", *SST2, "--name", "x", "--wait", "--poll", "0.01", code=2)
    assert (
        f"error: step 'train' of x failed: {error}\n  first\n  error: recipe: trainer.steps: unknown key\n"
        in result.stderr
    )
    assert "logs: https://console.cloud.google.com/logs/query;query=" in result.stderr
    assert "job_id%3D%2277%22" in result.stderr
    (asked,) = cloud.asked("POST /v2/entries:list")
    assert 'resource.labels.job_id="77"' in asked.body["filter"]


def test_too_many_looks_at_a_run_are_no_reason_to_look_no_more(cloud, bigbird):
    cloud.progress = [("PIPELINE_STATE_SUCCEEDED", [])]
    cloud.trouble("GET .*pipelineJobs/", 7, status=429)
    assert "x succeeded" in bigbird("submit", *SST2, "--name", "x", "--wait", "--poll", "0.01").stdout


def test_a_cancelled_run_ends_with_one(cloud, bigbird):
    cloud.progress = [("PIPELINE_STATE_CANCELLED", [task(1, "preprocess", "CANCELLED")])]
    assert (
        "error: run x cancelled" in bigbird("submit", *SST2, "--name", "x", "--wait", "--poll", "0.01", code=1).stderr
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("exited with a non-zero status of 3.", 3),
        ("Error (exit code 2): no file", 2),
        ("exited with a non-zero status of 5.", 5),
        ("exit code 137", 1),
        ("preempted", 1),
    ],
)
def test_the_exit_code_is_the_steps_where_it_is_one_of_ours(error, code):
    assert exit_code(error) == code


def test_transient_refusals_are_tried_again_and_no_second_run_is_sent(cloud, bigbird):
    cloud.trouble("POST .*pipelineJobs", 2, status=503)
    bigbird("submit", *SST2, "--name", "x")
    assert len(cloud.asked("POST .*pipelineJobs")) == 3
    cloud.trouble("POST .*pipelineJobs", 1, status=None, handled=True)  # carried out, but the answer is lost
    bigbird("submit", *SST2, "--name", "y")
    assert sorted(cloud.jobs) == ["bigbird-x", "bigbird-y"]
    assert len(cloud.asked("POST .*pipelineJobs")) == 4


def test_a_lost_connection_while_waiting_is_bridged(cloud, bigbird):
    cloud.progress = [("PIPELINE_STATE_RUNNING", []), ("PIPELINE_STATE_SUCCEEDED", [])]
    bigbird("submit", *SST2, "--name", "w")
    cloud.trouble("GET .*pipelineJobs/", 7, status=None)  # more than one look tries
    from bigbird_pipelines.platforms.registry import remote_platform
    from bigbird_pipelines.remote import settings_from
    from bigbird_pipelines.submit import watch

    said = []
    run = watch(remote_platform("vertex").service(settings_from({})[0]), "bigbird-w", 0.01, said.append)
    assert run.state == "SUCCEEDED"
    assert "the service cannot be reached (ConnectionError); trying again" in said[0]


@pytest.mark.parametrize(
    ("status", "message", "told"),
    [
        (403, "Permission 'aiplatform.pipelineJobs.create' denied", ["403", "roles/aiplatform.user", "bigbird doctor"]),
        (
            429,
            "Quota exceeded for aiplatform.googleapis.com/custom_model_training_tpu_v5e",
            ["429", "iam-admin/quotas", "spot"],
        ),
        (429, "Too many requests", ["429", "wait a minute"]),
        (400, "Invalid value", ["400", "--dry-run"]),
        (503, "Unavailable", ["503", "tried several times"]),
    ],
)
def test_refusals_say_what_to_do_and_have_their_own_exit_code(cloud, bigbird, status, message, told):
    cloud.trouble("POST .*pipelineJobs", 9, status=status, message=message)
    result = bigbird("submit", *SST2, "--name", "x", code=4)
    assert result.stderr.startswith("error: submitting bigbird-x (project my-project, europe-west4): ")
    assert message in result.stderr
    assert [word for word in told if word not in result.stderr] == []
    assert "Traceback" not in result.stderr
    assert len(cloud.asked("POST .*pipelineJobs")) == (5 if status == 503 else 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "gs://bucket/SST-2"), "--task is not given"),
        (("--task", "sst2"), "--data is not given; expected a folder"),
        (("--task", "sst2", "--data", "SST-2"), "--data SST-2: is a path of this machine.*gcloud storage cp"),
        (("--task", "sst2", "--data", "s3://bucket/x"), "--data s3://bucket/x: expected gs://BUCKET/PATH"),
        ((*SST2, "--init-checkpoint", "registry:other"), "registry in europe-west4 has no such model"),
        ((*SST2, "--init-checkpoint", 'registry:a" OR x'), "expected 1 to 128 characters"),
        ((*SST2, "--model-name", 'a"b'), "--model-name 'a\"b': expected 1 to 128"),
        (
            ("--task", "sst2", "--data", "gs://bucket/SST-2", "--init-checkpoint", "registry:x"),
            "--recipe is not given with",
        ),
        ((*SST2, "--override", "task.init_checkpoint=gs://b/x"), "expected --init-checkpoint"),
        ((*SST2, "--override", "task={init_checkpoint: gs://b/x}"), "expected --init-checkpoint"),
        ((*SST2, "--timeout-hours", "nan"), "nan is not a finite number"),
        ((*SST2, "--max-wait-hours", "inf"), "inf is not a finite number"),
        (("--task", "sst2", "--data", "gs://bucket/none"), "--data gs://bucket/none: .* holds nothing"),
        (("--task", "sst2", "--data", "gs://other/x"), "gs://other: no such bucket"),
        (("--task", "cola", "--data", "gs://bucket/runs"), "has no file of task cola; expected train.tsv"),
        (
            ("--task", "mnli", "--data", "gs://bucket/SST-2"),
            "has no dev_matched.tsv or dev_mismatched.tsv, but dev.tsv; .* --validation-file",
        ),
        ((*SST2, "--vocabulary", "gs://bucket/absent.model"), "--vocabulary gs://bucket/absent.model: no such file"),
        ((*SST2, "--vocabulary", "gs://bucket/SST-2/train.tsv"), "--vocabulary .*train.tsv: not a SentencePiece model"),
        ((*SST2, "--train-file", "gs://bucket/SST-2/other.tsv"), "--train-file .*: no such file"),
        ((*SST2, "--init-checkpoint", "gs://bucket/SST-2"), "--init-checkpoint .*: no checkpoint there"),
        ((*SST2, "--init-checkpoint", "registry:"), "registry:NAME, where NAME is '': expected"),
        ((*SST2, "--override", "trainer.steps=3"), "trainer.steps: unknown key"),
        ((*SST2, "--machine", "tpu-v6e-1", "--backend", "tensorflow"), "it trains on jax only; leave the backend out"),
        (
            (*SST2, "--machine", "tpu-v5e-8", "--batch-size", "12"),
            "8 chips .* batch size is 12; expected a multiple of 8",
        ),
        ((*SST2, "--machine", "gpu-h100", "--strategy", "standard"), "is lent as flex-start or spot only"),
        ((*SST2, "--run-label", "Team=x"), "--run-label Team=x: expected name=value"),
        ((*SST2, "--region", "Paris"), "--region: region is 'Paris'"),
        ((*SST2, "--name", "a/b"), "--name 'a/b': expected"),
        ((*SST2, "--notify-emails", "a@b.c", "--notify-webhook", "hook"), "expected one of them"),
        ((*SST2, "--dataflow", "--image-prefix", "here"), "lies on this machine"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_sent(cloud, bigbird, options, message):
    import re

    result = bigbird("submit", *options, code=2)
    assert re.search(message, result.stderr), result.stderr
    assert not cloud.asked("POST|PATCH|DELETE")


def test_a_bucket_that_may_not_be_read_is_told_with_the_role(cloud, bigbird):
    cloud.trouble("GET /storage", 9, status=403)
    assert (
        "you may not read it; ask for roles/storage.objectViewer on gs://bucket"
        in bigbird("submit", *SST2, code=4).stderr
    )


def test_cloud_storage_that_fails_for_a_moment_is_asked_again_and_for_long_is_told(cloud, bigbird, monkeypatch):
    monkeypatch.setattr("bigbird_pipelines.files._PATIENCE_S", 1.0)
    cloud.trouble("GET /storage", 1, status=503)
    bigbird("submit", *SST2, "--name", "x")
    assert list(cloud.jobs) == ["bigbird-x"]
    cloud.trouble("GET /storage", 10**6, status=503)
    assert "gs://bucket/SST-2: Cloud Storage cannot be asked" in bigbird("submit", *SST2, "--name", "y", code=4).stderr


def test_a_vocabulary_in_the_bucket_is_read_and_taken(cloud, bigbird, vocabulary):
    bigbird("submit", *SST2, "--vocabulary", vocabulary)
    assert job_of(cloud).runtime_config.parameter_values["vocabulary"] == "gs://bucket/vocab.model"


@pytest.mark.parametrize("file", ["pytorch_model.bin", "weights.pkl"])
@pytest.mark.parametrize("given", ["gs://bucket/hf", "gs://bucket/hf/"])
def test_a_pickle_is_refused_by_name(cloud, bigbird, file, given):
    cloud.objects[f"gs://bucket/hf/{file}"] = b""
    for path in (given, f"gs://bucket/hf/{file}"):
        told = bigbird("submit", *SST2, "--init-checkpoint", path, code=2).stderr
        assert "is a pickle, which can run any code" in told


@pytest.mark.parametrize("file", ["optimizer.safetensors", "foo.safetensors"])
def test_what_training_does_not_read_is_refused(cloud, bigbird, file):
    cloud.objects[f"gs://bucket/ours/{file}"] = b""
    for path in ("gs://bucket/ours", "gs://bucket/ours/foo"):
        told = bigbird("submit", *SST2, "--init-checkpoint", path, code=2).stderr
        assert "no checkpoint there" in told and f"found {file}" in told


@pytest.mark.parametrize(
    ("given", "files"),
    [("gs://bucket/bert/model.ckpt-0", ["bert/model.ckpt-0.index", "bert/model.ckpt-0.data-00000-of-00001"]),
     ("gs://bucket/bert/x.data-00000-of-00001", ["bert/x.index", "bert/x.data-00000-of-00001"]),
     ("gs://bucket/bert/", ["bert/checkpoint"]),
     ("gs://bucket/weights.safetensors", ["weights.safetensors"]),
     ("gs://bucket/shards", ["shards/model.safetensors.index.json"]),
     ("gs://bucket/hf", ["hf/config.json", "hf/model.safetensors"]),
     ("gs://bucket/ours", ["ours/model.json"])],
)  # fmt: skip
def test_checkpoints_of_every_kind_are_recognised_by_their_files(cloud, bigbird, vocabulary, given, files):
    for name in files:
        cloud.objects[f"gs://bucket/{name}"] = b"{}"
    bigbird("submit", *SST2, "--init-checkpoint", given, "--vocabulary", vocabulary)
    assert job_of(cloud).runtime_config.parameter_values["init_checkpoint"] == given


def test_a_batch_that_may_not_fit_is_warned_about_and_sent(cloud, bigbird):
    result = bigbird(
        "submit",
        "--task",
        "sst2",
        "--data",
        "gs://bucket/SST-2",
        "--recipe",
        "glue_sst2",
        "--override",
        "task.init_checkpoint=",
        "--max-length",
        "4096",
        "--batch-size",
        "32",
    )
    assert "warning: --machine tpu-v5e-1: a step may need about" in result.stderr
    assert "bigbird preflight" in result.stderr
    assert "use_gradient_checkpointing=true" in result.stderr
    assert len(cloud.jobs) == 1


def test_a_registered_model_to_start_from_is_looked_up(cloud, bigbird):
    cloud.models = {"bigbird-sst2"}
    bigbird("submit", *SST2, "--init-checkpoint", "registry:bigbird-sst2")
    assert job_of(cloud).runtime_config.parameter_values["init_checkpoint"] == "registry:bigbird-sst2"


def test_weights_that_a_recipe_names_are_resolved_with_the_others(cloud, bigbird, tmp_path, vocabulary):
    cloud.objects["gs://bucket/bert/model.json"] = b"{}"
    (tmp_path / "mine.yaml").write_text("task: {init_checkpoint: 'gs://bucket/bert'}\ntrainer: {epochs: 1}\n")
    bigbird("submit", *SST2[:4], "--recipe", str(tmp_path / "mine.yaml"), "--vocabulary", vocabulary)
    values = job_of(cloud).runtime_config.parameter_values
    assert (values["init_checkpoint"], values["overrides"]) == ("gs://bucket/bert", "")


def test_a_run_of_the_same_name_is_not_taken_for_ours(cloud, bigbird):
    bigbird("submit", *SST2, "--name", "x")
    assert "409" in bigbird("submit", *SST2, "--name", "x", "--epochs", "2", code=4).stderr
    cloud.trouble("POST .*pipelineJobs", 1, status=503)
    result = bigbird("submit", *SST2, "--name", "x", "--epochs", "3", code=4)
    assert "already exists; choose another --name" in result.stderr


def test_the_users_own_beam_options_come_after_dataflows(cloud, bigbird):
    bigbird("submit", *SST2, "--dataflow", "--beam-options", "--max_num_workers=20")
    options = job_of(cloud).runtime_config.parameter_values["beam_options"].split()
    assert (options[0], options[-1]) == ("--runner=DataflowRunner", "--max_num_workers=20")


def test_dataflow_gets_workers_that_install_nothing(cloud, bigbird):
    bigbird(
        "submit",
        *SST2,
        "--dataflow",
        "--service-account",
        "x@y.iam.gserviceaccount.com",
        "--subnetwork",
        "regions/r/subnetworks/s",
    )
    options = job_of(cloud).runtime_config.parameter_values["beam_options"].split()
    assert options == [
        "--runner=DataflowRunner", "--project=my-project", "--region=europe-west4", "--temp_location=gs://bucket/runs/dataflow",
        "--sdk_container_image=europe-west4-docker.pkg.dev/my-project/images/bigbird-preprocess-dataflow:0123456789ab",
        "--sdk_location=container", "--experiments=use_runner_v2", "--service_account_email=x@y.iam.gserviceaccount.com",
        "--subnetwork=regions/r/subnetworks/s",
    ]  # fmt: skip


def test_ctrl_c_while_a_run_is_sent_says_that_it_may_be_there(cloud, bigbird, interrupted):
    cloud.trouble("POST .*pipelineJobs", 1, status=None, handled=True)
    told = bigbird("submit", *SST2, "--name", "x", code=130).stderr
    assert "run x may have been sent; look for it on Vertex AI before sending another" in told
    assert "interrupted\n" in told and "half-written" not in told
    assert list(cloud.jobs) == ["bigbird-x"]


def test_an_empty_flag_takes_a_setting_back(cloud, bigbird, monkeypatch):
    monkeypatch.setenv("BIGBIRD_SERVICE_ACCOUNT", "runner@my-project.iam.gserviceaccount.com")
    monkeypatch.setenv("BIGBIRD_NOTIFY_EMAILS", "a@b.c")
    words = ("submit", *SST2, "--notify-webhook", "hook")
    assert "expected one of them" in bigbird(*words, code=2).stderr
    bigbird(*words, "--notify-emails", "", "--service-account", "")
    assert job_of(cloud).service_account == ""


def test_a_recipe_that_does_not_say_how_long_to_train_is_refused(cloud, bigbird, tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("trainer: {checkpoint_interval: 5}\n")
    words = ("submit", *SST2[:4], "--recipe", recipe)
    assert "neither trainer.train_steps nor trainer.epochs is set; set one of them" in bigbird(*words, code=2).stderr
    assert not cloud.asked("POST")
    bigbird(*words, "--epochs", "1")
