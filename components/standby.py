"""A process that has a step's libraries loaded before it is told the step.

`bigbird run` starts the next step's while one runs: importing takes a step up to two seconds. Once all is loaded the process writes
`LOADED` to its standard output, and waits for a line on its standard input: the step, as JSON. Then it is that step's process, as
if KFP's own command for the step had started it.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

from bigbird.support.tensorflow_start import load_tensorflow

# KFP looks at it when it is imported, and then loads only what a step needs. Its own command for a step sets it too.
KFP_RUNTIME = {"_KFP_RUNTIME": "true"}
LOADED = b"loaded\n"
# Step, and the backend that trains where that matters -> what Keras computes with, if it is imported, and modules.
_LIBRARIES: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("preprocess", ""): (
        "",
        ("bigbird_components.preprocess.preprocess", "bigbird_components.preprocess.beam_pipeline"),
    ),
    ("train", "tensorflow"): (
        "tensorflow",
        ("bigbird_components.train.train", "bigbird_components.train.tensorflow_step"),
    ),
    ("train", "jax"): ("jax", ("bigbird_components.train.train", "bigbird_components.train.jax_step")),
    ("evaluate", ""): ("tensorflow", ("bigbird_components.evaluate.evaluate",)),
    ("export", ""): ("tensorflow", ("bigbird_components.export.export",)),
}


def main() -> None:
    """Called with the step's name and `runtime.backend`."""
    # As a step that is started later has them: a run in the background ignores Ctrl-C until it begins its first step.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    step, backend = sys.argv[1:]
    starter = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:  # for what is printed while libraries are loaded
        os.dup2(nowhere.fileno(), 1)
    try:
        _load(step, backend)
    except Exception:  # the step fails of it too where it is started as usual, and tells it there  # noqa: BLE001
        sys.exit(1)
    try:
        os.write(starter, LOADED)
    except OSError:  # whoever started this process has ended
        return
    os.close(starter)
    line = _line()
    if line:
        _run(**json.loads(line))


def _load(step: str, backend: str) -> None:
    # As KFP sets it up; before TensorFlow, which else adds a handler of its own that writes to the terminal.
    logging.basicConfig(
        stream=sys.stdout, format="[KFP Executor %(asctime)s %(levelname)s]: %(message)s", level=logging.INFO
    )
    importlib.import_module("kfp.dsl.executor_main")
    keras_backend, modules = _LIBRARIES[step, backend] if step == "train" else _LIBRARIES[step, ""]
    if keras_backend:
        load_tensorflow(keras_backend)
    for module in modules:
        importlib.import_module(module)


def _line() -> bytes:
    """The line, or nothing where whoever started this process has ended. It is all that is written; `lifeline` waits for the end."""
    read = b""
    while not read.endswith(b"\n"):
        part = os.read(0, 2**16)
        if not part:
            return b""
        read += part
    return read


def _run(source: str, arguments: list[str], environment: dict[str, str], log: str) -> None:
    """Does what KFP's shell line does.

    Args:
        source: the component's module.
        arguments: of KFP's executor.
        environment: what the step has more.
        log: the file that standard output goes into.
    """
    os.environ.update(environment)
    tempfile.tempdir = None  # TMPDIR is another one
    with Path(log).open("ab") as file:
        os.dup2(file.fileno(), 1)
    module = Path(tempfile.mkdtemp()) / "ephemeral_component.py"
    module.write_text(source, encoding="utf-8")
    sys.argv = ["executor_main", "--component_module_path", str(module), *arguments]
    from kfp.dsl.executor_main import executor_main

    executor_main()


if __name__ == "__main__":
    main()
