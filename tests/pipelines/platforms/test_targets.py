"""The compiled pipelines of every target: valid, the same each time, and with every parameter at its stage."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2

from bigbird_components.gate import NO_THRESHOLD
from bigbird_pipelines.finetune import compile_pipeline
from bigbird_pipelines.images import Images
from bigbird_pipelines.machines import MACHINES, check_backend
from bigbird_pipelines.platforms.kubeflow.target import kubeflow_target
from bigbird_pipelines.platforms.target import Target
from bigbird_pipelines.platforms.vertex.target import vertex_target
from bigbird_pipelines.remote import compiled
from bigbird_pipelines.team_settings import TeamSettings
from tests.cloud import TRAINERS

pytestmark = pytest.mark.slow  # what its tests share takes long to make

GROUPS = ("condition", "exit-handler")
SETTINGS = TeamSettings(project="my-project", region="europe-west4", bucket="gs://bucket/runs")


def images(name, backend=None):
    train = MACHINES[name].image(check_backend(name, backend))
    return Images.named("registry/project/bigbird", "0123456789ab", train)


def vertex(name="tpu-v5e-4", backend=None, **settings):
    return vertex_target(images(name, backend), TeamSettings(**SETTINGS.model_dump() | settings), name, backend=backend)


def kubeflow(name="tpu-v5e-4", backend=None, **settings):
    return kubeflow_target(images(name, backend), TeamSettings(**settings), name, backend=backend)


TARGETS = {
    "any": lambda: Target(images("cpu")),
    **{f"vertex-{'-'.join(place)}": lambda place=place: vertex(*place) for place in TRAINERS},
    **{f"kubeflow-{'-'.join(place)}": lambda place=place: kubeflow(*place) for place in TRAINERS},
    "vertex-webhook": lambda: vertex(notify_webhook="hook"),
    "vertex-emails": lambda: vertex(notify_emails=("a@b.c", "d@e.f")),
    "kubeflow-webhook": lambda: kubeflow(notify_webhook="hook"),
    "any-checked": lambda: replace(Target(images("cpu")), checks="none"),
    "vertex-checked": lambda: replace(vertex(notify_webhook="hook"), checks="leakage,conflict"),
    "kubeflow-checked": lambda: replace(kubeflow(), checks="leakage"),
}


@pytest.fixture(scope="module", params=TARGETS)
def file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "finetune.yaml"
    compile_pipeline(TARGETS[request.param](), path)
    return path


def spec_of(file):
    return next(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def steps_of(spec):
    """Step name -> its task, from whatever group it is in."""
    parts = [spec["root"], *spec["components"].values()]
    return {name: task for part in parts for name, task in part.get("dag", {}).get("tasks", {}).items()}


def test_it_loads_and_is_a_valid_specification(file):
    loaded = components.load_component_from_file(str(file))
    assert loaded.name == "bigbird-finetune" and "your own tables" in loaded.description
    documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineSpec())
    for platforms in documents[1:]:
        json_format.ParseDict(platforms, pipeline_spec_pb2.PlatformSpec())


def test_every_parameter_reaches_a_stage(file):
    spec = spec_of(file)
    parameters = set(spec["root"]["inputDefinitions"]["parameters"])
    consumed = set()
    for task in steps_of(spec).values():
        component = spec["components"][task["componentRef"]["name"]]
        for value in task.get("inputs", {}).get("parameters", {}).values():
            if "executorLabel" in component and "componentInputParameter" in value:
                consumed.add(value["componentInputParameter"].removeprefix("pipelinechannel--"))
    steps = steps_of(spec)
    unused = set() if "register" in steps else {"model_name", "margin"}
    assert parameters - consumed == unused | (set() if "check" in steps else {"fail_on"})
    kinds = {definition["parameterType"] for definition in spec["root"]["inputDefinitions"]["parameters"].values()}
    assert kinds == {"STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE"}


def test_compiling_twice_gives_the_same_bytes_also_in_other_processes(tmp_path):
    code = (
        "from pathlib import Path; import sys; from tests.pipelines.platforms.test_targets import TARGETS; "
        "from bigbird_pipelines.finetune import compile_pipeline; "
        "[compile_pipeline(TARGETS[name](), Path(sys.argv[1]) / f'{name}.yaml') for name in ('vertex-webhook', 'kubeflow-webhook')]"
    )
    root = Path(__file__).parents[3]
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{root / 'model'}{os.pathsep}{root}"}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / seed)], env=environment, check=True, cwd=root)
    for name in ("vertex-webhook", "kubeflow-webhook"):
        one, other = ((tmp_path / seed / f"{name}.yaml").read_bytes() for seed in ("1", "2"))
        assert one == other


def test_the_steps_are_the_same_everywhere_but_for_what_a_target_adds():
    everywhere = {"preprocess", "train", "evaluate", "export", "skip-export"}

    def steps(target):
        return {name for name in steps_of(compiled(target)["pipelineSpec"]) if not name.startswith(GROUPS)}

    assert steps(Target(images("cpu"))) == everywhere
    assert steps(Target(images("cpu"), checks="none")) == everywhere | {"check"}
    assert steps(kubeflow()) == everywhere | {"resolve"}
    assert steps(kubeflow(notify_webhook="hook")) == everywhere | {"resolve", "announce", "notify"}
    assert steps(vertex()) == everywhere | {"resolve", "register"}
    assert steps(vertex(notify_webhook="hook")) == everywhere | {"resolve", "register", "notify"}
    assert steps(vertex(notify_emails=("a@b.c",))) == everywhere | {
        "resolve",
        "register",
        "vertex-pipelines-notification-email",
    }


def test_preprocessing_reads_what_resolving_found(tmp_path):
    compile_pipeline(vertex(), tmp_path / "x.yaml")
    inputs = steps_of(spec_of(tmp_path / "x.yaml"))["preprocess"]["inputs"]["parameters"]
    for name in ("data", "train_file", "validation_file", "test_file", "vocabulary"):
        assert inputs[name] == {"taskOutputParameter": {"outputParameterKey": name, "producerTask": "resolve"}}
    assert inputs["data_version"]["taskOutputParameter"]["outputParameterKey"] == "version"


def test_steps_whose_result_is_not_their_inputs_alone_are_never_cached(tmp_path):
    compile_pipeline(vertex(notify_webhook="hook"), tmp_path / "x.yaml")
    steps = steps_of(spec_of(tmp_path / "x.yaml"))
    uncached = {name for name, task in steps.items() if not (name.startswith(GROUPS) or task["cachingOptions"])}
    assert uncached == {"resolve", "register", "notify"}


def test_no_secret_and_no_address_of_a_webhook_is_in_a_specification(tmp_path):
    compile_pipeline(vertex(notify_webhook="hook"), tmp_path / "x.yaml")
    inputs = steps_of(spec_of(tmp_path / "x.yaml"))["notify"]["inputs"]["parameters"]
    assert inputs["secret"]["runtimeValue"]["constant"] == "hook"
    assert inputs["status"] == {"taskFinalStatus": {"producerTask": "exit-handler-1"}}


def test_a_compiled_pipeline_has_no_threshold_until_one_is_given(tmp_path):
    compile_pipeline(vertex(), tmp_path / "x.yaml")
    given = spec_of(tmp_path / "x.yaml")["root"]["inputDefinitions"]["parameters"]["metric_threshold"]
    assert (given["parameterType"], given["defaultValue"]) == ("NUMBER_DOUBLE", NO_THRESHOLD)


def test_mails_go_to_the_settings_addresses(tmp_path):
    compile_pipeline(vertex(notify_emails=("a@b.c", "d@e.f")), tmp_path / "x.yaml")
    (mail,) = [task for name, task in steps_of(spec_of(tmp_path / "x.yaml")).items() if "notification-email" in name]
    assert mail["inputs"]["parameters"]["recipients"]["runtimeValue"]["constant"] == ["a@b.c", "d@e.f"]


@pytest.mark.parametrize(("name", "backend"), TRAINERS)
def test_training_runs_in_the_machines_image_and_other_steps_ask_for_their_share(tmp_path, name, backend):
    compile_pipeline(vertex(name, backend), tmp_path / "x.yaml")
    spec = spec_of(tmp_path / "x.yaml")
    (pool,) = spec["components"]["comp-train"]["inputDefinitions"]["parameters"]["worker_pool_specs"]["defaultValue"]
    assert (
        pool["container_spec"]["image_uri"] == f"registry/project/bigbird-{MACHINES[name].image(backend)}:0123456789ab"
    )
    executors = spec["deploymentSpec"]["executors"]
    resources = executors["exec-evaluate"]["container"]["resources"]
    assert (resources["resourceCpuLimit"], resources["resourceMemoryLimit"]) == ("16", "64G")
    assert executors["exec-evaluate"]["container"]["image"] == "registry/project/bigbird-evaluate:0123456789ab"


def test_tables_are_checked_before_they_are_preprocessed(tmp_path):
    compile_pipeline(TARGETS["vertex-checked"](), tmp_path / "x.yaml")
    spec = spec_of(tmp_path / "x.yaml")
    steps = steps_of(spec)
    assert steps["preprocess"]["dependentTasks"] == ["check", "resolve"]
    assert steps["check"]["inputs"]["parameters"]["data"]["taskOutputParameter"]["producerTask"] == "resolve"
    assert spec["root"]["inputDefinitions"]["parameters"]["fail_on"]["defaultValue"] == "leakage,conflict"
    executors = spec["deploymentSpec"]["executors"]
    assert executors["exec-check"]["container"]["image"] == executors["exec-preprocess"]["container"]["image"]
    assert executors["exec-check"]["container"]["resources"]["memoryLimit"] == 8.0
