"""A platform that an installed package brings: compiled for, sent to, watched, scheduled and checked, and no file of ours touched.

The names of the platform, its machine and its options are invented: see package/shelf/__init__.py.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bigbird_pipelines.platforms.registry import OWN

ROOT = Path(__file__).parents[2]
PACKAGE = Path(__file__).parent / "package"
SHELF = ("--target", "shelf", "--image-prefix", "registry/bigbird", "--image-tag", "0123456789ab")


ENTRY = "shelf.platform:PLATFORM"


def install(folder, entry=ENTRY):
    """What an installer leaves of a package's entry points; gives the variables with which a process finds it."""
    facts = folder / "shelf-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1.0\n")
    more = "" if entry != ENTRY else "bench = shelf.bench:PLATFORM\n"
    (facts / "entry_points.txt").write_text(f"[bigbird.platforms]\nshelf = {entry}\n{more}")
    return {"PYTHONPATH": os.pathsep.join(map(str, (ROOT / "model", ROOT, PACKAGE, folder)))}


@pytest.fixture
def bigbird(tmp_path):
    """Function (words of a command line) -> the finished process; in an environment with the package and its folder set."""
    environment = install(tmp_path / "installed") | {"BIGBIRD_PIPELINE_ROOT": str(tmp_path / "shelf")}
    (tmp_path / "shelf").mkdir()
    for name in ("train", "dev"):
        (tmp_path / f"{name}.tsv").write_text("sentence\tlabel\ngood\t1\n")

    def run(*words, code=0):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys; from bigbird_pipelines.cli import main; sys.argv[0] = 'bigbird'; main()",
                *map(str, words),
            ],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def test_a_pipeline_is_compiled_for_it(bigbird, tmp_path):
    bigbird("compile", *SHELF, "--drawer", "lower", "--output", tmp_path / "finetune.yaml")
    spec = yaml.safe_load((tmp_path / "finetune.yaml").read_text())
    containers = {name: executor["container"] for name, executor in spec["deploymentSpec"]["executors"].items()}
    limits = {name: container["resources"]["resourceCpuLimit"] for name, container in containers.items()}
    assert limits == {
        "exec-preprocess": "1",
        "exec-train": "4",
        "exec-evaluate": "1",
        "exec-export": "1",
        "exec-skip-export": "1",
    }
    assert containers["exec-train"]["env"] == [{"name": "DRAWER", "value": "lower"}]
    assert containers["exec-train"]["image"] == "registry/bigbird-train:0123456789ab"


def test_a_run_is_sent_and_watched_until_it_succeeds(bigbird, tmp_path):
    work = ("--task", "sst2", "--data", tmp_path, "--recipe", "small_sst2", "--name", "first", "--notify-webhook", "x")
    done = bigbird("submit", *SHELF, *work, "--wait", "--poll", "0.01")
    file = tmp_path / "shelf" / "runs" / "first.json"
    assert done.stdout.splitlines() == ["submitted first", file.as_uri(), "accuracy 0.5000", "first succeeded"]
    assert re.findall(r"train +(\w+)", done.stderr) == ["pending", "running", "succeeded"]
    assert "warning: nobody is told" in done.stderr
    stored = json.loads(file.read_text())
    assert stored["looks"] == 3 and stored["labels"]["machine"] == "abacus"
    assert stored["parameters"]["data"] == str(tmp_path) and "model_name" not in stored["parameters"]


def test_a_run_that_fails_ends_with_the_steps_code(bigbird, tmp_path):
    done = bigbird(
        "submit",
        *SHELF,
        "--task",
        "cola",
        "--data",
        tmp_path,
        "--recipe",
        "small_sst2",
        "--name",
        "second",
        "--wait",
        "--poll",
        "0.01",
        code=3,
    )
    assert "error: step 'train' of second failed: it fell off: exit code 3\n  the last line of train\n" in done.stderr


def test_doctor_checks_it(bigbird, tmp_path):
    folder = tmp_path / "shelf"
    assert bigbird("doctor", "--target", "shelf").stdout.splitlines() == [
        f"setting  pipeline_root = {folder}  (BIGBIRD_PIPELINE_ROOT)",
        f"ok       folder: {folder}",
        "ok       machine: abacus with 4 CPUs",
    ]
    done = bigbird("doctor", "--target", "shelf", "--pipeline-root", tmp_path / "none", code=2)
    assert f"FAILED   folder: {tmp_path / 'none'}\n         -> make it" in done.stdout


def test_a_schedule_is_made_listed_triggered_and_deleted(bigbird, tmp_path):
    work = ("--cron", "0 3 * * 1", *SHELF, "--task", "sst2", "--data", tmp_path, "--recipe", "small_sst2")
    assert "schedule weekly: created\n" in bigbird("schedule", "create", "weekly", *work).stdout
    assert "schedule weekly: nothing to change\n" in bigbird("schedule", "create", "weekly", *work).stdout
    (listed,) = json.loads(bigbird("schedule", "list", "--target", "shelf", "--json").stdout)
    assert (listed["name"], listed["state"], listed["cron"]) == ("weekly", "ACTIVE", "0 3 * * 1")
    assert "weekly-now.json" in bigbird("schedule", "trigger", "weekly", "--target", "shelf").stdout
    bigbird("schedule", "delete", "weekly", "--target", "shelf")
    assert json.loads(bigbird("schedule", "list", "--target", "shelf", "--json").stdout) == []


def test_a_platform_of_this_machine_runs_by_its_flag(bigbird, tmp_path):
    told = bigbird("run", "--bench", "--tool", "hammer", "--backend", "jax", code=2).stderr
    assert told == "error: the bench has no hammer for jax\n" and not (tmp_path / "runs").exists()
    assert "--tool is given without --bench; it is about the bench" in bigbird("run", "--tool", "hammer", code=2).stderr
    assert "--docker and --bench are both given" in bigbird("run", "--bench", "--docker", code=2).stderr
    assert bigbird("doctor", "--target", "bench").stdout.endswith("ok       bench: stands\n")
    sent = bigbird("compile", "--target", "bench", code=2).stderr
    assert "'bench' is not one of 'vertex', 'kubeflow', 'shelf'" in sent


def test_commands_tell_of_it(bigbird):
    submit = " ".join(bigbird("submit", "--help").stdout.split())
    assert "Sends a fine-tune to Vertex AI, Kubeflow or the shelf, after checking" in submit
    assert "on Kubeflow cpu; on the shelf abacus]" in submit and "--drawer [upper|lower]" in submit
    assert "bigbird submit --target shelf --task sst2 --data SST-2 --drawer upper" in submit
    assert "Kubeflow's recurring runs, the shelf's reminders." in " ".join(bigbird("schedule", "--help").stdout.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--target", "kubeflow", "--drawer", "upper"), "--drawer: works only on the shelf; leave it out on Kubeflow"),
        ((*SHELF, "--dataflow"), "--dataflow: works only on Vertex AI; use --beam-options to choose a Beam runner on the shelf"),
        ((*SHELF, "--machine", "cpu"), "--machine cpu: the shelf has none; expected one of abacus"),
        (("--target", "vertex", "--machine", "abacus"), "--machine abacus: Vertex AI has none; expected one of cpu, gpu-l4"),
        ((*SHELF, "--task", "sst2", "--data", ".", "--model-name", "x"), "--model-name: nothing is registered on the shelf"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_it_is_refused(bigbird, words, told):
    assert told in bigbird("submit", *words, code=2).stderr


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("shelf.nowhere:PLATFORM", "it cannot be loaded (ModuleNotFoundError: No module named 'shelf.nowhere')"),
        ("shelf.unfinished:PLATFORM", "it cannot be loaded (TypeError: Can't instantiate abstract class Unfinished with"),
        ("shelf.platform:DRAWERS", "it is a tuple; expected an instance of LocalPlatform or RemotePlatform of"),
        ("bigbird_pipelines.platforms.vertex.platform:PLATFORM", "the name 'vertex' is another platform's; expected a new one"),
        ("shelf.wrong:CROWDED", "the option 'dataflow' is another platform's; expected a new one"),
        ("shelf.wrong:LOST", "its default_machine 'no-such-machine' is none of its machines"),
        ("shelf.wrong:UNTITLED", "it has no title"),
    ],
)  # fmt: skip
def test_an_entry_point_that_cannot_be_used_is_left_out_with_a_warning(tmp_path, entry, told):
    code = "from bigbird_pipelines.platforms.registry import platforms; print(len(platforms()))"
    environment = {**os.environ, **install(tmp_path, entry)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(OWN)
    assert done.stderr.startswith(f"warning: platform 'shelf' ({entry}) is left out: {told}")
