"""What is uploaded, as which version, and what happens where the API fails; up to the wire, by the real client."""

import json

import pytest
from click.testing import CliRunner

from bigbird.support.artifacts import read_json, write_json, write_manifest
from bigbird.support.errors import InputError, ServiceError
from bigbird.version import provenance, revision
from bigbird_components.register import api_errors
from bigbird_components.register.__main__ import main
from bigbird_components.register.labels import label_value
from bigbird_components.register.register import register
from tests.cloud import PARENT
from tests.components.register.conftest import SERVING_IMAGE
from tests.loopback import Answer

MODEL = f"{PARENT}/models/7"


def aliases(registry, model="7"):
    return {version["versionId"]: version["versionAliases"] for version in registry.models[model]}


def test_the_first_version_is_the_default_and_says_all_about_itself(registry, trained):
    registration = register(**trained(0.8690371))
    assert registration == {
        "format": 1, "model": "judge of grammar", "resource": MODEL, "model_version": "1", "default": True, "alias": "default",
        "task": "cola", "split": "validation", "metric": {"name": "matthews_corrcoef", "value": 0.869037},
        "champion": None, "margin": 0.0, **provenance(),
    }  # fmt: skip
    (upload,) = registry.uploads
    assert (upload.parent, upload.parent_model, upload.model.display_name) == (PARENT, "", "judge of grammar")
    assert upload.model.artifact_uri == "gs://bucket/first/saved_model"
    assert list(upload.model.version_aliases) == ["default"]
    spec = upload.model.container_spec
    assert (spec.image_uri, spec.predict_route, spec.health_route) == (SERVING_IMAGE, "/predict", "/health")
    assert [port.container_port for port in spec.ports] == [8080]
    labels = dict(upload.model.labels)
    assert len(labels.pop("evaluation")) == len(labels.pop("dataset")) == 16
    assert labels == {
        "bigbird": "register", "task": "cola", "metric": "matthews_corrcoef", "value": "0_869037",
        "commit": label_value(revision()), "run": "first",
    }  # fmt: skip
    assert "matthews_corrcoef 0.869037 on validation" in upload.model.version_description


def test_better_becomes_the_default_worse_and_equal_stay_candidates(registry, trained):
    register(**trained(-0.2))
    worse = register(**trained(-0.3, run="worse"))
    assert (worse["model_version"], worse["default"]) == ("2", False)
    assert worse["champion"] == {"version": "1", "value": -0.2, "found": "recorded"}
    assert aliases(registry) == {"1": ["default"], "2": ["candidate"]}
    equal = register(**trained(-0.2000003, run="equal"))  # equal in the six digits that count
    assert (equal["model_version"], equal["alias"]) == ("3", "candidate")
    assert aliases(registry) == {"1": ["default"], "2": [], "3": ["candidate"]}
    better = register(**trained(0.5, run="better"))
    assert (better["model_version"], better["default"]) == ("4", True)
    assert aliases(registry) == {"1": [], "2": [], "3": ["candidate"], "4": ["default"]}
    after = register(**trained(0.4, run="after"))
    assert after["champion"] == {"version": "4", "value": 0.5, "found": "recorded"}
    assert registry.uploads[-1].parent_model == MODEL


def test_the_margin_counts_to_the_last_digit(registry, trained):
    register(**trained(0.869))
    short = register(**{**trained(0.870999, run="short"), "margin": 0.002})
    assert not short["default"] and short["margin"] == 0.002
    assert register(**{**trained(0.871, run="exact"), "margin": 0.002})["default"]


def test_a_run_is_registered_once_and_the_repetition_says_the_same(registry, trained):
    register(**trained(0.5))
    better = trained(0.6, run="better")
    first = register(**better)
    assert register(**better) == first
    assert register(**trained(0.7, run="best"))["default"]
    again = register(**better)
    assert (again["model_version"], again["default"], again["champion"]) == ("2", False, first["champion"])
    assert len(registry.uploads) == 3


def test_without_a_pipeline_the_models_folder_names_the_run(registry, trained):
    arguments = {**trained(0.5), "pipeline": ""}
    assert register(**arguments) == register(**arguments)
    assert len(registry.uploads) == 1


def test_a_model_that_is_trained_anew_into_the_same_folder_is_another(registry, trained):
    arguments = {**trained(0.5), "pipeline": ""}
    register(**arguments)
    folder = arguments["saved_model"]
    write_manifest(folder, "saved_model", {"task": "cola", "metrics": {"matthews_corrcoef": 0.7}})
    assert register(**arguments)["model_version"] == "2"
    assert len(registry.uploads) == 2


def test_an_evaluation_of_the_last_checkpoint_is_none_of_the_best_that_is_exported(registry, trained):
    arguments = trained(0.5)
    metrics = f"{arguments['evaluation']}/metrics.json"
    write_json(metrics, read_json(metrics, "metrics") | {"which": "last"})
    write_json(f"{arguments['saved_model']}/signature.json", {"task": "cola", "metrics": {"matthews_corrcoef": 0.5}})
    with pytest.raises(
        InputError, match=r"is of the last checkpoint, but .*saved_model holds the best one by validation"
    ):
        register(**arguments)
    assert registry.models == {}
    write_json(f"{arguments['saved_model']}/signature.json", {"task": "cola", "metrics": {}})  # no best was made
    assert register(**arguments)["model_version"] == "1"


def test_an_evaluation_in_another_precision_is_none_of_the_exported_model(registry, trained):
    arguments = trained(0.5)
    metrics, signature = f"{arguments['evaluation']}/metrics.json", f"{arguments['saved_model']}/signature.json"
    write_json(metrics, read_json(metrics, "metrics") | {"precision": "bfloat16"})
    write_json(signature, read_json(signature, "manifest") | {"precision": "float32"})
    with pytest.raises(InputError, match=r"is of the model in bfloat16, .* `bigbird evaluate --precision float32`"):
        register(**arguments)
    assert registry.models == {}


def test_an_upload_takes_its_time(registry, trained):
    registry.pending = 2
    assert register(**trained(0.5))["model_version"] == "1"
    assert len(registry.asked("GET .*/operations/0$")) == 2


def test_a_model_of_somebody_else_with_the_same_name_is_left_alone(registry, trained):
    other = {"name": MODEL, "displayName": "judge of grammar", "versionId": "1", "versionAliases": ["default"]}
    registry.models["7"] = [other]
    assert register(**trained(0.5))["resource"] == f"{PARENT}/models/8"
    assert registry.models["7"] == [other]


def test_two_models_of_the_name_are_a_question_for_the_user(registry, trained):
    register(**trained(0.5))
    registry.models["8"] = [{**registry.models["7"][0], "name": f"{PARENT}/models/8"}]
    with pytest.raises(InputError, match=f"has 2 models 'judge of grammar': {PARENT}/models/7, {PARENT}/models/8"):
        register(**trained(0.6, run="second"))


# ------------------------------------------------------------------------------------------------ troubles


@pytest.mark.parametrize("call", ["GET .*/models$", "GET .*:listVersions", "GET .*@default", "POST .*:upload"])
@pytest.mark.parametrize("status", [503, 429, 502, None])
def test_what_passes_is_tried_again(registry, trained, call, status):
    register(**trained(0.5))
    registry.trouble(call, 2, status=status)
    assert register(**trained(0.6, run="second"))["model_version"] == "2"
    assert len(registry.uploads) == 2


@pytest.mark.parametrize("status", [503, None])
@pytest.mark.parametrize("versions", [0, 1])
def test_an_upload_whose_answer_is_lost_is_found_and_not_repeated(registry, trained, status, versions):
    for _ in range(versions):
        register(**trained(0.5))
    registry.trouble("POST .*:upload", 1, status=status, handled=True)
    registration = register(**trained(0.6, run="second"))
    assert (registration["model_version"], registration["default"]) == (str(versions + 1), True)
    assert len(registry.uploads) == versions + 1


def test_a_step_that_died_after_its_upload_finds_it_when_run_again(registry, trained, monkeypatch):
    monkeypatch.setattr(api_errors, "TIMEOUT_S", 0.05)
    arguments = trained(0.5)
    with pytest.raises(ServiceError, match="run the step again later; it registers nothing twice"):
        _with_outage(registry, arguments)
    assert len(registry.uploads) == 1
    registry.troubles.clear()
    assert register(**arguments)["model_version"] == "1"
    assert len(registry.uploads) == 1


def _with_outage(registry, arguments):
    """The connection breaks with the upload's answer, and stays broken."""
    upload = registry._upload

    def last(match, request):
        upload(match, request)
        registry.trouble("GET .*/models$", 1000, status=503)
        return Answer(503)

    registry.routes.insert(0, (rf"POST /v1/{PARENT}/models:upload", last))
    try:
        register(**arguments)
    finally:
        registry.routes.pop(0)


@pytest.mark.parametrize(
    ("call", "status", "resource", "remedy"),
    [
        ("GET .*/models$", 403, f"{PARENT}/models", "the role roles/aiplatform.user"),
        ("POST .*:upload", 403, "uploading gs://bucket/first/saved_model", "the role roles/aiplatform.user"),
        ("GET .*/models$", 404, f"{PARENT}/models", "Check the project, the location and the name"),
        ("POST .*:upload", 400, f"{PARENT}/models", "correct what it names"),
    ],
)
def test_a_refusal_names_the_resource_the_reason_and_the_remedy(registry, trained, call, status, resource, remedy):
    registry.trouble(call, 1, status=status, message="because of this")
    with pytest.raises(ServiceError) as raised:
        register(**trained(0.5))
    assert all(part in str(raised.value) for part in (resource, str(status), "because of this", remedy))
    assert registry.models == {}
    assert "\n" not in str(raised.value)


def test_an_account_that_is_not_known_is_told_to_sign_in(registry, trained):
    registry.trouble("GET .*/models$", 1, status=401)
    with pytest.raises(ServiceError, match=f"{PARENT}/models: .*gcloud auth application-default login"):
        register(**trained(0.5))


def test_another_run_that_makes_the_model_meanwhile_is_noticed(registry, trained):
    first = trained(0.5)
    register(**trained(0.6, run="second"))
    registered, registry.models = registry.models, {}
    listed = registry._list

    def late(match, request):
        answer = listed(match, request)
        registry.models = registered
        return answer

    registry.routes.insert(0, (rf"GET /v1/{PARENT}/models", late))
    with pytest.raises(InputError, match=f"{MODEL}: was registered by another run meanwhile; run this step again"):
        register(**first)
    assert not register(**first)["default"]
    assert aliases(registry) == {"1": ["default"], "2": ["candidate"]}


@pytest.mark.parametrize(
    ("status", "remedy"), [(429, "A quota is used up"), (503, "run the step again later"), (None, "run the step again")]
)
def test_what_does_not_pass_is_told_in_the_end(registry, trained, monkeypatch, status, remedy):
    monkeypatch.setattr(api_errors, "TIMEOUT_S", 0.1)
    registry.trouble("GET .*/models$", 1000, status=status)
    with pytest.raises(ServiceError, match=remedy):
        register(**trained(0.5))
    assert len(registry.asked("GET .*/models$")) > 1


# ------------------------------------------------------------------------------------------ what is given


def test_folders_that_do_not_belong_together_are_refused(registry, trained, tmp_path):
    cola, mrpc = trained(0.5), trained(0.5, run="other", task="mrpc")
    for change, message in (
        ({"dataset": mrpc["dataset"]}, "is of task 'cola', split 'validation', but .* holds 'mrpc'"),
        ({"saved_model": mrpc["saved_model"]}, "is a model for 'mrpc', but .* is of task 'cola'"),
        ({"saved_model": cola["dataset"]}, "is a dataset folder"),
        ({"saved_model": str(tmp_path / "absent")}, "no such folder"),
        ({"saved_model": "http://bucket/folder"}, "expected a path of this machine, gs://"),
        ({"artifact_uri": "/gcs/bucket/model"}, "expected the SavedModel's folder as gs://BUCKET/FOLDER"),
        ({"model_name": 'a "b"'}, "expected 1 to 128 characters"),
        ({"margin": -0.1}, "expected 0 or more"),
        ({"margin": float("nan")}, "expected 0 or more"),
        ({"location": "the-moon"}, "the-moon"),
    ):
        with pytest.raises(InputError, match=message):
            register(**{**cola, **change})
    metrics = read_json(f"{cola['evaluation']}/metrics.json", "metrics")
    write_json(f"{cola['evaluation']}/metrics.json", {**metrics, "primary": None})
    with pytest.raises(InputError, match="split 'validation' has no labels"):
        register(**cola)
    assert registry.requests == []


# ------------------------------------------------------------------------------- command line and component


def _words(arguments):
    names = {"project", "location", "margin", "saved_model", "artifact_uri", "evaluation", "dataset", "serving_image"}
    words = ["--name", arguments["model_name"]]
    for name in sorted(names):
        words += [f"--{name.replace('_', '-')}", str(arguments[name])]
    return words


def test_the_command_line_registers_and_writes_the_registration(registry, trained, tmp_path):
    words, output = _words(trained(0.5)), tmp_path / "new" / "registration.json"
    dry = CliRunner().invoke(main, [*words, "--dry-run", "--output", str(output)])
    assert dry.exit_code == 0, dry.output
    printed = json.loads(dry.stdout)
    assert printed["upload"]["labels"]["value"] == "0_500000" and printed["model_version"] is None
    assert not registry.uploads and not output.exists()
    done = CliRunner().invoke(main, [*words, "--output", str(output)])
    assert done.exit_code == 0, done.output
    assert f"{MODEL}@1: default" in done.stdout
    assert read_json(output, "registration")["resource"] == MODEL
    second = CliRunner().invoke(main, _words(trained(0.4, run="second")))
    assert "default before, version 1: 0.500000, recorded; margin 0" in second.stdout


def test_the_command_line_ends_with_the_code_of_the_error(registry, trained):
    registry.trouble("GET .*/models$", 1, status=403)
    refused = CliRunner().invoke(main, _words(trained(0.5)))
    assert refused.exit_code == 4 and "roles/aiplatform.user" in refused.stderr
    wrong = CliRunner().invoke(main, [*_words(trained(0.5, run="second")), "--artifact-uri", "here"])
    assert wrong.exit_code == 2 and "gs://BUCKET/FOLDER" in wrong.stderr


def test_the_component_gives_the_version_to_the_next_step(registry, trained, tmp_path):
    from kfp import dsl

    from bigbird_components.register.component import register_component

    arguments = trained(0.5)
    register(**arguments)
    arguments = trained(0.4, run="second")
    paths = {name: arguments.pop(name) for name in ("saved_model", "evaluation", "dataset")}
    uri = arguments.pop("artifact_uri")
    kinds = {"saved_model": dsl.Model, "evaluation": dsl.Artifact, "dataset": dsl.Dataset, "registered": dsl.Artifact}
    artifacts = {name: kinds[name](name=name, uri=path) for name, path in paths.items()}
    bucket, artifacts["saved_model"] = tmp_path / "gcs", dsl.Model(name="saved_model", uri=uri)
    registered = dsl.Artifact(name="registered", uri=str(tmp_path / "registered"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kfp.dsl.types.artifact_types._GCS_LOCAL_MOUNT_PREFIX", f"{bucket}/")
        (bucket / "bucket/second").mkdir(parents=True)
        (bucket / "bucket/second/saved_model").symlink_to(paths["saved_model"])
        function = register_component("image").python_func
        outputs = function(**arguments, **artifacts, registered=registered)
    assert outputs == (MODEL, "2", False, 0.5)
    assert outputs._fields == ("resource_name", "version", "is_default", "champion_metric")
    assert registered.metadata["resourceName"] == f"{MODEL}@2"
    written = read_json(tmp_path / "registered" / "registration.json", "registration")
    assert written["champion"] == {"version": "1", "value": 0.5, "found": "recorded"}
