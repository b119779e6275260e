"""The compiled pipelines of every target: valid, the same each time, and with every parameter at its stage."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

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

pytestmark = pytest.mark.slow  # it compiles some forty pipelines, about 10 s in all

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


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as fast


@cache
def text_of(target):
    """What a target's pipeline is compiled to; equal targets are compiled once."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "finetune.yaml"
        compile_pipeline(target, path)
        return path.read_text(encoding="utf-8")


@cache
def documents_of(target):
    return list(yaml.load_all(text_of(target), Loader=_LOADER))


def spec_of(target):
    return documents_of(target)[0]


@pytest.fixture(scope="module", params=TARGETS)
def target(request):
    return TARGETS[request.param]()


def steps_of(spec):
    """Step name -> its task, from whatever group it is in."""
    parts = [spec["root"], *spec["components"].values()]
    return {name: task for part in parts for name, task in part.get("dag", {}).get("tasks", {}).items()}


def test_it_loads_and_is_a_valid_specification(target):
    loaded = components.load_component_from_text(text_of(target))
    assert loaded.name == "bigbird-finetune" and "your own tables" in loaded.description
    specification, *platforms = documents_of(target)
    json_format.ParseDict(specification, pipeline_spec_pb2.PipelineSpec())
    for platform in platforms:
        json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())


def test_every_parameter_reaches_a_stage(target):
    spec = spec_of(target)
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


def test_what_is_submitted_is_what_is_written():
    written, *platforms = documents_of(kubeflow())
    assert compiled(kubeflow()) == {"pipelineSpec": written, **platforms[0]}


def test_another_process_compiles_the_same_bytes(tmp_path):
    code = (
        "from pathlib import Path; import sys; from tests.pipelines.platforms.test_targets import TARGETS; "
        "from bigbird_pipelines.finetune import compile_pipeline; "
        "[compile_pipeline(TARGETS[name](), Path(sys.argv[1]) / f'{name}.yaml') for name in ('vertex-webhook', 'kubeflow-webhook')]"
    )
    root, seed = Path(__file__).parents[3], "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{root / 'model'}{os.pathsep}{root}"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=True, cwd=root)
    for name in ("vertex-webhook", "kubeflow-webhook"):
        assert (tmp_path / f"{name}.yaml").read_bytes() == text_of(TARGETS[name]()).encode()


def test_the_steps_are_the_same_everywhere_but_for_what_a_target_adds():
    everywhere = {"preprocess", "train", "evaluate", "export", "skip-export"}

    def steps(target):
        return {name for name in steps_of(spec_of(target)) if not name.startswith(GROUPS)}

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


def test_preprocessing_reads_what_resolving_found():
    inputs = steps_of(spec_of(vertex()))["preprocess"]["inputs"]["parameters"]
    for name in ("data", "train_file", "validation_file", "test_file", "vocabulary"):
        assert inputs[name] == {"taskOutputParameter": {"outputParameterKey": name, "producerTask": "resolve"}}
    assert inputs["data_version"]["taskOutputParameter"]["outputParameterKey"] == "version"


def test_steps_whose_result_is_not_their_inputs_alone_are_never_cached():
    steps = steps_of(spec_of(vertex(notify_webhook="hook")))
    uncached = {name for name, task in steps.items() if not (name.startswith(GROUPS) or task["cachingOptions"])}
    assert uncached == {"resolve", "register", "notify"}


def test_no_secret_and_no_address_of_a_webhook_is_in_a_specification():
    inputs = steps_of(spec_of(vertex(notify_webhook="hook")))["notify"]["inputs"]["parameters"]
    assert inputs["secret"]["runtimeValue"]["constant"] == "hook"
    assert inputs["status"] == {"taskFinalStatus": {"producerTask": "exit-handler-1"}}


def test_a_compiled_pipeline_has_no_threshold_until_one_is_given():
    given = spec_of(vertex())["root"]["inputDefinitions"]["parameters"]["metric_threshold"]
    assert (given["parameterType"], given["defaultValue"]) == ("NUMBER_DOUBLE", NO_THRESHOLD)


def test_mails_go_to_the_settings_addresses():
    steps = steps_of(spec_of(vertex(notify_emails=("a@b.c", "d@e.f"))))
    (mail,) = [task for name, task in steps.items() if "notification-email" in name]
    assert mail["inputs"]["parameters"]["recipients"]["runtimeValue"]["constant"] == ["a@b.c", "d@e.f"]


@pytest.mark.parametrize(("name", "backend"), TRAINERS)
def test_training_runs_in_the_machines_image_and_other_steps_ask_for_their_share(name, backend):
    spec = spec_of(vertex(name, backend))
    (pool,) = spec["components"]["comp-train"]["inputDefinitions"]["parameters"]["worker_pool_specs"]["defaultValue"]
    assert (
        pool["container_spec"]["image_uri"] == f"registry/project/bigbird-{MACHINES[name].image(backend)}:0123456789ab"
    )
    executors = spec["deploymentSpec"]["executors"]
    resources = executors["exec-evaluate"]["container"]["resources"]
    assert (resources["resourceCpuLimit"], resources["resourceMemoryLimit"]) == ("16", "64G")
    assert executors["exec-evaluate"]["container"]["image"] == "registry/project/bigbird-evaluate:0123456789ab"


def test_tables_are_checked_before_they_are_preprocessed():
    spec = spec_of(TARGETS["vertex-checked"]())
    steps = steps_of(spec)
    assert steps["preprocess"]["dependentTasks"] == ["check", "resolve"]
    assert steps["check"]["inputs"]["parameters"]["data"]["taskOutputParameter"]["producerTask"] == "resolve"
    assert spec["root"]["inputDefinitions"]["parameters"]["fail_on"]["defaultValue"] == "leakage,conflict"
    executors = spec["deploymentSpec"]["executors"]
    assert executors["exec-check"]["container"]["image"] == executors["exec-preprocess"]["container"]["image"]
    assert executors["exec-check"]["container"]["resources"]["memoryLimit"] == 8.0
