"""Our own checkpoints: safetensors by variable path, the same files whichever backend wrote them.

    model_dir/checkpoints/step-00000100/{model.safetensors, optimizer.safetensors, state.json}
    model_dir/best/{model.safetensors, state.json}

`model.safetensors` is what is validated and exported. Where training keeps averages of the weights, it has the averages, and the
checkpoint has `unaveraged.safetensors` too: the weights with which training goes on.

`state.json` is written last, with the others' checksums: a folder without it is not a checkpoint, and one whose files are not
those that it names is damaged and never used. Paths leave out the model's own name, so that
the encoder's are the same in every task's model.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bigbird.checkpoints import places
from bigbird.config import Experiment, load_experiment, replace
from bigbird.manifests import CheckpointState, ModelManifest, checked
from bigbird.support import integrity
from bigbird.support.artifacts import read_json, write_json
from bigbird.support.errors import DamagedError, InputError
from bigbird.support.new_folders import delete, put_in_place, remove_left_over
from bigbird.support.precision import policy
from bigbird.support.safe_paths import inside
from bigbird.support.temporary_names import temporary_sibling

if TYPE_CHECKING:
    import keras

    from bigbird.optimization import AdamW

_log = logging.getLogger(__name__)

MODEL_FILE, OPTIMIZER_FILE, STATE_FILE = "model.safetensors", "optimizer.safetensors", "state.json"
UNAVERAGED_FILE = "unaveraged.safetensors"
_LFS = b"version https://git-lfs"  # what a file of a repository begins with that was cloned without git-lfs
CHECKPOINTS = "checkpoints"
_STEP_FOLDER = re.compile(r"step-(\d{8,})")


# ------------------------------------------------------------------------------------------------ saving


def save_checkpoint(
    model_dir: str | os.PathLike[str],
    model: keras.Model,
    optimizer: AdamW,
    state: dict[str, Any],
    *,
    max_to_keep: int,
) -> Path:
    """Writes the checkpoint of `state["step"]` and removes the oldest beyond `max_to_keep`."""
    folder = step_folder(model_dir, state["step"])
    before = _whole_state(folder)
    if before is not None and before.checksums is not None:  # the same weights; only what is known about them is new
        _write_state(folder, state, before.checksums)
        return folder
    _write(folder, {file: _arrays(variables) for file, variables in _files(model, optimizer).items()}, state)
    for step in list_checkpoints(model_dir)[:-max_to_keep]:
        _remove(step_folder(model_dir, step))
    return folder


def save_best(folder: str | os.PathLike[str], model: keras.Model, state: dict[str, Any]) -> None:
    """Replaces the best checkpoint: weights without the optimizer's."""
    _write(Path(folder), {MODEL_FILE: _arrays(named_weights(model))}, state)


def copy_best(checkpoint: Path, folder: Path) -> None:
    """Writes the best checkpoint from the training checkpoint of the same step."""
    check_checkpoint(checkpoint)
    _write(folder, {MODEL_FILE: read_arrays(checkpoint / MODEL_FILE)}, read_state(checkpoint).content())


def _write(folder: Path, files: dict[str, dict[str, np.ndarray]], state: dict[str, Any]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(folder)
    temporary.mkdir()
    try:
        for name, arrays in files.items():
            write_arrays(temporary / name, arrays)
        _write_state(temporary, state, integrity.facts_of_folder(temporary))
        put_in_place(temporary, folder, whole=(STATE_FILE,))
    finally:
        delete(temporary)


def _write_state(folder: Path, state: dict[str, Any], checksums: dict[str, integrity.Facts]) -> None:
    write_json(folder / STATE_FILE, CheckpointState.model_validate(state).sealed(checksums).to_json())


def _whole_state(folder: Path) -> CheckpointState | None:
    """The state of a checkpoint that is there and undamaged; None where there is none."""
    try:
        return check_checkpoint(folder) if (folder / STATE_FILE).exists() else None
    except InputError:
        return None


def _remove(folder: Path) -> None:
    """Deletes a checkpoint, which is gone for readers at once."""
    aside = temporary_sibling(folder)
    try:
        os.replace(folder, aside)
    except OSError:  # a file system that renames no folders: without its state it is no checkpoint any more
        (folder / STATE_FILE).unlink(missing_ok=True)
        aside = folder
    delete(aside)


# ----------------------------------------------------------------------------------------------- finding


def list_checkpoints(model_dir: str | os.PathLike[str]) -> list[int]:
    """Steps of the whole checkpoints in `model_dir`, ascending."""
    parent = Path(model_dir) / CHECKPOINTS
    if not parent.is_dir():
        return []
    matches = [(_STEP_FOLDER.fullmatch(folder.name), folder) for folder in parent.iterdir()]
    return sorted(int(match[1]) for match, folder in matches if match and (folder / STATE_FILE).exists())


def step_folder(model_dir: str | os.PathLike[str], step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return Path(model_dir) / CHECKPOINTS / f"step-{step:08d}"


def newest_checkpoint(model_dir: str | os.PathLike[str]) -> Path | None:
    """The folder of the newest checkpoint; its files are not looked at."""
    steps = list_checkpoints(model_dir)
    return step_folder(model_dir, steps[-1]) if steps else None


def latest_checkpoint(model_dir: str | os.PathLike[str]) -> Path | None:
    """The folder of the newest undamaged checkpoint, None where there is none at all; says which ones it leaves out, and why.

    Raises:
        DamagedError: there are checkpoints, and all are damaged.
    """
    problems: list[str] = []
    for step in reversed(list_checkpoints(model_dir)):
        folder = step_folder(model_dir, step)
        try:
            check_checkpoint(folder)
        except InputError as error:
            problems.append(str(error))
            continue
        for problem in problems:
            if problem not in _said:
                _log.warning(f"{problem}. Left out: going back to {folder.name}")
                _said.add(problem)
        return folder
    if problems:
        raise DamagedError(
            f"{model_dir}: holds no undamaged checkpoint to go on from: {problems[0]}. Restore it, or delete "
            f"{Path(model_dir) / CHECKPOINTS} to train from the beginning"
        )
    return None


_said: set[str] = set()  # damaged checkpoints that the user was told of


def check_checkpoint(folder: str | os.PathLike[str]) -> CheckpointState:
    """The state, with its checksums, of a checkpoint whose files are those that it names.

    Raises:
        DamagedError: one is missing, damaged or was changed.
        InputError: there is no state, or it is not JSON.
    """
    state = read_state(folder)
    if state.checksums is not None:
        integrity.check_files(folder, {integrity.CHECKSUMS: state.checksums}, "it is not used")
    return state


def remove_unfinished(model_dir: str | os.PathLike[str]) -> None:
    """Removes what interrupted writes and removals left of the training checkpoints; the caller trains in the folder.

    What lies beside `checkpoints` may be another process': a validation runs beside training.
    """
    checkpoints = Path(model_dir) / CHECKPOINTS
    remove_left_over(checkpoints)
    for folder in checkpoints.iterdir() if checkpoints.is_dir() else ():
        if _STEP_FOLDER.fullmatch(folder.name) and not (folder / STATE_FILE).exists():
            delete(folder)


def read_state(folder: str | os.PathLike[str]) -> CheckpointState:
    """The `state.json` of a checkpoint.

    Raises:
        DamagedError: its values are not those that were written.
        InputError: there is none, it is not JSON, or a value is not what it should be.
    """
    path = Path(folder) / STATE_FILE
    state = read_json(path, "state of a checkpoint")
    if not isinstance(state, dict) or not isinstance(state.get("step"), int):
        raise DamagedError(f"{path}: holds no step; expected the state of a checkpoint")
    integrity.check_seal(path, state, "state of a checkpoint")
    return checked(CheckpointState, state, path, "delete the checkpoint to go on from an earlier one")


# ----------------------------------------------------------------------------------------------- loading


def restore_checkpoint(
    folder: str | os.PathLike[str], model: keras.Model, optimizer: AdamW | None = None
) -> CheckpointState:
    """Loads weights and returns the state.

    Args:
        folder: the checkpoint.
        model: built. By itself it gets what is validated and exported: the averages, where training keeps them.
        optimizer: built for the model; with it both get what training goes on with.

    Raises:
        DamagedError: a file is not what was written.
        InputError: a weight is missing, unexpected or of another shape; lists all of them.
    """
    state = check_checkpoint(folder)
    files = {MODEL_FILE: named_weights(model)} if optimizer is None else _files(model, optimizer)
    for file, variables in files.items():
        _assign(Path(folder) / file, variables)
    return state


def weights_folder(folder: str | os.PathLike[str], manifest: ModelManifest, which: Literal["best", "last"]) -> Path:
    """The checkpoint of a finished model: the best by validation (the last where none was made), or the last."""
    if which not in ("best", "last"):
        raise InputError(f"checkpoint {which!r}: expected best or last")
    if which == "best" and manifest.best is not None:
        return inside(folder, manifest.best, f"{Path(folder) / 'model.json'}: best")
    newest = newest_checkpoint(folder)
    if newest is None:
        raise InputError(f"{folder}: holds no checkpoint; was {CHECKPOINTS}/ removed?")
    return newest


def load_model(
    model_dir: str | os.PathLike[str],
    which: Literal["best", "last"] = "best",
    *,
    dtype: str | None = None,
) -> tuple[keras.Model, ModelManifest, Experiment]:
    """Rebuilds a trained model, to answer (see `without_gradients`); where it was trained with the kernel for TPUs, with `attention.implementation: auto`.

    Args:
        model_dir: a model/ folder.
        which: the best checkpoint by validation, or the last.
        dtype: "float32" or "mixed_bfloat16"; default as trained.

    Returns:
        The model, the folder's manifest, and the resolved experiment.

    Raises:
        InputError: the folder is not whole, or its weights are not its configuration's.
    """
    from bigbird.layers.own_gradient import without_gradients
    from bigbird.models import build_model

    manifest = ModelManifest.read(model_dir)
    manifest.check_files(model_dir, ["config.yaml"])
    experiment = load_experiment(config_files=[Path(model_dir) / "config.yaml"])
    task = experiment.task
    if task.encoder.attention.implementation == "pallas":
        task = replace(task, model={"encoder": {"bigbird": {"attention": {"implementation": "auto"}}}})
    with without_gradients():
        model = build_model(
            task, num_classes=manifest.num_classes, dtype=dtype or policy(experiment.runtime.mixed_precision_dtype)
        )
    restore_checkpoint(weights_folder(model_dir, manifest, which), model)
    return model, manifest, experiment


# --------------------------------------------------------------------------------------- names and arrays


def named_weights(model: keras.Model) -> dict[str, Any]:
    """A model's variables by path without the model's own name."""
    return _named(model.weights, lambda path: path.removeprefix(f"{model.name}/"))


def _files(model: keras.Model, optimizer: AdamW) -> dict[str, dict[str, Any]]:
    """The files of a checkpoint to go on from, and the variables in each."""
    weights, averages = named_weights(model), {id(weight): average for weight, average in optimizer.averages}
    if not averages:
        return {MODEL_FILE: weights, OPTIMIZER_FILE: _named(optimizer.variables)}
    kept = {id(average) for average in averages.values()}
    return {
        MODEL_FILE: {name: averages.get(id(weight), weight) for name, weight in weights.items()},
        UNAVERAGED_FILE: {name: weight for name, weight in weights.items() if id(weight) in averages},
        OPTIMIZER_FILE: _named(variable for variable in optimizer.variables if id(variable) not in kept),
    }


def _named(variables: Iterable[Any], rename: Callable[[str], str] = str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for variable in variables:
        name = rename(variable.path)
        if name in names:
            raise ValueError(f"two variables are called {name}; checkpoints need distinct paths")
        names[name] = variable
    return names


def _arrays(variables: dict[str, Any]) -> dict[str, np.ndarray]:
    from keras import ops

    return {name: np.asarray(ops.convert_to_numpy(variable), order="C") for name, variable in variables.items()}


def write_arrays(file: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    """Writes a safetensors file. It gets the rights that other new files get; by the library's own only its owner could read it.

    Args:
        file: a new one.
        arrays: by name.
        metadata: what the file's header says besides.
    """
    from safetensors.numpy import save_file

    file.touch()
    rights = file.stat().st_mode
    save_file(arrays, file, metadata=metadata)
    file.chmod(rights)


def read_arrays(file: str | os.PathLike[str], facts: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, local or remote.

    Args:
        file: the file.
        facts: its size and SHA-256, where they are known.

    Raises:
        DamagedError: it is not what `facts` say.
        InputError: there is none, or it is not whole.
    """
    import ml_dtypes  # noqa: F401 - tells NumPy of bfloat16
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    remedy = "it is not used"
    if not places.exists(str(file)):
        raise InputError(f"{file}: no such file; expected the weights of a checkpoint")
    try:
        if "://" in str(file):
            content = places.read(str(file))
            beginning, size = content[: len(_LFS)], len(content)
            if facts is not None:
                integrity.check_bytes(str(file), content, facts, remedy)
            return _loaded(content)
        with Path(file).open("rb") as stream:  # the library takes every error for a file that is not there
            beginning, size = stream.read(len(_LFS)), os.fstat(stream.fileno()).st_size
        if facts is not None:
            integrity.check_file(file, facts, remedy)
        return load_file(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); expected a safetensors file") from None
    except SafetensorError as error:
        if beginning == _LFS:
            raise InputError(
                f"{file}: is what Git LFS keeps in the place of a file; get the file itself: git lfs pull"
            ) from None
        raise InputError(
            f"{file}: not a whole safetensors file ({error}; {size:,} bytes); download or copy it again"
        ) from None
    except (AttributeError, KeyError) as error:  # the library's, where NumPy has no such type
        raise InputError(
            f"{file}: holds numbers of a type that is not read ({error}); expected floating-point numbers of 16 bits or more"
        ) from None


def _loaded(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of a file's content. By way of a file: what reads bytes knows no bfloat16."""
    from safetensors.numpy import load_file

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / MODEL_FILE
        copy.write_bytes(content)
        return load_file(copy)


def _assign(file: Path, variables: dict[str, Any]) -> None:
    stored = read_arrays(file)
    _check(file, stored, variables)
    for name, variable in variables.items():
        variable.assign(stored[name])


def _check(file: Path, stored: dict[str, np.ndarray], variables: dict[str, Any]) -> None:
    """Raises unless names and shapes agree on both sides."""
    shared = sorted(stored.keys() & variables.keys())
    problems = [
        f"{name}: {stored[name].shape} in the file, {tuple(variables[name].shape)} in the model"
        for name in shared
        if stored[name].shape != tuple(variables[name].shape)
    ]
    problems += [f"{name}: only in the model" for name in sorted(variables.keys() - stored.keys())]
    problems += [f"{name}: only in the file" for name in sorted(stored.keys() - variables.keys())]
    if problems:
        raise InputError(f"{file}: these weights are not this model's:\n  " + "\n  ".join(problems))
