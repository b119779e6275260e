"""`bigbird run --docker`: the whole pipeline, and steps that fail, in real containers."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from kfp import dsl

from bigbird.support.errors import InputError
from bigbird.support.log import configure_logging
from bigbird_pipelines.images import Images
from bigbird_pipelines.platforms import local_steps
from bigbird_pipelines.platforms.docker.containers import RUN_LABEL, Containers

ROOT = Path(__file__).parents[2]


@dsl.component(base_image="IMAGE", install_kfp_package=False)
def write(text: str, note: dsl.Output[dsl.Artifact]) -> int:
    import os
    import sys
    from pathlib import Path

    print("on stdout")
    print(f"saw {text}", file=sys.stderr)
    Path(note.path).write_text(text)
    return os.getuid()


@dsl.component(base_image="IMAGE", install_kfp_package=False)
def fail(how: str, note: dsl.Output[dsl.Artifact]) -> None:
    import os
    import sys

    if how == "exits 3":
        sys.exit(3)
    if how == "takes all memory":
        hoard = []
        while True:
            hoard.append(os.urandom(8_000_000))
    if how == "is killed":
        os.kill(os.getpid(), 9)


@dsl.component(base_image="IMAGE", install_kfp_package=False)
def read(file: str, note: dsl.Output[dsl.Artifact]) -> None:
    from pathlib import Path

    Path(note.path).write_text(Path(file).read_text())
    for place in (file, "/opt/bigbird/x", "/x"):
        try:
            Path(place).write_text("changed")
        except OSError:
            continue
        raise SystemExit(f"{place} could be written")


@dsl.component(base_image="IMAGE", install_kfp_package=False)
def wait(model: dsl.Output[dsl.Model]) -> None:
    import time
    from pathlib import Path

    Path(model.path).mkdir()
    try:
        Path(model.path, "half").touch()
        time.sleep(120)
    finally:
        Path(model.path).parent.joinpath("tidied").touch()


@dsl.component(base_image="IMAGE", install_kfp_package=False)
def stop_slowly(seconds: float) -> None:
    import sys
    import time

    try:
        print("ready", file=sys.stderr, flush=True)
        time.sleep(120)
    finally:
        time.sleep(seconds)
        print("tidied", file=sys.stderr, flush=True)


@dsl.component(base_image="IMAGE", install_kfp_package=False)
def tell(note: dsl.Output[dsl.Artifact]) -> None:
    import logging
    import os
    from pathlib import Path

    from bigbird_components.stage import run_stage

    def stage() -> None:
        log = logging.getLogger("bigbird.step")
        log.debug("more")
        log.info("usual")
        log.warning("careful")
        Path(note.path).write_text(os.environ.get("BIGBIRD_LOG_LEVEL", ""))

    run_stage(stage, tensorflow=False)


@pytest.fixture
def run(engine, tmp_path):
    """Runs one component as a pipeline, in the smallest image that holds kfp; returns the run."""
    image = engine.image("preprocess")

    def run_one(component, folder=None, inputs=(), memory="", **arguments):
        component.component_spec.implementation.container.image = image

        @dsl.pipeline(name="one")
        def one() -> None:
            component(**arguments)

        folder = folder or tmp_path / "run"
        return local_steps.run(one, {}, folder, Containers(Images(image, image, image, image), inputs, memory=memory))

    return run_one


def containers(engine, folder):
    """Those of runs below a folder; others on this engine are not ours."""
    folders = engine(
        "ps", "--all", "--filter", f"label={RUN_LABEL}", "--format", f'{{{{.Label "{RUN_LABEL}"}}}}'
    ).stdout
    return [line for line in folders.splitlines() if line.startswith(str(folder))]


def test_a_step_runs_as_the_caller_who_owns_what_it_leaves(run, callers_folder, caller, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: caller[0])
    monkeypatch.setattr(os, "getgid", lambda: caller[1])
    folder = callers_folder / "run"
    folder.mkdir()
    os.chown(folder, *caller)
    monkeypatch.setattr(local_steps.tempfile, "tempdir", str(callers_folder))
    callers_folder.chmod(0o777)
    original = local_steps.tempfile.TemporaryDirectory

    def open_to_all(**options):
        scratch = original(**options)
        os.chown(scratch.name, *caller)
        return scratch

    monkeypatch.setattr(local_steps.tempfile, "TemporaryDirectory", open_to_all)
    run(write, folder, text="hello")
    written = folder / "write/note"
    assert written.read_text() == "hello"
    assert (written.stat().st_uid, written.stat().st_gid) == caller
    record = json.loads((folder / "write/executor_output.json").read_text())
    assert record["parameterValues"]["Output"] == caller[0]


def test_a_steps_stderr_is_live_and_its_log_holds_all(run, tmp_path, capsys):
    finished = run(write, text="ein Büffel")
    shown = capsys.readouterr()
    assert list(finished.seconds) == ["write"]
    assert shown.out == ""
    assert shown.err.startswith("-- write\nsaw ein Büffel\n   write finished in ")
    log = (tmp_path / "run/logs/write.log").read_text()
    assert "saw ein Büffel\n" in log and "on stdout\n" in log


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("", ["-- tell", "usual", "warning: careful", "   tell finished in"]),
        ("warning", ["warning: careful"]),
        ("debug", ["-- tell", "debug: more", "usual", "warning: careful", "   tell finished in"]),
    ],
)
def test_a_step_says_as_much_as_the_command_that_started_it(run, tmp_path, capsys, monkeypatch, level, shown):
    with monkeypatch.context() as patched:
        patched.setenv("BIGBIRD_LOG_LEVEL", level)
        configure_logging()
        run(tell)
    configure_logging()
    lines = capsys.readouterr().err.splitlines()
    assert [line for line, start in zip(lines, shown, strict=True) if not line.startswith(start)] == []
    assert (tmp_path / "run/tell/note").read_text() == level


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("exits 3", 3, r"step 'fail' failed: it exited with code 3; what it printed is above and in .*/logs/fail\.log"),
        (
            "takes all memory",
            137,
            r"step 'fail' failed: its container ran out of memory; .*/logs/fail\.log",
        ),
        (
            "is killed",
            137,
            r"step 'fail' failed: it exited with code 137, which is what happens when .*/logs/fail\.log",
        ),
        (
            "writes nothing",
            1,
            r"step 'fail' failed: it ended without an error but did not write its output 'note'; .*/logs/fail\.log",
        ),
    ],
)
def test_a_failure_is_never_taken_for_success(run, engine, tmp_path, request, how, code, message):
    for number in range(request.config.getoption("--repeats")):
        with pytest.raises(local_steps.StepFailed, match=message) as failed:
            run(fail, tmp_path / f"run{number}", memory="256m", how=how)
        assert failed.value.exit_code == code
    assert containers(engine, tmp_path) == []


def test_a_step_reads_what_the_user_named_and_writes_nowhere_else(run, tmp_path):
    """A folder of links, as a download cache has it, is readable too."""
    blobs, data = tmp_path / "blobs", tmp_path / "data"
    for folder in (blobs, data):
        folder.mkdir()
    (blobs / "5f3a").write_text("what the link leads to")
    (data / "train.tsv").symlink_to("../blobs/5f3a")
    run(read, inputs=[data], file=str(data / "train.tsv"))
    assert (tmp_path / "run/read/note").read_text() == "what the link leads to"
    assert (blobs / "5f3a").read_text() == "what the link leads to"


def test_a_path_may_hold_spaces_colons_and_chains_of_links(run, tmp_path):
    folder = tmp_path / "a: b"
    folder.mkdir()
    (folder / "real").write_text("found")
    (folder / "first").symlink_to("real")
    (tmp_path / "second").symlink_to("a: b/first")
    run(read, inputs=[tmp_path / "second"], file=str(tmp_path / "second"))
    assert (tmp_path / "run/read/note").read_text() == "found"


def test_an_input_that_may_not_be_listed_is_one_message(monkeypatch, tmp_path):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match=r"cannot be read .Permission denied"):
        Containers(Images.named(tag="x"), [tmp_path])


def test_a_container_that_the_engine_refuses_is_a_failed_step_and_leaves_nothing(run, engine, tmp_path):
    with pytest.raises(local_steps.StepFailed, match=r"step 'read' failed: Docker failed: .*absent") as failed:
        run(read, inputs=[tmp_path / "absent"], file="x")
    assert failed.value.exit_code == 1
    assert not (tmp_path / "absent").exists()
    assert containers(engine, tmp_path) == []


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_an_interruption_at_any_moment_leaves_no_container(run, engine, tmp_path, delay):
    """Also while the engine is still making it."""
    log = tmp_path / "run/logs/wait.log"

    def interrupt():
        until = time.monotonic() + 60
        while not log.exists() and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(wait)
    thread.join()
    assert containers(engine, tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_stops_the_container_and_leaves_nothing_half_written(
    run, engine, tmp_path, monkeypatch, number
):
    monkeypatch.setitem(local_steps.OUTPUTS, "model", Path("wait/model"))
    folder, running = tmp_path / "run", []

    def interrupt_once_started():
        until = time.monotonic() + 60
        while not (folder / "wait/model/half").exists() and time.monotonic() < until:
            time.sleep(0.05)
        running.extend(containers(engine, tmp_path))
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt_once_started)
    thread.start()
    with pytest.raises(SystemExit if number == signal.SIGTERM else KeyboardInterrupt):
        run(wait)
    thread.join()
    assert running == [str(folder)]
    assert (folder / "wait/tidied").exists()
    assert not (folder / "wait/model").exists()
    assert containers(engine, tmp_path) == []


@pytest.mark.parametrize("again", [False, True], ids=["Ctrl-C", "Ctrl-C twice"])
def test_a_container_has_as_long_as_it_takes_to_stop_until_a_second_ctrl_c(run, engine, tmp_path, monkeypatch, again):
    monkeypatch.setattr(local_steps, "INTERRUPT_PATIENCE_S", 0.5)
    monkeypatch.setattr(local_steps, "TELL_AFTER_S", 0.5)
    log = tmp_path / "run/logs/stop-slowly.log"

    def interrupt():
        until = time.monotonic() + 60
        while not (log.exists() and b"ready" in log.read_bytes()) and time.monotonic() < until:
            time.sleep(0.05)
        for _ in range(1 + again):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    thread = threading.Thread(target=interrupt)
    thread.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(stop_slowly, seconds=60.0 if again else 3.0)
    thread.join()
    assert (b"tidied" in log.read_bytes()) != again and time.monotonic() - started < 40
    assert containers(engine, tmp_path) == []


def test_an_image_that_is_not_there_is_named_before_anything_starts(engine):
    with pytest.raises(InputError, match=r"image bigbird-preprocess:never: .*`make images` builds those of this code"):
        Containers(Images.named(tag="never")).check()


@pytest.mark.parametrize("memory", ["8q", "much", "0", "-1g"])
def test_a_memory_that_is_no_size_is_refused(memory):
    with pytest.raises(InputError, match=f"--memory {memory}: expected a number of bytes"):
        Containers(Images.named(tag="never"), memory=memory).check()


def test_without_an_engine_the_user_hears_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")
    with pytest.raises(InputError, match=r"no Docker engine answers .*start it, or leave --docker out"):
        Containers(Images.named(tag="x")).check()


@pytest.mark.integration
def test_an_interruption_reaches_beams_own_processes(engine, tmp_path, data, recipe):
    """Preprocessing that spreads over processes stops at once and leaves no half-written dataset."""
    data(tmp_path / "data", rows=60_000), recipe(tmp_path / "recipe.yaml")
    process = subprocess.Popen(
        [
            sys.executable, "-c", "from bigbird_pipelines.cli import cli; cli()", "run", "--docker", "--task", "sst2", "--data", "data",
            "--recipe", "recipe.yaml", "--vocabulary-size", "50", "--name", "x",
            "--beam-options", "--direct_running_mode=multi_processing --direct_num_workers=2",
        ],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in process.stderr:
        if line.startswith("encode "):
            break
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest[-2000:]
    assert time.monotonic() - started < 20
    assert not list((tmp_path / "runs/x/preprocess").iterdir())
    assert containers(engine, tmp_path) == []


@pytest.mark.integration
def test_the_pipeline_in_containers_gives_what_it_gives_without(engine, tmp_path, data, recipe):
    """The same packages on the same machine: the same weights, to the last bit of every metric."""
    data(tmp_path / "data"), recipe(tmp_path / "recipe.yaml")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}"}
    metrics = {}
    for name, more in (("with", ["--docker"]), ("without", [])):
        command = [
            sys.executable, "-c", "from bigbird_pipelines.cli import cli; cli()", "run", "--task", "sst2", "--data", "data",
            "--recipe", "recipe.yaml", "--vocabulary-size", "50", "--name", name, *more,
        ]  # fmt: skip
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        folder = tmp_path / "runs" / name
        metrics[name] = json.loads((folder / "evaluate/evaluation/metrics.json").read_text())
        assert list(json.loads((folder / "run.json").read_text())["seconds"]) == [
            "preprocess",
            "train",
            "evaluate",
            "export",
        ]
    assert json.loads((tmp_path / "runs/with/run.json").read_text())["images"] == Images.named().of_a_run_here()
    for name in ("metrics", "primary", "baseline", "examples", "revision"):
        assert metrics["with"][name] == metrics["without"][name], name
    asked = subprocess.run(
        [sys.executable, "-c", "from bigbird_pipelines.cli import cli; cli()", "predict", "--model", "runs/with", "--text", "the red house"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert json.loads(asked.stdout)["label"] == "1", asked.stderr[-2000:]


@pytest.mark.integration
def test_a_users_own_table_goes_through_the_containers(engine, tmp_path):
    """The table is mounted alone; labels are spoken from the dataset to the answer of the exported model."""
    words = {"glad": "fine lovely bright", "sad": "dull grey cold"}
    rows = [f"{i} {word},{label}\n" for i in range(40) for label, text in words.items() for word in text.split()]
    (tmp_path / "days.csv").write_text("".join(["the day,mood\n", *rows]), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}"}
    tool = [sys.executable, "-c", "from bigbird_pipelines.cli import cli; cli()"]
    settings = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run(
        [
            *tool, "run", "--docker", "--data", "days.csv", "--text", "the day", "--label", "mood", "--epochs", "1",
            "--max-length", "16", "--vocabulary-size", "60", "--name", "x",
        ],
        check=False, **settings,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = json.loads((tmp_path / "runs/x/evaluate/evaluation/metrics.json").read_text())
    assert (metrics["kind"], metrics["labels"], metrics["examples"]) == ("single", ["glad", "sad"], 24)
    asked = subprocess.run([*tool, "predict", "--model", "runs/x", "--text", "3 lovely"], check=False, **settings)
    assert json.loads(asked.stdout)["label"] in ("glad", "sad"), asked.stderr[-2000:]
