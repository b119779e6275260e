"""Which images a pipeline runs in."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from bigbird.support.errors import InputError
from bigbird.version import revision
from bigbird_pipelines import cli, images
from bigbird_pipelines.images import TRAINING_IMAGES, WITHOUT_S3, Images, choose_images, push_command

ROOT = Path(__file__).parents[2]
DIGESTS = {
    name: f"registry/p/bigbird-{name}@sha256:{'0' * 63}{number}"
    for number, name in enumerate(("preprocess", "train", "evaluate", "export", "train-tpu"))
}


@pytest.fixture
def pushed(tmp_path):
    file = tmp_path / "images.json"
    file.write_text(json.dumps(DIGESTS))
    return file


def test_images_are_named_by_the_commit_of_this_code():
    stages = ("preprocess", "train", "evaluate", "export", "register", "serve", "preprocess_dataflow")
    assert Images.named().as_dict() == {stage: f"bigbird-{stage.replace('_', '-')}:{revision()}" for stage in stages}


def test_a_prefix_a_tag_and_a_training_image_can_be_chosen():
    assert Images.named("r/p/bird", "7", "train-tpu") == Images(
        "r/p/bird-preprocess:7",
        "r/p/bird-train-tpu:7",
        "r/p/bird-evaluate:7",
        "r/p/bird-export:7",
        "r/p/bird-register:7",
        "r/p/bird-serve:7",
        "r/p/bird-preprocess-dataflow:7",
    )


def test_latest_is_refused_since_it_names_other_code_tomorrow():
    with pytest.raises(InputError, match="--image-tag latest: may name other images later; expected the commit"):
        Images.named(tag="latest")


def test_code_without_a_commit_needs_a_tag(monkeypatch):
    monkeypatch.setattr(images, "revision", lambda: "unknown")
    with pytest.raises(InputError, match=r"the commit of this code is unknown: .*Name the images with --image-tag"):
        Images.named()
    assert Images.named(tag="7").train == "bigbird-train:7"


def test_a_compiled_pipeline_pins_the_digests_that_were_pushed(pushed, tmp_path):
    output = tmp_path / "finetune.yaml"
    result = CliRunner().invoke(cli.cli, ["compile", "--output", str(output), "--images", str(pushed)])
    assert result.exit_code == 0, result.output
    executors = yaml.safe_load(output.read_text())["deploymentSpec"]["executors"]
    assert {name: executor["container"]["image"] for name, executor in executors.items()} == {
        "exec-preprocess": DIGESTS["preprocess"],
        "exec-train": DIGESTS["train"],
        "exec-evaluate": DIGESTS["evaluate"],
        "exec-export": DIGESTS["export"],
        "exec-skip-export": DIGESTS["evaluate"],
    }


def test_the_file_of_digests_holds_several_training_images(pushed):
    assert Images.from_file(pushed, "train-tpu").train == DIGESTS["train-tpu"]


@pytest.mark.parametrize("content", ["{}", "[]", '{"preprocess": "a", "train": "", "evaluate": "c", "export": "d"}'])
def test_a_file_without_an_image_of_each_stage_is_refused(tmp_path, content):
    file = tmp_path / "images.json"
    file.write_text(content)
    with pytest.raises(InputError, match=r"images\.json: names no image for .*train"):
        Images.from_file(file)


def test_an_image_is_named_by_a_text(pushed):
    pushed.write_text(json.dumps({**DIGESTS, "train": ["a"]}))
    with pytest.raises(InputError, match=r"images\.json: train is \['a'\]; expected the name of an image"):
        Images.from_file(pushed)


def test_a_file_and_a_name_contradict_each_other(pushed):
    with pytest.raises(InputError, match="--images is given with --image-prefix or --image-tag"):
        choose_images("bigbird", "7", pushed)


@pytest.mark.parametrize(
    "options", [["--memory", "8g"], ["--gpus"], ["--image-tag", "7"], ["--images", "images.json"]]
)  # fmt: skip
def test_an_option_about_containers_needs_docker(options, tmp_path):
    result = CliRunner().invoke(cli.cli, ["run", "--runs", str(tmp_path / "runs"), *options])
    assert result.exit_code == 2
    assert f"{options[0]} is given without --docker" in result.output
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("kind", TRAINING_IMAGES)
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_every_training_image_is_a_stage_of_the_dockerfile(kind, backend):
    dockerfile = (Path(__file__).parents[2] / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert f" AS {TRAINING_IMAGES[kind][backend]}\n" in dockerfile


def test_images_that_only_the_cloud_needs_may_be_absent_until_they_are_needed(pushed):
    images = Images.from_file(pushed)
    assert images.register == ""
    with pytest.raises(
        InputError, match="no image register is named, which registering a model needs; build and push it"
    ):
        images.need("register", "registering a model")


def test_training_images_without_s3fs_are_known():
    names = {name for backends in TRAINING_IMAGES.values() for name in backends.values()}
    locks = {name: (ROOT / f"requirements/{name}.lock").read_text(encoding="utf-8") for name in names}
    assert {name for name, lock in locks.items() if "\ns3fs==" not in lock} == set(WITHOUT_S3)


def test_the_command_that_pushes_names_the_training_image_and_all_others():
    told = push_command("train-tpu", without=("preprocess_dataflow",))
    assert told == 'make images push REGISTRY=… IMAGES="preprocess train-tpu evaluate export register serve"'
