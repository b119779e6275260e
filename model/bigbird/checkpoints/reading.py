"""Reads checkpoints of any kind, ours and the published ones, as arrays under our names.

Nothing here unpickles: PyTorch's own files are refused. Paths may be in a bucket (gs://…, s3://…): all reading goes through
`places`.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal

import numpy as np

from bigbird.checkpoints import native, places
from bigbird.checkpoints.checkpoint import Checkpoint, read_json
from bigbird.checkpoints.safetensors_files import SHARD, SHARDS_FILE, read_hugging_face, read_safetensors
from bigbird.checkpoints.settings import CONFIG_FILE
from bigbird.checkpoints.tensorflow_files import TF_POINTER, newest_prefix, prefix_of_path, read_tensorflow
from bigbird.manifests import ConversionManifest
from bigbird.support import integrity
from bigbird.support.artifacts import MANIFESTS
from bigbird.support.errors import InputError
from bigbird.support.safe_paths import inside

NOT_DOWNLOADED = "The name of a model on a hub is not enough, as nothing is downloaded: give the folder that holds it"
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle")
_LOOKED_AT = 20  # files and folders of a folder, for a hint
Layout = Literal["bigbird", "hugging_face", "safetensors", "tensorflow", "tensorflow_folder"]


def read_checkpoint(path: str, num_heads: int) -> Checkpoint:
    """Reads a checkpoint, its kind recognised by what is there.

    Args:
        path: a model or checkpoint folder of ours; the prefix, one file or the folder of a TensorFlow checkpoint (name
            based: google-research; object based: the Model Garden); a Hugging Face folder or .safetensors file. BigBirds,
            and BERTs of all three; RoBERTa's positions are counted from 0.
        num_heads: attention heads; google-research and Hugging Face do not store them.

    Raises:
        InputError: nothing there, a pickle, or a file that is not whole.
    """
    found = _read(place_of(path), num_heads)
    _check_values(found)
    return found


def place_of(path: str) -> str:
    """The folder or file that a path means: of the index of a model in parts its folder."""
    path = path.rstrip("/") or path
    folder, _, name = path.rpartition("/")
    return (folder or ".") if name == SHARDS_FILE else path


def _read(path: str, num_heads: int) -> Checkpoint:
    _check_conversion(path)
    files = places.listdir(path)
    layout = layout_of(path, files, places.exists)
    if layout == "tensorflow":
        return read_tensorflow(prefix_of_path(path), num_heads)
    if layout == "hugging_face":
        return read_hugging_face(path, files, num_heads)
    if layout == "bigbird":
        return read_safetensors(find_weights(path), num_heads)
    if layout == "safetensors":
        return read_safetensors(path, num_heads)
    newest = newest_prefix(path, files) if layout == "tensorflow_folder" else None
    if newest is not None:
        return read_tensorflow(newest, num_heads)
    if files or places.isdir(path):
        raise InputError(f"{nothing_in(path, files)}{_inside_instead(path, files)}")
    raise InputError(
        f"{path}: no checkpoint there; expected a folder on this machine or in a bucket, a .safetensors file, or the prefix of "
        f"TensorFlow's {prefix_of_path(path)}.index and {prefix_of_path(path)}.data-00000-of-00001. {NOT_DOWNLOADED}"
    )


def nothing_in(folder: str, files: Collection[str]) -> str:
    """What is said of a folder that holds no checkpoint.

    Args:
        folder: as the user gave it.
        files: what it holds.
    """
    return (
        f"{folder}: no checkpoint there; expected a model folder of ours, a TensorFlow checkpoint (….index), or a Hugging Face folder "
        f"({CONFIG_FILE}, {native.MODEL_FILE}); found {', '.join(sorted(files)[:10]) or 'nothing'}"
    )


def _inside_instead(folder: str, files: set[str]) -> str:
    """What of a folder's content may be meant, for a message: a folder in it, two below at most, or a file."""
    if any(map(SHARD.fullmatch, files)):
        return f". These parts of a model need {SHARDS_FILE}, which says what is in which"
    if "adapter_config.json" in files or "adapter_model.safetensors" in files:
        return (
            ". That is an adapter and no whole model: merge it into its model, and give that (merge_and_unload of peft)"
        )
    if "://" in folder:  # each look is a request
        return ""
    for name in sorted(files)[:_LOOKED_AT]:
        inner = f"{folder}/{name}"
        if name.endswith(".safetensors"):
            return f". Give the file, if it is meant: {inner}"
        for place in (inner, *(f"{inner}/{below}" for below in sorted(_names_in(inner))[:_LOOKED_AT])):
            held = _names_in(place)
            if native.MODEL_FILE in held or SHARDS_FILE in held or any(name.endswith(".index") for name in held):
                return f". Give the folder in it, if it is meant: {place}"
    return ""


def _names_in(folder: str) -> set[str]:
    """The names of what a folder here holds; none where it may not be listed."""
    try:
        return places.listdir(folder)
    except InputError:
        return set()


def _check_values(checkpoint: Checkpoint) -> None:
    """Refuses weights that are no finite numbers: a model that starts from them gives nothing else."""
    for name, array in checkpoint.weights.items():
        if not np.isfinite(array).all():
            count = int(array.size - np.isfinite(array).sum())
            raise InputError(
                f"{checkpoint.source}: {name}: {count:,} of its {array.size:,} values are infinite or not numbers; the file is damaged, or "
                "the training that wrote it diverged. Take an earlier checkpoint"
            )


def layout_of(path: str, files: Collection[str], exists: Callable[[str], bool]) -> Layout | None:
    """How the files of a checkpoint lie, told by names alone; None where there are none that are read.

    Args:
        path: as given to `read_checkpoint`, without a slash at its end.
        files: the names of what lies directly in it; none where it is no folder.
        exists: tells whether there is a file of a path.

    Raises:
        InputError: a pickle, or a folder that holds nothing else.
    """
    if path.endswith(_PICKLES):
        raise _pickle(path, path.rpartition("/")[0] or ".")
    if exists(f"{prefix_of_path(path)}.index"):
        return "tensorflow"
    if SHARDS_FILE in files or {native.MODEL_FILE, CONFIG_FILE} <= set(files):
        return "hugging_face"
    if {MANIFESTS["model"], native.CHECKPOINTS, native.MODEL_FILE} & set(files):
        return "bigbird"
    if TF_POINTER in files or any(name.endswith(".index") for name in files):
        return "tensorflow_folder"
    pickles = sorted(name for name in files if name.endswith(_PICKLES))
    if pickles:
        raise _pickle(f"{path}/{pickles[0]}", path)
    return "safetensors" if path.endswith(".safetensors") and exists(path) else None


def find_weights(folder: str) -> str:
    """The model.safetensors a folder of ours stands for: its own, its model's best, or its newest checkpoint's.

    Raises:
        InputError: it has none.
    """

    def whole(place: str) -> bool:
        return places.exists(f"{place}/{native.MODEL_FILE}")

    candidates = [folder]
    if places.exists(f"{folder}/{MANIFESTS['model']}"):
        manifest = read_json(f"{folder}/{MANIFESTS['model']}")
        integrity.check_seal(f"{folder}/{MANIFESTS['model']}", manifest, "model manifest")
        best = manifest.get("best")
        candidates += [_inside(folder, best)] if best else []
    steps = f"{folder}/{native.CHECKPOINTS}"
    if places.isdir(steps):
        names_of_steps = [name for name in places.listdir(steps) if name.startswith("step-")]
        candidates += [
            f"{steps}/{name}" for name in sorted(names_of_steps, key=lambda name: (len(name), name), reverse=True)
        ]
    for place in candidates:
        if whole(place):
            return f"{place}/{native.MODEL_FILE}"
    raise InputError(
        f"{folder}: no checkpoint there; expected a model folder, or a checkpoint folder with {native.MODEL_FILE}"
    )


def _inside(folder: str, name: object) -> str:
    """A checkpoint that a manifest names, which must lie in its folder."""
    if "://" not in folder:
        return str(inside(folder, name, f"{folder}/{MANIFESTS['model']}: best"))
    if not isinstance(name, str) or name.startswith("/") or ".." in name.split("/"):
        raise InputError(f"{folder}/{MANIFESTS['model']}: best: {str(name)[:100]!r} leads out of its folder")
    return f"{folder}/{name}"


def _pickle(file: str, folder: str) -> InputError:
    """What is said of a pickle, with a command that writes it with its own head and its vocabulary."""
    read = f"from_pretrained({json.dumps(folder)})"  # in double quotes, so that the shell's are single ones
    new = json.dumps("safetensors" if folder == "." else f"{folder.rstrip('/')}-safetensors")
    code = (
        f"import transformers as t; c = t.AutoConfig.{read}; "
        f"getattr(t, c.architectures[0]).{read}.save_pretrained({new}, safe_serialization=True); "
        f"t.AutoTokenizer.{read}.save_pretrained({new})"
    )
    return InputError(
        f"{file}: is a pickle, which can run any code and is never loaded; convert it where you trust it, and give the new folder:\n"
        f"  python -c {shlex.quote(code)}"
    )


def _check_conversion(path: str) -> None:
    """Checks the files of a conversion of ours against its manifest: those of this machine."""
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    if "://" not in path and (folder / MANIFESTS["checkpoint"]).exists():
        ConversionManifest.read(folder).check_files(folder)
