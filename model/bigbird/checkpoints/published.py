"""Reads checkpoints of any kind, ours and the published ones, as arrays under our names.

Nothing here unpickles: PyTorch's own files are refused. Paths may be in a bucket (gs://…, s3://…): all reading goes through
`places`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bigbird.checkpoints import names, native, places, settings
from bigbird.checkpoints.settings import BERT_CONFIG_FILE, CONFIG_FILE, PARAMS_FILE
from bigbird.manifests import ConversionManifest
from bigbird.support import integrity
from bigbird.support.artifacts import MANIFESTS
from bigbird.support.errors import InputError
from bigbird.support.integrity import Facts
from bigbird.support.safe_paths import inside
from bigbird.support.text_files import decode, parse_json_object, shown

SHARDS_FILE = "model.safetensors.index.json"  # Hugging Face's
BERT_POSITIONS = 512  # of every published BERT; what says nothing of its kind and has no more is one
TF_POINTER = "checkpoint"  # TensorFlow's file that names a folder's newest checkpoint
_SHARD = re.compile(r"model-\d{5}-of-(?!00001)\d{5}\.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle")
# Optimizer slots and counters, of TF1's AdamWeightDecay, Adafactor and BERT's own optimizers.
_SLOT = re.compile(r"(^|/)(adam_[mv]|Adam(_\d+)?|Adafactor\w*|AdamWeightDecayOptimizer\w*|global_step)(/|$)")
_COUNTERS = ("optimizer/", "global_step", "save_counter")  # the same in object based checkpoints
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
# Where an object graph has the encoder, in training checkpoints the first of them that came.
_ENCODERS = ("encoder/", "model/encoder/", "model/", "")
# Hugging Face's that are no weights: buffers that count 0, 1, 2, … or hold zeros, and the decoder, which is the word embeddings
# again.
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
_DECODERS = ("cls.predictions.decoder", "lm_head.decoder")


@dataclass
class Checkpoint:
    """A checkpoint as read.

    Attributes:
        kind: who wrote it.
        source: the file, folder or prefix, for messages.
        weights: arrays by our names.
        left_out: their names of what has no place here, optimizer slots not among them.
        settings: Hugging Face's config.json, or a bert_config.json; empty where there is none.
        settings_file: its name.
        notes: what was done to the weights since they were read, and what had to be taken for granted, a sentence each.
        learnt: rows of a BERT's table of positions, before it is lengthened.
        task: whose head a published checkpoint has, as its names tell; None where there is none, and of ours.
    """

    kind: Literal["bigbird"] | names.Theirs
    source: str
    weights: dict[str, np.ndarray]
    left_out: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    settings_file: str = CONFIG_FILE
    notes: list[str] = field(default_factory=list)
    learnt: int = 0
    task: names.Task | None = None


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
        return _read_tensorflow(_prefix(path), num_heads)
    if layout == "hugging_face":
        return _read_hugging_face(path, files, num_heads)
    if layout == "bigbird":
        return _read_safetensors(find_weights(path), num_heads)
    if layout == "safetensors":
        return _read_safetensors(path, num_heads)
    newest = _newest_prefix(path, files) if layout == "tensorflow_folder" else None
    if newest is not None:
        return _read_tensorflow(newest, num_heads)
    if files or places.isdir(path):
        raise InputError(f"{nothing_in(path, files)}{_inside_instead(path, files)}")
    raise InputError(
        f"{path}: no checkpoint there; expected a folder on this machine or in a bucket, a .safetensors file, or the prefix of "
        f"TensorFlow's {_prefix(path)}.index and {_prefix(path)}.data-00000-of-00001. {NOT_DOWNLOADED}"
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


NOT_DOWNLOADED = "The name of a model on a hub is not enough, as nothing is downloaded: give the folder that holds it"


def _inside_instead(folder: str, files: set[str]) -> str:
    """What of a folder's content may be meant, for a message: a folder in it, two below at most, or a file."""
    if any(map(_SHARD.fullmatch, files)):
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


_LOOKED_AT = 20  # files and folders of a folder, for a hint


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


Layout = Literal["bigbird", "hugging_face", "safetensors", "tensorflow", "tensorflow_folder"]


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
    if exists(f"{_prefix(path)}.index"):
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


def _prefix(path: str) -> str:
    """What the names of a TensorFlow checkpoint's files begin with, of which a path may be one."""
    return re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", path)


def find_weights(folder: str) -> str:
    """The model.safetensors a folder of ours stands for: its own, its model's best, or its newest checkpoint's.

    Raises:
        InputError: it has none.
    """

    def whole(place: str) -> bool:
        return places.exists(f"{place}/{native.MODEL_FILE}")

    candidates = [folder]
    if places.exists(f"{folder}/{MANIFESTS['model']}"):
        manifest = _read_json(f"{folder}/{MANIFESTS['model']}")
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


# ------------------------------------------------------------------------------------------------- TensorFlow


def _newest_prefix(folder: str, files: set[str]) -> str | None:
    """The prefix that the folder's `checkpoint` file names, or that of its only .index file."""
    import tensorflow as tf

    if TF_POINTER in files:
        with places.readable(folder, only=TF_POINTER) as plain:
            state = tf.train.get_checkpoint_state(plain)
        newest = state.model_checkpoint_path if state else ""
        if newest.startswith(f"{plain}/"):
            newest = f"{folder}/{newest.removeprefix(f'{plain}/')}"
        if newest and places.exists(f"{newest}.index"):
            return newest
    found = sorted(name.removesuffix(".index") for name in files if name.endswith(".index"))
    if len(found) > 1:
        raise InputError(f"{folder}: holds several checkpoints ({', '.join(found)}); name one: {folder}/{found[-1]}")
    return f"{folder}/{found[0]}" if found else None


def _read_tensorflow(prefix: str, num_heads: int) -> Checkpoint:
    with places.readable(prefix) as plain:
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
        values = {key: tensor(full) for key, full in keys.items() if not key.startswith(_COUNTERS)}
        return _from_object_graph(prefix, values, num_heads)
    values = {_with_prefix(name): tensor(name) for name in stored if not _SLOT.search(name)}
    layers = _count_layers(prefix, re.compile(r"bert/encoder/layer_(\d+)/"), values)
    kind: names.Theirs = "google_bert" if "bert/embeddings/LayerNorm/gamma" in values else "google_research"
    found = _renamed(kind, prefix, values, re.compile("bert/"), layers, num_heads)
    return _finish_bert(found, "output_weights" in values)


def _from_object_graph(prefix: str, values: dict[str, np.ndarray], num_heads: int) -> Checkpoint:
    """The Model Garden's: BigBird, or BERT as a functional model or (v2) as a layer."""
    tables = "layer_with_weights-1/embeddings", "_position_embedding_layer/embeddings"
    inner = next((p for p in _ENCODERS for table in tables if p + table in values), "")
    positions = next((values[inner + table] for table in tables if inner + table in values), np.zeros((0, 0)))
    kind: names.Theirs = "model_garden"
    if inner + tables[1] in values:
        kind = "model_garden_bert_v2"
    elif 0 < len(positions) <= BERT_POSITIONS and not _says_bigbird(prefix):
        kind = "model_garden_bert"
    # A model in pre-training has its words under the head's name.
    words = values.pop("masked_lm/embedding_table", None)
    if words is not None:
        table = names.encoder_weights(kind, 0)[0].theirs
        values.setdefault(inner + table, words)
    layer = re.compile(re.escape(inner) + r"(?:layer_with_weights-|_transformer_layers/)(\d+)/_attention_layer/")
    numbers = {int(match[1]) for key in values if (match := layer.match(key))}
    found = _renamed(kind, prefix, values, re.compile(re.escape(inner)), len(numbers), num_heads)
    return _finish_bert(found, "model/layer_with_weights-1/out_proj/kernel" in values)


def _says_bigbird(prefix: str) -> bool:
    """Whether the params.yaml beside a checkpoint is a BigBird's."""
    file = f"{prefix.rpartition('/')[0] or '.'}/{PARAMS_FILE}"
    return places.exists(file) and bool(settings.from_params(decode(places.read(file), file, "YAML in UTF-8"), file))


def _finish_bert(found: Checkpoint, classifies: bool) -> Checkpoint:
    """A BERT's checkpoint with what its names do not show.

    Args:
        found: as read; changed. Other kinds stay as they are.
        classifies: whether its logits are a classifier's.
    """
    if found.kind not in names.BERTS:
        return found
    if not found.settings:
        file = f"{found.source.rpartition('/')[0] or '.'}/{BERT_CONFIG_FILE}"
        if not found.kind.startswith("hugging_face") and places.exists(file):
            found.settings, found.settings_file = _read_json(file), BERT_CONFIG_FILE
            settings.check_config(found.settings, file)
    skipped = settings.unused_positions(found.settings, found.kind, f"{found.source}: {found.settings_file}")
    if names.POSITIONS in found.weights:
        rows = len(found.weights[names.POSITIONS])
        if skipped >= rows > 0:
            raise InputError(
                f"{found.source}: {found.settings_file}: pad_token_id is {skipped - 1}, but the table of positions, whose first row is "
                f"that after it, has {rows} rows. Correct the file"
            )
        found.weights[names.POSITIONS] = found.weights[names.POSITIONS][skipped:]
        found.learnt = len(found.weights[names.POSITIONS])
    if classifies:  # on the encoder's pooler, which computes what a classifier's own does
        for part in ("kernel", "bias"):
            pooler = found.weights.get(f"encoder/pooler/{part}")
            if pooler is not None:
                found.weights.setdefault(f"pooler_dense/{part}", pooler)
    return found


def _with_prefix(name: str) -> str:
    """google-research's masked-language-model head is stored with or without this prefix."""
    return f"cls/predictions/{name}" if name.startswith("transform/") else name


# ------------------------------------------------------------------------------------------------ safetensors


def _read_safetensors(file: Any, num_heads: int) -> Checkpoint:
    stored = native.read_arrays(file, _facts(str(file)))
    if any(name.startswith("encoder/") for name in stored):
        return _ours(str(file), stored)
    if _SHARD.fullmatch(str(file).rpartition("/")[2]):
        raise InputError(f"{file}: is one of several files that hold a model; give their folder")
    config = f"{str(file).rpartition('/')[0] or '.'}/{CONFIG_FILE}"
    return _from_hugging_face(str(file), stored, num_heads, _read_json(config) if places.exists(config) else {})


def _facts(file: str) -> Facts | None:
    """What the state of a checkpoint of ours, beside a file, says of it; None where there is none, or it says nothing."""
    folder, _, name = file.rpartition("/")
    place = f"{folder}/{native.STATE_FILE}"
    if not folder or not places.exists(place):
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
    config = _read_json(f"{folder}/{CONFIG_FILE}") if CONFIG_FILE in files else {}
    shards = [native.MODEL_FILE]
    if SHARDS_FILE in files and native.MODEL_FILE not in files:  # transformers too takes the one file before the others
        shard_of = _read_json(f"{folder}/{SHARDS_FILE}").get("weight_map")
        if not isinstance(shard_of, dict):
            raise InputError(
                f"{folder}/{SHARDS_FILE}: weight_map is {shown(shard_of, 40)}; expected the file of each weight, a JSON object"
            )
        shards = sorted(set(map(str, shard_of.values())))
        outside = [name for name in shards if "/" in name or name not in files]
        if outside:
            raise InputError(f"{folder}/{SHARDS_FILE}: names {', '.join(outside)}, which the folder does not hold")
    stored: dict[str, np.ndarray] = {}
    for shard in shards:
        stored |= native.read_arrays(f"{folder}/{shard}")
    if any(name.startswith("encoder/") for name in stored):
        return _ours(folder, stored)
    return _from_hugging_face(folder, stored, num_heads, config)


def _read_json(path: str) -> dict[str, Any]:
    expected = "JSON in UTF-8"
    return parse_json_object(decode(places.read(path), path, expected), path, expected, place="{source}")


_WORDS = "embeddings.word_embeddings.weight"
_OLD_NORM, _NORM = re.compile(r"(?<=LayerNorm\.)(gamma|beta)$"), {"gamma": "weight", "beta": "bias"}


def _from_hugging_face(
    source: str, stored: dict[str, np.ndarray], num_heads: int, config: dict[str, Any]
) -> Checkpoint:
    # Checkpoints that were made from TensorFlow's, bert-base-uncased among them, have its names for a layer norm's weights.
    stored = {_OLD_NORM.sub(lambda found: _NORM[found[1]], name): array for name, array in stored.items()}
    stated = settings.model_kind(config, f"{source}: {CONFIG_FILE}")
    settings.check_config(config, f"{source}: {CONFIG_FILE}")
    stored, notes = _without_outer_prefix(stored)
    kind = stated or _kind_by_names(stored)
    prefix = names.prefix_of(kind)
    inner = prefix if any(name.startswith(prefix) for name in stored) else ""
    left_out = _other_heads(kind, stored, inner, config)
    for decoder in _DECODERS:
        bias = f"{decoder.removesuffix('.decoder')}.bias"
        if bias not in stored and f"{decoder}.bias" in stored:
            stored[bias] = stored[f"{decoder}.bias"]
    copies = (*_BUFFERS, *(f"{decoder}.{part}" for decoder in _DECODERS for part in ("weight", "bias")))
    stored = {name: array for name, array in stored.items() if not name.endswith(copies) and name not in left_out}
    layer = re.compile(re.escape(inner) + r"encoder\.layer\.(\d+)\.")
    layers = _count_layers(source, layer, stored)
    found = _renamed(kind, source, stored, re.compile(re.escape(inner)), layers, num_heads)
    found.notes += notes
    found.settings, found.left_out = config, sorted([*found.left_out, *left_out])
    return _finish_bert(found, any(name.startswith("classifier.") for name in stored))


def _without_outer_prefix(stored: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Names without what a larger model puts before all of a BERT's, such as `module.` or `0.auto_model.`; and a note if it did."""
    begins = [name.removesuffix(_WORDS) for name in stored if name.endswith(_WORDS)]
    outer = re.sub(r"(^|(?<=\.))(bert|roberta)\.$", "", begins[0]) if len(begins) == 1 else ""
    if not outer:
        return stored, []
    held = {name.removeprefix(outer): array for name, array in stored.items() if name.startswith(outer)}
    others = {name: array for name, array in stored.items() if not name.startswith(outer)}
    return others | held, [f"{outer} before the names of weights: taken off"]


def _count_layers(source: str, layer: re.Pattern[str], stored: Iterable[str]) -> int:
    """How many layers there are among names of which the pattern's group is a layer's number from 0.

    Raises:
        InputError: one between two others is missing.
    """
    numbers = sorted({int(match[1]) for name in stored if (match := layer.match(name))})
    missing = next((number for number, found in enumerate(numbers) if found != number), None)
    if missing is not None:
        raise InputError(
            f"{source}: holds layer {numbers[-1]}, counted from 0, but no layer {missing}; a part of the weights is missing"
        )
    return len(numbers)


def _ours(source: str, stored: dict[str, np.ndarray]) -> Checkpoint:
    """A checkpoint under our own names."""
    _count_layers(source, re.compile(r"encoder/layer_(\d+)/"), stored)
    found = Checkpoint("bigbird", source, {})
    found.weights = {name: _as_float32(found, name, array) for name, array in stored.items()}
    return found


_FLOATS = ("float16", "bfloat16", "float32", "float64")


def _as_float32(checkpoint: Checkpoint, name: str, array: np.ndarray) -> np.ndarray:
    """A weight as float32, which all are computed from; the checkpoint's notes tell where that rounds."""
    if array.dtype.name not in _FLOATS:
        raise InputError(
            f"{checkpoint.source}: {name} is of {array.dtype.name}; expected floating-point weights ({', '.join(_FLOATS)}): quantized ones "
            "are not read"
        )
    note = "weights of float64: rounded to float32"
    if array.dtype.name == "float64" and note not in checkpoint.notes:
        checkpoint.notes.append(note)
    return array.astype(np.float32, copy=False)


def _kind_by_names(stored: dict[str, np.ndarray]) -> names.Theirs:
    """Whose a Hugging Face checkpoint is that has no config.json beside it, or one that does not say."""
    positions = [len(array) for name, array in stored.items() if name.endswith("embeddings.position_embeddings.weight")]
    if positions == [BERT_POSITIONS + 2] or any(name.startswith(("roberta.", "lm_head.")) for name in stored):
        return "hugging_face_roberta"
    return "hugging_face_bert" if positions and positions[0] <= BERT_POSITIONS else "hugging_face"


def _other_heads(kind: names.Theirs, stored: dict[str, np.ndarray], inner: str, config: dict[str, Any]) -> set[str]:
    """Names of heads that compute something else than ours of the same name."""
    others = set()
    words = stored.get(f"{inner}embeddings.word_embeddings.weight")
    for decoder in _DECODERS:  # one that is not the word embeddings
        own = stored.get(f"{decoder}.weight")
        if own is not None and words is not None and not np.array_equal(own, words):
            others |= {name for name in stored if name.startswith(decoder.removesuffix("decoder"))}
    if kind in names.BERTS:  # a classifier of tokens or of choices, not of whole texts
        stated = config.get("architectures")
        architectures = stated if stated and isinstance(stated, list) else ["ForSequenceClassification"]
        of_texts = any(str(name).endswith("ForSequenceClassification") for name in architectures)
        pooled = kind != "hugging_face_bert" or f"{inner}pooler.dense.weight" in stored
        if not (of_texts and pooled):
            others |= {name for name in stored if name.startswith("classifier.")}
    return others


def _renamed(
    kind: names.Theirs, source: str, stored: dict[str, np.ndarray], inner: re.Pattern[str], layers: int, num_heads: int
) -> Checkpoint:
    """Their arrays under our names and in our layout; what the table does not know is left out."""
    table = {weight.theirs: weight for weight in names.encoder_weights(kind, layers)}
    heads = {weight.theirs: weight for weight in names.head_weights(kind)}
    found, left_out = Checkpoint(kind, source, {}, task=names.task_of(kind, stored)), []
    for name, array in stored.items():
        match = inner.match(name)
        weight = heads.get(name) or (table.get(name[match.end() :]) if match else None)
        if weight is None:
            left_out.append(name)
        else:
            found.weights[weight.ours] = names.to_ours(kind, weight.sort, _as_float32(found, name, array), num_heads)
    if not any(name.startswith("encoder/") for name in found.weights):
        raise InputError(
            f"{source}: holds no encoder of a BigBird or BERT that is known here; expected {names.prefix_of(kind)}"
            f"{names.encoder_weights(kind, 0)[0].theirs} and the like, found {', '.join(sorted(stored)[:5]) or 'nothing'}"
        )
    found.left_out = sorted(left_out)
    return found
