"""Reads safetensors: ours and Hugging Face's, a file or a folder of one or several."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from bigbird.checkpoints import names, native, places, settings
from bigbird.checkpoints.checkpoint import (
    BERT_POSITIONS,
    NUMBER,
    Checkpoint,
    count_layers,
    finish_bert,
    ours,
    read_json,
    renamed,
)
from bigbird.checkpoints.settings import CONFIG_FILE
from bigbird.support import integrity
from bigbird.support.errors import InputError
from bigbird.support.integrity import Facts
from bigbird.support.text_files import shown

SHARDS_FILE = "model.safetensors.index.json"  # Hugging Face's
SHARD = re.compile(r"model-\d{5}-of-(?!00001)\d{5}\.safetensors")
# Hugging Face's that are no weights: buffers that count 0, 1, 2, … or hold zeros, and the decoder, which is the word embeddings
# again.
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
_DECODERS = ("cls.predictions.decoder", "lm_head.decoder")
_WORDS = "embeddings.word_embeddings.weight"
_OLD_NORM, _NORM = re.compile(r"(?<=LayerNorm\.)(gamma|beta)$"), {"gamma": "weight", "beta": "bias"}


def read_safetensors(file: str, num_heads: int) -> Checkpoint:
    """Reads one file, ours or Hugging Face's, and a config.json beside it.

    Args:
        file: a .safetensors file.
        num_heads: attention heads, where the file does not have them.

    Raises:
        InputError: it is not whole, one of several that hold a model, or holds no encoder that is known.
    """
    stored = native.read_arrays(file, _facts(file))
    if any(name.startswith("encoder/") for name in stored):
        return ours(file, stored)
    if SHARD.fullmatch(file.rpartition("/")[2]):
        raise InputError(f"{file}: is one of several files that hold a model; give their folder")
    config = f"{file.rpartition('/')[0] or '.'}/{CONFIG_FILE}"
    return _from_hugging_face(file, stored, num_heads, read_json(config) if places.exists(config) else {})


def _facts(file: str) -> Facts | None:
    """What the state of a checkpoint of ours, beside a file, says of it; None where there is none, or it says nothing."""
    folder, _, name = file.rpartition("/")
    place = f"{folder}/{native.STATE_FILE}"
    if not folder or not places.exists(place):
        return None
    state = read_json(place)
    integrity.check_seal(place, state, "state of a checkpoint")
    return state.get(integrity.CHECKSUMS, {}).get(name)


def read_hugging_face(folder: str, files: set[str], num_heads: int) -> Checkpoint:
    """Reads a folder of Hugging Face's, its weights in one file or in several.

    Args:
        folder: the folder.
        files: the names of what it holds.
        num_heads: attention heads, which such weights do not have.

    Raises:
        InputError: a file that is missing or not whole, settings that cannot be, or no encoder that is known.
    """
    config = read_json(f"{folder}/{CONFIG_FILE}") if CONFIG_FILE in files else {}
    shards = [native.MODEL_FILE]
    if SHARDS_FILE in files and native.MODEL_FILE not in files:  # transformers too takes the one file before the others
        shard_of = read_json(f"{folder}/{SHARDS_FILE}").get("weight_map")
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
        return ours(folder, stored)
    return _from_hugging_face(folder, stored, num_heads, config)


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
    layer = re.compile(re.escape(inner) + rf"encoder\.layer\.({NUMBER})\.")
    layers = count_layers(source, layer, stored)
    found = renamed(kind, source, stored, re.compile(re.escape(inner)), layers, num_heads)
    found.notes += notes
    found.settings, found.left_out = config, sorted([*found.left_out, *left_out])
    return finish_bert(found, any(name.startswith("classifier.") for name in stored))


def _without_outer_prefix(stored: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Names without what a larger model puts before all of a BERT's, such as `module.` or `0.auto_model.`; and a note if it did."""
    begins = [name.removesuffix(_WORDS) for name in stored if name.endswith(_WORDS)]
    outer = re.sub(r"(^|(?<=\.))(bert|roberta)\.$", "", begins[0]) if len(begins) == 1 else ""
    if not outer:
        return stored, []
    held = {name.removeprefix(outer): array for name, array in stored.items() if name.startswith(outer)}
    others = {name: array for name, array in stored.items() if not name.startswith(outer)}
    return others | held, [f"{outer} before the names of weights: taken off"]


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
