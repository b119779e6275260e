"""What leaves this machine: pushed images, by digest, and the build on Google's machines."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from bigbird_pipelines.images import Images

ROOT = Path(__file__).parents[2]
TAG = "0123456789ab"
STAGES = ("preprocess", "train", "evaluate", "export")


@pytest.fixture
def registry(tmp_path):
    """A real registry on this machine's loopback; its address."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("NOT RUN: there is no docker-registry here; apt-get install docker-registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = tmp_path / "registry.yml"
    settings.write_text(yaml.safe_dump({
        "version": 0.1, "log": {"level": "error"}, "http": {"addr": address},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
    }))  # fmt: skip
    process = subprocess.Popen([program, "serve", str(settings)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://{address}/v2/", timeout=5)
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def small_images(engine, tmp_path):
    """Images of a few bytes under the names that a build gives; their prefix."""
    prefix = "bigbird-test"
    for stage in STAGES:
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "Dockerfile").write_text(
            "FROM scratch\nCOPY Dockerfile /\n" + f"LABEL bigbird.test={os.getpid()} stage={stage}\n"
        )
        engine("build", "--quiet", "--tag", f"{prefix}-{stage}:{TAG}", tmp_path / stage)
    yield prefix
    ours = engine("images", "--quiet", "--filter", f"label=bigbird.test={os.getpid()}").stdout.split()
    engine("rmi", "--force", *set(ours))


def push(*arguments):
    command = [str(ROOT / "docker/push.sh"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_pushed_images_are_pinned_by_the_registrys_own_digests(registry, small_images, tmp_path):
    file = tmp_path / "build/images.json"
    done = push(small_images, TAG, f"{registry}/project", file, *STAGES)
    assert done.returncode == 0, done.stderr
    for stage, image in Images.from_file(file).of_a_run_here().items():
        name, digest = image.split("@")
        assert name == f"{registry}/project/{small_images}-{stage}"
        path = name.split("/", 1)[1]
        accepted = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
        request = urllib.request.Request(f"http://{registry}/v2/{path}/manifests/{TAG}", headers=accepted)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.headers["Docker-Content-Digest"] == digest
    assert list(json.loads(file.read_text())) == list(STAGES)


def test_a_pushed_image_is_pulled_when_a_run_needs_it(registry, small_images, engine, tmp_path, capsys):
    from bigbird_pipelines.platforms.docker.containers import Containers

    file = tmp_path / "images.json"
    assert push(small_images, TAG, f"{registry}/project", file, *STAGES).returncode == 0
    images = Images.from_file(file)
    for image in images.of_a_run_here().values():
        engine("rmi", "--force", f"{image.split('@')[0]}:{TAG}", image)
    Containers(images).check()
    assert capsys.readouterr().err.count("pulling ") == 4
    for image in images.of_a_run_here().values():
        engine("image", "inspect", image)


def test_code_that_is_not_committed_is_not_pushed(small_images, tmp_path):
    done = push(small_images, f"{TAG}-dirty-00000000", "127.0.0.1:1/p", tmp_path / "images.json", *STAGES)
    assert done.returncode == 2
    assert "expected a commit" in done.stderr


def test_a_push_that_fails_leaves_the_earlier_file(small_images, tmp_path):
    file = tmp_path / "images.json"
    file.write_text("earlier")
    done = push(small_images, TAG, "127.0.0.1:1/p", file, *STAGES)
    assert done.returncode != 0
    assert file.read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["images.json"]


def test_the_dataflow_worker_holds_what_preprocessing_does_and_starts_by_beams_program(engine, tmp_path):
    """Beam's own image cannot be had everywhere: one with a program of the same place and name stands in for it."""
    beam = f"bigbird-test-beam:{TAG}"
    (tmp_path / "boot").write_text(
        '#!/bin/sh\necho "started with $*"\nexec python -c "import apache_beam, sys; print(apache_beam.__version__)"\n'
    )
    (tmp_path / "boot").chmod(0o755)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY boot /opt/apache/beam/boot\n")
    engine("build", "--quiet", "--tag", beam, tmp_path)
    name = f"bigbird-test-preprocess-dataflow:{TAG}"
    try:
        engine(
            "build",
            "--quiet",
            "--file",
            ROOT / "docker/preprocess-dataflow.Dockerfile",
            "--tag",
            name,
            "--build-arg",
            f"BEAM_IMAGE={beam}",
            "--build-arg",
            f"OURS={engine.image('preprocess')}",
            tmp_path,
        )
        done = engine("run", "--rm", name, "--id=1")
        (version,) = re.findall(
            r"^apache-beam==(\S+)", (ROOT / "requirements/preprocess.lock").read_text(), re.MULTILINE
        )
        assert done.stdout.splitlines() == ["started with --id=1", version]
    finally:
        engine("rmi", "--force", name, beam, check=False)


def test_the_cloud_build_is_one_that_the_api_takes_and_calls_the_same_scripts():
    from google.cloud.devtools import cloudbuild_v1
    from google.protobuf import json_format

    text = (ROOT / "docker/cloudbuild.yaml").read_text(encoding="utf-8")
    build = json_format.ParseDict(yaml.safe_load(text), cloudbuild_v1.Build.pb(cloudbuild_v1.Build()))
    assert [step.id for step in build.steps] == ["build", "push", "digests"]
    for script in re.findall(r"docker/\w+\.sh", text):
        assert (ROOT / script).exists()
    used = set(re.findall(r"\$\{(_\w+)\}", text))
    assert used == set(build.substitutions)
    targets = re.findall(r"^FROM .* AS (\S+)$", (ROOT / "docker/Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(build.substitutions["_IMAGES"].split()) <= set(targets)


@pytest.mark.parametrize("tag", ["", "latest", "unknown"])
def test_a_build_without_a_commit_is_refused_before_anything_is_built(tag):
    command = [str(ROOT / "docker/build.sh"), "bigbird", tag, "preprocess"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"error: the tag is '{tag}'; expected the commit that is built" in done.stderr


def test_what_is_not_built_is_not_pushed(tmp_path):
    done = push("bigbird-never", TAG, "127.0.0.1:1/p", tmp_path / "images.json", "train")
    assert done.returncode == 2
    assert f"error: bigbird-never-train:{TAG} is not built; make images IMAGES=train" in done.stderr
