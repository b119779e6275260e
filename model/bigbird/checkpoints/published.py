"""Reads checkpoints of any kind, ours and the published ones, as arrays under our names.

Nothing here unpickles: PyTorch's own files are refused. Paths may be remote (gs://…): all reading goes through
`tf.io.gfile`, which streams them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bigbird.checkpoints import names, native
from bigbird.manifests import ConversionManifest
from bigbird.support import integrity
from bigbird.support.artifacts import MANIFESTS, inside
from bigbird.support.errors import InputError
from bigbird.support.integrity import Facts
from bigbird.support.paths import plain_path
from bigbird.support.text_files import decode, parse_json

CONFIG_FILE, SHARDS_FILE = "config.json", "model.safetensors.index.json"  # Hugging Face's
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle")
# Optimizer slots and counters, of TF1's AdamWeightDecay, Adafactor and BERT's own optimizers.
_SLOT = re.compile(r"(^|/)(adam_[mv]|Adam(_\d+)?|Adafactor\w*|AdamWeightDecayOptimizer\w*|global_step)(/|$)")
_COUNTERS = ("optimizer/", "global_step", "save_counter")  # the same in object based checkpoints
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass
class Checkpoint:
    """A checkpoint as read.

    Attributes:
        kind: who wrote it.
        source: the file, folder or prefix, for messages.
        weights: arrays by our names.
        left_out: their names of what has no place here, optimizer slots not among them.
        settings: Hugging Face's config.json; empty for the others.
    """

    kind: Literal["bigbird", "google_research", "model_garden", "hugging_face"]
    source: str
    weights: dict[str, np.ndarray]
    left_out: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


def read_checkpoint(path: str, num_heads: int) -> Checkpoint:
    """Reads a checkpoint, its kind recognised by what is there.

    Args:
        path: a model or checkpoint folder of ours; the prefix, one file or the folder of a TensorFlow checkpoint (name
            based: google-research; object based: the Model Garden); a Hugging Face folder or .safetensors file.
        num_heads: attention heads; google-research and Hugging Face do not store them.

    Raises:
        InputError: nothing there, a pickle, or a file that is not whole.
    """
    from tensorflow.io import gfile

    path = path.rstrip("/") or path
    if path.endswith(_PICKLES):
        raise _pickle(path)
    _check_conversion(path)
    prefix = re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", path)
    if gfile.exists(f"{prefix}.index"):
        return _read_tensorflow(prefix, num_heads)
    if gfile.isdir(path):
        files = {name.rstrip("/") for name in gfile.listdir(path)}
        if SHARDS_FILE in files or (native.MODEL_FILE in files and CONFIG_FILE in files):
            return _read_hugging_face(path, files, num_heads)
        if files & {"model.json", native.CHECKPOINTS, native.MODEL_FILE}:
            return _read_safetensors(find_weights(path), num_heads)
        newest = _newest_prefix(path, files)
        if newest is not None:
            return _read_tensorflow(newest, num_heads)
        if any(name.endswith(_PICKLES) for name in files):
            raise _pickle(path)
        raise InputError(
            f"{path}: no checkpoint there; expected a model folder of ours, a TensorFlow checkpoint (….index), or a "
            f"Hugging Face folder ({CONFIG_FILE}, model.safetensors); found {', '.join(sorted(files)[:10]) or 'nothing'}"
        )
    if path.endswith(".safetensors"):
        return _read_safetensors(path, num_heads)
    raise InputError(
        f"{path}: no checkpoint there; expected a folder, a .safetensors file, or the prefix of TensorFlow's "
        f"{prefix}.index and {prefix}.data-00000-of-00001"
    )


def find_weights(folder: str) -> str:
    """The model.safetensors a folder of ours stands for: its own, its model's best, or its newest checkpoint's.

    Raises:
        InputError: it has none.
    """
    from tensorflow.io import gfile

    def whole(place: str) -> bool:
        return gfile.exists(f"{place}/{native.MODEL_FILE}")

    places = [folder]
    if gfile.exists(f"{folder}/{MANIFESTS['model']}"):
        manifest = _read_json(f"{folder}/{MANIFESTS['model']}")
        integrity.check_seal(f"{folder}/{MANIFESTS['model']}", manifest, "model manifest")
        best = manifest.get("best")
        places += [_inside(folder, best)] if best else []
    steps = f"{folder}/{native.CHECKPOINTS}"
    if gfile.isdir(steps):
        names_of_steps = [name.rstrip("/") for name in gfile.listdir(steps) if name.startswith("step-")]
        places += [
            f"{steps}/{name}" for name in sorted(names_of_steps, key=lambda name: (len(name), name), reverse=True)
        ]
    for place in places:
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


def _pickle(path: str) -> InputError:
    return InputError(
        f"{path}: is a pickle, which can run any code and is never loaded; convert it where you trust it:\n"
        '  python -c "from transformers import AutoModelForPreTraining as M; '
        "M.from_pretrained('FOLDER').save_pretrained('OUT', safe_serialization=True)\""
    )


# ------------------------------------------------------------------------------------------------- TensorFlow


def _newest_prefix(folder: str, files: set[str]) -> str | None:
    """The prefix that the folder's `checkpoint` file names, or that of its only .index file."""
    import tensorflow as tf

    with plain_path(folder) as plain:
        newest = tf.train.latest_checkpoint(plain) if "checkpoint" in files else None
    if newest is not None:
        return folder + newest.removeprefix(plain) if newest.startswith(plain) else newest
    found = sorted(name.removesuffix(".index") for name in files if name.endswith(".index"))
    if len(found) > 1:
        raise InputError(f"{folder}: holds several checkpoints ({', '.join(found)}); name one: {folder}/{found[-1]}")
    return f"{folder}/{found[0]}" if found else None


def _read_tensorflow(prefix: str, num_heads: int) -> Checkpoint:
    with plain_path(prefix) as plain:
        return _read_prefix(plain, prefix, num_heads)


def _read_prefix(plain: str, prefix: str, num_heads: int) -> Checkpoint:
    """Reads the checkpoint at `plain`; messages name it `prefix`."""
    import tensorflow as tf

    unreadable = (tf.errors.OpError, ValueError, RuntimeError, IndexError)
    try:
        reader = tf.compat.v1.train.NewCheckpointReader(plain)
        stored = sorted(reader.get_variable_to_shape_map())
    except unreadable as error:
        raise InputError(f"{prefix}: not a whole TensorFlow checkpoint ({error})") from None

    def tensor(name: str) -> np.ndarray:
        try:
            return reader.get_tensor(name)
        except unreadable as error:
            raise InputError(f"{prefix}: {name} cannot be read; is the data file whole? ({error})") from None

    if _GRAPH in stored:
        keys = {
            key.removesuffix(_VALUE): key for key in stored if key.endswith(_VALUE) and "/.OPTIMIZER_SLOT" not in key
        }
        # Training checkpoints hold the encoder under `encoder` or, where that came first, `model/encoder`.
        prefixes = [re.escape(name) for name in ("encoder/", "model/encoder/", "")]
        inner = next((p for p in prefixes if any(re.match(f"{p}layer_with_weights-0/", key) for key in keys)), "")
        numbers = [
            int(m[1]) - 3 for key in keys if (m := re.match(rf"{inner}layer_with_weights-(\d+)/_attention", key))
        ]
        values = {key: tensor(full) for key, full in keys.items() if not key.startswith(_COUNTERS)}
        return _renamed("model_garden", prefix, values, re.compile(inner), max(numbers, default=0), num_heads)
    values = {_with_prefix(name): tensor(name) for name in stored if not _SLOT.search(name)}
    numbers = [int(m[1]) + 1 for name in values if (m := re.match(r"bert/encoder/layer_(\d+)/", name))]
    return _renamed("google_research", prefix, values, re.compile("bert/"), max(numbers, default=0), num_heads)


def _with_prefix(name: str) -> str:
    """google-research's masked-language-model head is stored with or without this prefix."""
    return f"cls/predictions/{name}" if name.startswith("transform/") else name


# ------------------------------------------------------------------------------------------------ safetensors


def _read_safetensors(file: Any, num_heads: int) -> Checkpoint:
    stored = native.read_arrays(file, _facts(str(file)))
    if any(name.startswith("encoder/") for name in stored):
        return Checkpoint("bigbird", str(file), stored)
    config = f"{str(file).rpartition('/')[0] or '.'}/{CONFIG_FILE}"
    return _from_hugging_face(str(file), stored, num_heads, _read_json(config) if _exists(config) else {})


def _facts(file: str) -> Facts | None:
    """What the state of a checkpoint of ours, beside a file, says of it; None where there is none, or it says nothing."""
    from tensorflow.io import gfile

    folder, _, name = file.rpartition("/")
    place = f"{folder}/{native.STATE_FILE}"
    if not folder or not gfile.exists(place):
        return None
    state = _read_json(place)
    integrity.check_seal(place, state, "state of a checkpoint")
    return state.get(integrity.CHECKSUMS, {}).get(name)


def _check_conversion(path: str) -> None:
    """Checks the files of a conversion of ours against its manifest: those of this machine."""
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    if "://" not in path and (folder / MANIFESTS["checkpoint"]).exists():
        ConversionManifest.read(folder).check_files(folder)


def _read_hugging_face(folder: str, files: set[str], num_heads: int) -> Checkpoint:
    settings = _read_json(f"{folder}/{CONFIG_FILE}") if CONFIG_FILE in files else {}
    shards = [native.MODEL_FILE]
    if SHARDS_FILE in files:
        shards = sorted(set(_read_json(f"{folder}/{SHARDS_FILE}").get("weight_map", {}).values()))
        outside = [name for name in shards if "/" in name or name not in files]
        if outside:
            raise InputError(f"{folder}/{SHARDS_FILE}: names {', '.join(outside)}, which the folder does not hold")
    stored: dict[str, np.ndarray] = {}
    for shard in shards:
        stored |= native.read_arrays(f"{folder}/{shard}")
    if any(name.startswith("encoder/") for name in stored):
        return Checkpoint("bigbird", folder, stored)
    return _from_hugging_face(folder, stored, num_heads, settings)


def _exists(path: str) -> bool:
    from tensorflow.io import gfile

    return gfile.exists(path)


def _read_json(path: str) -> dict[str, Any]:
    from tensorflow.io import gfile

    expected = "a JSON object in UTF-8"
    with gfile.GFile(path, "rb") as file:
        value = parse_json(decode(file.read(), path, expected), path, expected, place="{source}")
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds {type(value).__name__}; expected a JSON object")
    return value


def _from_hugging_face(
    source: str, stored: dict[str, np.ndarray], num_heads: int, settings: dict[str, Any]
) -> Checkpoint:
    inner = "bert." if any(name.startswith("bert.") for name in stored) else ""
    # Not weights: a buffer of the positions 0, 1, 2, … and the decoder, which is the word embeddings again.
    copies = ("embeddings.position_ids", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
    if "cls.predictions.bias" not in stored and copies[2] in stored:
        stored["cls.predictions.bias"] = stored[copies[2]]
    stored = {name: array for name, array in stored.items() if not name.endswith(copies)}
    layer = re.compile(re.escape(inner) + r"encoder\.layer\.(\d+)\.")
    numbers = [int(match[1]) + 1 for name in stored if (match := layer.match(name))]
    found = _renamed("hugging_face", source, stored, re.compile(re.escape(inner)), max(numbers, default=0), num_heads)
    found.settings = settings
    return found


def _renamed(
    kind: names.Kind, source: str, stored: dict[str, np.ndarray], inner: re.Pattern[str], layers: int, num_heads: int
) -> Checkpoint:
    """Their arrays under our names and in our layout; what the table does not know is left out."""
    table = {weight.theirs: weight for weight in names.encoder_weights(kind, layers)}
    heads = {weight.theirs: weight for weight in names.head_weights(kind)}
    weights, left_out = {}, []
    for name, array in stored.items():
        match = inner.match(name)
        weight = heads.get(name) or (table.get(name[match.end() :]) if match else None)
        if weight is None:
            left_out.append(name)
        else:
            weights[weight.ours] = names.to_ours(kind, weight.sort, array.astype(np.float32), num_heads)
    if not any(name.startswith("encoder/") for name in weights):
        raise InputError(
            f"{source}: holds no BigBird encoder that is known here; its first names are "
            f"{', '.join(sorted(stored)[:5]) or 'none'}"
        )
    return Checkpoint(kind, source, weights, sorted(left_out))
