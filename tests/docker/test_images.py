"""What is in the images and what is not."""

import re
from pathlib import Path

import pytest

from bigbird.version import package_version, revision

ROOT = Path(__file__).parents[2]
STAGES = ("preprocess", "train", "evaluate", "export")
ALL = (*STAGES, "register", "serve", "train-gpu", "train-tpu", "train-jax-gpu", "train-jax-tpu")


@pytest.fixture(params=ALL)
def name(request, engine):
    if not engine.has(request.param):
        pytest.skip(f"NOT RUN: {engine.image(request.param)} is not built; make images IMAGES={request.param}")
    return request.param


def test_an_image_says_what_it_is_and_runs_its_stage_as_nobody_in_particular(engine, name):
    config = engine.inspect(name)["Config"]
    label = "org.opencontainers.image"
    assert config["Labels"] == {
        f"{label}.title": f"bigbird-{name}",
        f"{label}.version": package_version(),
        f"{label}.revision": revision(),
        f"{label}.licenses": "Apache-2.0",
    }
    assert config["Entrypoint"] == ["bigbird", name.split("-")[0]]
    assert config["User"] == "10001:10001"
    assert engine.python(name, "import json, os; print(json.dumps([os.getuid(), os.getgid(), os.getgroups()]))") == [
        10001,
        10001,
        [10001],
    ]


def test_bigbird_inside_prints_its_version_and_revision(engine, name):
    printed = engine("run", "--rm", "--entrypoint", "bigbird", engine.image(name), "--version").stdout
    assert printed == f"bigbird {package_version()}, revision {revision()}\n"


def test_an_image_explains_itself(engine, name):
    printed = engine("run", "--rm", engine.image(name), "--help").stdout
    assert printed.startswith(f"Usage: bigbird {name.split('-')[0]} [OPTIONS]")
    assert "Example" in printed


def test_an_image_holds_the_packages_of_its_lock_and_no_other(engine, name):
    """But for pip, which the base image came with."""
    listing = (
        "import importlib.metadata as m, json, re\n"
        "names = {re.sub('[-_.]+', '-', d.metadata['Name']).lower() for d in m.distributions()}\n"
        "print(json.dumps({name: m.version(name) for name in names - {'pip'}}))"
    )
    assert engine.python(name, listing) == {**_pins("build"), **_pins(name), "bigbird-pipelines": package_version()}


def _pins(extra):
    """The lock's packages that this image's Python and system take."""
    from packaging.markers import Marker

    environment = {"python_full_version": "3.11.2", "python_version": "3.11", "sys_platform": "linux",
                   "platform_machine": "x86_64", "platform_system": "Linux", "implementation_name": "cpython",
                   "platform_python_implementation": "CPython", "os_name": "posix"}  # fmt: skip
    text = (ROOT / "requirements" / f"{extra}.lock").read_text(encoding="utf-8")
    found = re.findall(r"^([\w.-]+)==(\S+)(?: ; (.+))? \\$", text, flags=re.MULTILINE)
    return {key: version for key, version, marker in found if not marker or Marker(marker).evaluate(environment)}


def test_an_image_holds_no_compiler_no_cache_no_data_and_no_test(engine, name):
    code = """
import json, os, shutil
print(json.dumps({
    "tools": [tool for tool in ("gcc", "g++", "cc", "c++", "clang", "ld", "make", "git") if shutil.which(tool)],
    "files": [folder for folder in ("/root/.cache", "/tmp", "/var/cache/apt/archives", "/var/lib/apt/lists")
              if any(files for _, _, files in os.walk(folder))],
    "ours": sorted(os.listdir("/opt/bigbird")),
    "work": os.listdir("/work"),
}))
"""
    found = engine.python(name, code, "--user", "0")
    assert (found["tools"], found["files"], found["work"]) == ([], [], [])
    distribution = f"bigbird_pipelines-{package_version()}.dist-info"
    assert found["ours"] == ["bigbird", "bigbird_components", "bigbird_pipelines", distribution, "bin"]


def test_an_images_history_and_environment_show_no_secret(engine, name):
    """The base image's own part may hold addresses, its maker's; ours may not."""
    history = engine("history", "--no-trunc", "--format", "{{.CreatedBy}}", engine.image(name)).stdout
    settings = "\n".join(engine.inspect(name)["Config"]["Env"])
    assert not re.search(r"token|passw|secret|credential|api_?key|index.url", history + settings, flags=re.IGNORECASE)
    ours = history.split("WORKDIR /work")[0]
    assert ours.count("pip install") >= 2 and "://" not in ours


def test_images_share_the_layers_of_what_they_share(engine):
    layers = {stage: engine.inspect(stage)["RootFS"]["Layers"] for stage in STAGES}
    common = 0
    for layer in zip(*layers.values(), strict=False):
        if len(set(layer)) > 1:
            break
        common += 1
    with_tensorflow = [layers[stage] for stage in ("train", "evaluate", "export")]
    shared = [layer for layer in with_tensorflow[0] if all(layer in other for other in with_tensorflow)]
    assert common >= 5  # base, working folder, build tools' lock and packages, the components' lock and packages
    assert len(shared) >= common + 2  # and TensorFlow's lock and packages


def test_a_module_of_the_callers_is_not_taken_for_the_images(engine, tmp_path):
    for name in ("click.py", "bigbird.py", "sitecustomize.py"):
        (tmp_path / name).write_text("raise SystemExit('the caller’s file was imported')")
    tmp_path.chmod(0o755)
    printed = engine("run", "--rm", "-v", f"{tmp_path}:/work", engine.image("preprocess"), "--help").stdout
    assert printed.startswith("Usage: bigbird preprocess")
