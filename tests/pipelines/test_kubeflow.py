"""`bigbird submit` and `schedule` to Kubeflow: the real kfp.Client against a server on this machine that speaks its REST."""

import json

import pytest

from bigbird import storage
from bigbird_components.gate import NO_THRESHOLD
from bigbird_pipelines.machines import MACHINES
from tests import buckets
from tests.cloud import TRAINERS

SST2 = ("--target", "kubeflow", "--task", "sst2", "--data", "gs://bucket/SST-2", "--recipe", "small_sst2")
MONDAYS = ("schedule", "create", "weekly", "--cron", "0 3 * * 1", *SST2)
OWN = (*MONDAYS[:5], "--catch-up", "--text", "text", "--label", "label", "--target", "kubeflow")
TARGET = ("--target", "kubeflow")


def test_a_submitted_run_is_in_our_experiment_with_its_parameters(kubeflow, bigbird):
    result = bigbird(
        "submit",
        *SST2,
        "--name",
        "first",
        "--epochs",
        "0.5",
        "--pipeline-root",
        "minio://mlpipeline/bigbird",
        "--kubernetes-service-account",
        "runner",
        "--run-label",
        "team=search",
    )
    (run,) = kubeflow.runs.values()
    assert run["display_name"] == "first"
    assert kubeflow.experiments[run["experiment_id"]]["display_name"] == "bigbird"
    assert run["service_account"] == "runner"
    assert run["runtime_config"]["pipeline_root"] == "minio://mlpipeline/bigbird"
    parameters = dict(run["runtime_config"]["parameters"])
    assert "trainer" in parameters.pop("recipe")
    assert parameters == {
        "task": "sst2", "data": "gs://bucket/SST-2", "train_file": "", "validation_file": "", "test_file": "", "vocabulary": "",
        "vocabulary_size": 8000, "max_bad_records": 0, "beam_options": "", "init_checkpoint": "", "metric_threshold": NO_THRESHOLD,
        "overrides": "trainer.epochs=0.5,trainer.train_steps=0,"
        "trainer.optimizer_config.learning_rate.polynomial.decay_steps=null,"
        "trainer.optimizer_config.warmup.polynomial.warmup_steps=null,trainer.optimizer_config.warmup.linear.warmup_steps=null",
    }  # fmt: skip
    assert "task=sst2 machine=cpu" in run["description"]
    assert "team=search bigbird-spec=" in run["description"]
    assert result.stdout == f"submitted first\n{kubeflow.url}/#/runs/details/{run['run_id']}\n"


def training(run):
    """The Kubernetes part and the resources of the training step."""
    spec = run["pipeline_spec"]
    executor = spec["pipeline_spec"]["deploymentSpec"]["executors"]["exec-train"]["container"]
    return spec["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train"], executor


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backend"), TRAINERS)
def test_training_goes_to_a_node_of_its_machine(kubeflow, bigbird, name, backend):
    machine = MACHINES[name]
    bigbird("submit", *SST2, "--machine", name, "--backend", backend, "--batch-size", "16", "--timeout-hours", "2")
    (run,) = kubeflow.runs.values()
    kubernetes, container = training(run)
    assert container["image"].rpartition("/")[2] == f"bigbird-{machine.image(backend)}:0123456789ab"
    assert kubernetes["activeDeadlineSeconds"] == "7200"
    labels = kubernetes.get("nodeSelector", {}).get("labels", {})
    accelerator = container["resources"].get("accelerator")
    if name == "cpu":
        assert (labels, accelerator) == ({}, None)
        return
    assert accelerator["resourceType"] == machine.resource
    assert int(accelerator["resourceCount"]) == machine.chips
    assert kubernetes["tolerations"] == [{"key": machine.resource, "operator": "Exists", "effect": "NoSchedule"}]
    if machine.is_tpu:
        assert labels == {
            "cloud.google.com/gke-tpu-accelerator": machine.node_label,
            "cloud.google.com/gke-tpu-topology": machine.topology,
        }
    else:
        assert labels == {"cloud.google.com/gke-accelerator": machine.node_label}


def test_spot_nodes_are_asked_for_and_retried(kubeflow, bigbird):
    bigbird("submit", *SST2, "--machine", "gpu-l4", "--strategy", "spot")
    (run,) = kubeflow.runs.values()
    kubernetes, _ = training(run)
    assert kubernetes["nodeSelector"]["labels"]["cloud.google.com/gke-spot"] == "true"
    tasks = run["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]
    assert tasks["train"]["retryPolicy"]["maxRetryCount"] == 3


def test_the_webhooks_address_comes_from_a_kubernetes_secret(kubeflow, bigbird):
    bigbird("submit", *SST2, "--notify-webhook", "hook")
    (run,) = kubeflow.runs.values()
    executors = run["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    (secret,) = executors["exec-notify"]["secretAsEnv"]
    assert secret["secretName"] == "hook"
    assert secret["keyToEnv"] == [{"secretKey": "url", "envVar": "BIGBIRD_WEBHOOK"}]
    assert "notify" in run["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]


def test_a_dry_run_prints_what_is_sent(kubeflow, bigbird):
    printed = json.loads(bigbird("submit", *SST2, "--name", "x", "--dry-run").stdout)
    assert not kubeflow.requests
    bigbird("submit", *SST2, "--name", "x")
    (sent,) = kubeflow.asked("POST .*/runs")
    assert printed.pop("experiment_id") == "<id of experiment bigbird>"
    assert sent.body.pop("experiment_id").startswith("experiment-")
    assert printed == sent.body


def task(name, state, *, children=(), error="", pod=""):
    detail = {
        "display_name": name,
        "state": state,
        "pod_name": pod,
        "start_time": "2026-01-05T03:00:00Z",
        "child_tasks": [{"pod_name": child} for child in children],
    }
    return {**detail, "error": {"code": 13, "message": error}} if error else detail


def test_waiting_ends_with_the_failed_step_its_error_and_its_exit_code(kubeflow, bigbird):
    kubeflow.progress = [
        ("RUNNING", []),
        ("RUNNING", [task("root-driver", "SUCCEEDED"), task("preprocess-driver", "SUCCEEDED"), task("preprocess", "RUNNING")]),
        ("FAILED", [
            task("root", "FAILED"), task("preprocess", "FAILED", children=["pod-1"]),
            task("executor", "FAILED", pod="pod-1", error="Error (exit code 1): exit code 2: --data gs://bucket/SST-2: no such folder"),
        ]),
    ]  # fmt: skip
    result = bigbird("submit", *SST2, "--name", "x", "--wait", "--poll", "0.01", code=2)
    words = [" ".join(line.split()[1:]).partition(" after ")[0] for line in result.stderr.splitlines()[:2]]
    assert words == ["preprocess running", "preprocess failed"]
    assert (
        "error: step 'preprocess' of x failed: Error (exit code 1): exit code 2: --data gs://bucket/SST-2: no such folder"
        in result.stderr
    )


def test_waiting_through_success_tells_each_steps_states(kubeflow, bigbird):
    kubeflow.progress = [
        ("RUNNING", [task("preprocess", "RUNNING")]),
        ("SUCCEEDED", [task("preprocess", "SUCCEEDED"), task("train", "SKIPPED"), task("evaluate", "SUCCEEDED")]),
    ]
    result = bigbird("submit", *SST2, "--name", "x", "--wait", "--poll", "0.01")
    words = [" ".join(line.split()[1:]).partition(" after ")[0] for line in result.stderr.splitlines()]
    assert words == ["preprocess running", "preprocess succeeded", "train taken from the cache", "evaluate succeeded"]
    assert result.stdout.endswith("x succeeded\n")


def test_transient_refusals_are_tried_again_and_no_second_run_is_sent(kubeflow, bigbird):
    kubeflow.trouble("POST .*/runs", 2, status=503)
    bigbird("submit", *SST2, "--name", "x")
    kubeflow.trouble("POST .*/runs", 1, status=None, handled=True)  # carried out, but the answer is lost
    bigbird("submit", *SST2, "--name", "y")
    assert sorted(run["display_name"] for run in kubeflow.runs.values()) == ["x", "y"]


@pytest.mark.parametrize(
    ("status", "told"),
    [(401, "BIGBIRD_KUBEFLOW_TOKEN"), (403, "--namespace"), (429, "quota"), (503, "ml-pipeline"), (400, "--dry-run")],
)
def test_refusals_say_what_to_do(kubeflow, bigbird, status, told):
    kubeflow.trouble("POST .*/runs", 9, status=status, message="because")
    result = bigbird("submit", *SST2, "--name", "x", code=4)
    assert result.stderr.startswith(f"error: submitting x ({kubeflow.url}): {status} ")
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_an_installation_that_is_not_there_is_told(kubeflow, bigbird):
    result = bigbird("submit", *SST2, "--host", "http://127.0.0.1:9", code=4)
    assert "http://127.0.0.1:9): cannot be reached" in result.stderr


def test_what_is_vertexs_in_the_settings_is_not_kubeflows(kubeflow, bigbird):
    result = bigbird(
        "submit",
        *SST2,
        "--bucket",
        "gs://b/x",
        "--service-account",
        "a@b.iam.gserviceaccount.com",
        "--notify-emails",
        "a@b.c",
    )
    (run,) = kubeflow.runs.values()
    assert (run.get("service_account"), run["runtime_config"].get("pipeline_root")) == (None, None)
    assert "warning: notify_emails: Kubeflow sends no mail" in result.stderr


def test_a_gpu_that_vertex_lends_otherwise_is_taken_as_the_cluster_has_it(kubeflow, bigbird):
    bigbird("submit", *SST2, "--machine", "gpu-h100", "--strategy", "standard")
    assert len(kubeflow.runs) == 1


def test_the_token_goes_along_and_is_never_printed(kubeflow, bigbird, monkeypatch):
    monkeypatch.setenv("BIGBIRD_KUBEFLOW_TOKEN", "s3cret\n")
    result = bigbird("submit", *SST2)
    assert kubeflow.asked("POST .*/runs")[0].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in result.output


def test_a_recurring_run_is_one_at_a_time_and_does_not_catch_up(kubeflow, bigbird):
    bigbird(*MONDAYS, "--start", "2027-01-01", "--end", "2027-06-30")
    (stored,) = kubeflow.recurring.values()
    cron = stored["trigger"]["cron_schedule"]
    assert cron["cron"] == "0 0 3 * * 1"
    assert (cron["start_time"], cron["end_time"]) == ("2027-01-01T00:00:00+00:00", "2027-06-30T00:00:00+00:00")
    assert (stored["max_concurrency"], stored["no_catchup"], stored["mode"]) == ("1", True, "ENABLE")
    bigbird(*MONDAYS, "--catch-up", "--start", "2027-01-01", "--end", "2027-06-30")
    assert [stored["no_catchup"] for stored in kubeflow.recurring.values()] == [False]


def order(kubeflow):
    return [
        str(one).replace("/apis/v2beta1/recurringruns", "") for one in kubeflow.asked("(POST|DELETE) .*recurringruns")
    ]


def test_the_same_is_left_alone_and_anything_else_replaces_it_the_new_one_first(kubeflow, bigbird):
    bigbird(*MONDAYS)
    (first,) = kubeflow.recurring
    assert "nothing to change" in bigbird(*MONDAYS).stdout
    later = [word if word != "0 3 * * 1" else "0 4 * * 1" for word in MONDAYS]
    assert "replaced" in bigbird(*later).stdout
    (second,) = kubeflow.recurring
    assert order(kubeflow) == ["POST ", "POST ", f"DELETE /{first}"]
    bigbird("schedule", "pause", "weekly", *TARGET)
    assert "replaced" in bigbird(*MONDAYS, "--epochs", "2").stdout
    assert [stored["status"] for stored in kubeflow.recurring.values()] == ["DISABLED"]
    assert second not in kubeflow.recurring


def test_data_and_weights_may_lie_in_s3_and_are_looked_up_there(kubeflow, bigbird, monkeypatch, pieces):
    with buckets.s3() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        for name in ("train.tsv", "dev.tsv"):
            storage.write_bytes(f"s3://bucket/SST-2/{name}", b"x")
        words = ("submit", "--target", "kubeflow", "--task", "sst2", "--recipe", "small_sst2", "--data")
        bigbird(*words, "s3://bucket/SST-2", "--dry-run")
        assert "s3://bucket/none holds nothing" in bigbird(*words, "s3://bucket/none", code=2).stderr
        storage.write_bytes("s3://bucket/vocab.model", pieces)
        storage.write_bytes("s3://bucket/model/model.json", b"{}")
        words = (
            *words,
            "s3://bucket/SST-2",
            "--vocabulary",
            "s3://bucket/vocab.model",
            "--dry-run",
            "--init-checkpoint",
        )
        sent = json.loads(bigbird(*words, "s3://bucket/model", "--machine", "tpu-v5e-1", "--backend", "jax").stdout)
        assert sent["runtime_config"]["parameters"]["init_checkpoint"] == "s3://bucket/model"
        assert "no checkpoint there" in bigbird(*words, "s3://bucket/none", code=2).stderr
        told = bigbird(*words, "s3://bucket/model", "--machine", "tpu-v5e-1", code=2).stderr
        assert "the image train-tpu, which trains on --machine tpu-v5e-1, cannot read s3://" in told


def test_a_network_that_breaks_half_way_leaves_exactly_one(kubeflow, bigbird):
    bigbird(*MONDAYS)
    kubeflow.trouble("DELETE", 2, status=503)
    bigbird(*MONDAYS, "--epochs", "2")
    assert len(kubeflow.recurring) == 1
    kubeflow.trouble("POST .*recurringruns$", 1, status=None, handled=True)
    bigbird(*MONDAYS, "--epochs", "3")
    (present,) = kubeflow.recurring
    kubeflow.trouble(f"DELETE .*{present}", 99, status=403)
    assert "The new schedule was deleted again" in bigbird(*MONDAYS, "--epochs", "4", code=4).stderr
    assert list(kubeflow.recurring) == [present]
    kubeflow.troubles.clear()
    kubeflow.trouble("DELETE", 10**6, status=503)
    assert "Now there may be two schedules weekly" in bigbird(*MONDAYS, "--epochs", "5", code=4).stderr
    kubeflow.troubles.clear()
    assert "nothing to change" in bigbird(*MONDAYS, "--epochs", "5").stdout
    assert len(kubeflow.recurring) == 1


def test_one_that_was_made_to_catch_up_is_resumed_without_saying_so_again(kubeflow, bigbird):
    bigbird(*MONDAYS, "--catch-up")
    for flag in ((), ("--catch-up",)):
        bigbird("schedule", "pause", "weekly", *TARGET)
        bigbird("schedule", "resume", "weekly", *flag, *TARGET)
        (stored,) = kubeflow.recurring.values()
        assert (stored["status"], stored["no_catchup"]) == ("ENABLED", False)


def test_pause_resume_trigger_show_and_delete(kubeflow, bigbird):
    bigbird(*MONDAYS)
    bigbird("schedule", "pause", "weekly", *TARGET)
    (stored,) = kubeflow.recurring.values()
    assert stored["status"] == "DISABLED"
    bigbird("schedule", "resume", "weekly", *TARGET)
    assert stored["status"] == "ENABLED"
    assert "without --catch-up" in bigbird("schedule", "resume", "weekly", "--catch-up", *TARGET, code=2).stderr
    bigbird("schedule", "pause", "weekly", *TARGET)
    assert "; bigbird schedule resume weekly --target kubeflow\n" in bigbird(*MONDAYS, "--epochs", "2").stdout
    bigbird("schedule", "resume", "weekly", *TARGET)
    (stored,) = kubeflow.recurring.values()
    bigbird("schedule", "trigger", "weekly", *TARGET)
    (run,) = kubeflow.runs.values()
    assert run["display_name"].startswith("weekly-")
    assert run["pipeline_spec"] == stored["pipeline_spec"]
    assert run["runtime_config"]["parameters"] == stored["runtime_config"]["parameters"]
    run["recurring_run_id"] = stored["recurring_run_id"]
    shown = bigbird("schedule", "show", "weekly", *TARGET).stdout
    assert "times     0 3 * * 1 (UTC)" in shown
    assert f"run       {run['display_name']} pending" in shown
    bigbird("schedule", "delete", "weekly", *TARGET)
    assert kubeflow.recurring == {}


@pytest.mark.parametrize("days", ["0", "0,6", "1-5", "*/7", "0-6/7"])
def test_days_of_the_week_that_kubeflow_knows_are_sent(kubeflow, bigbird, days):
    bigbird(*MONDAYS, "--cron", f"0 3 * * {days}")
    (stored,) = kubeflow.recurring.values()
    assert stored["trigger"]["cron_schedule"]["cron"] == f"0 0 3 * * {days}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((*MONDAYS, "--time-zone", "Europe/Paris"), "CRON_SCHEDULE_TIMEZONE"),
        *(
            ((*MONDAYS, "--cron", f"0 3 * * {days}"), "write Sunday as 0")
            for days in ("7", "0-7", "6,7", "5-7", "1,7", "1-7/2")
        ),
        (("submit", *SST2, "--strategy", "flex-start"), "works only on Vertex AI; expected standard or spot"),
        (("submit", *SST2, "--margin", "0.1"), "--margin: nothing is registered on Kubeflow"),
        ((*MONDAYS, "--catch-up", "--data", "gs://bucket/{date}/SST-2"), "--catch-up cannot be combined with {date}"),
        (
            (*OWN, "--override", "task.data.files=['gs://bucket/{date}.csv']"),
            "--catch-up cannot be combined with {date}",
        ),
        (
            (*OWN, "--override", "task.data.train=['gs://bucket/{date:%d}.csv']"),
            "--catch-up cannot be combined with {date}",
        ),
        (("submit", *SST2, "--init-checkpoint", "registry:x"), "only Vertex AI has the Model Registry"),
        (
            ("submit", *SST2, "--dataflow"),
            "--dataflow: works only on Vertex AI; use --beam-options to choose a Beam runner on Kubeflow",
        ),
    ],
)
def test_what_kubeflow_cannot_do_is_refused_before_anything_is_sent(kubeflow, bigbird, options, message):
    assert message in bigbird(*options, code=2).stderr
    assert not kubeflow.asked("POST .*(runs|recurringruns)")
