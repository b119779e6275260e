"""Checks a checkpoint against what is said of it and against itself, before a model is made from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bigbird.checkpoints import names, settings
from bigbird.checkpoints.checkpoint import Checkpoint
from bigbird.config import ENCODER_KEY
from bigbird.support.errors import InputError
from bigbird.support.text_files import problem_list, shown

HEAD_SIZE = 64  # of every model that google-research published, which stores neither it nor the number of heads

# What our weights measure, behind encoder/ and encoder/layer_{i}/. "head" is the size of one attention head.
_ENCODER_SHAPES: dict[str, tuple[str, ...]] = {
    "embeddings/word/embeddings": ("vocab_size", "hidden_size"),
    "embeddings/position/embeddings": ("max_position_embeddings", "hidden_size"),
    "embeddings/type/embeddings": ("type_vocab_size", "hidden_size"),
    "embeddings/layer_norm/gamma": ("hidden_size",),
    "embeddings/layer_norm/beta": ("hidden_size",),
    "pooler/kernel": ("hidden_size", "hidden_size"),
    "pooler/bias": ("hidden_size",),
}
_LAYER_SHAPES: dict[str, tuple[str, ...]] = {
    **{f"attention/{part}/kernel": ("hidden_size", "heads", "head") for part in ("query", "key", "value")},
    **{f"attention/{part}/bias": ("heads", "head") for part in ("query", "key", "value")},
    "attention/output/kernel": ("heads", "head", "hidden_size"),
    "intermediate/kernel": ("hidden_size", "intermediate_size"),
    "intermediate/bias": ("intermediate_size",),
    "output/kernel": ("intermediate_size", "hidden_size"),
    **dict.fromkeys(("attention/output/bias", "attention_layer_norm/gamma", "attention_layer_norm/beta", "output/bias", "output_layer_norm/gamma", "output_layer_norm/beta"), ("hidden_size",)),
}  # fmt: skip
_TABLES = [f"encoder/{name}" for name in _ENCODER_SHAPES if name.startswith("embeddings/") and "norm" not in name]


def check_sizes(checkpoint: Checkpoint, said: Mapping[str, Any], file: str) -> None:
    """Refuses weights of other sizes than are said.

    Args:
        checkpoint: as it was read.
        said: settings of the encoder, under our names.
        file: where they are said, for messages.

    Raises:
        InputError: lists every size that is another.
    """
    sizes = settings.sizes_of(checkpoint.weights)
    wrong = [
        f"{settings.their_name(key, file)} is {shown(said[key], 40)}, the weights have {size}"
        for key, size in sizes.items()
        if said.get(key, size) != size
    ]
    if wrong:
        raise InputError(
            f"{checkpoint.source}: the settings ({file}) are not these weights': {'; '.join(wrong)}. Take both from one model, and all files "
            "of its weights"
        )


def heads_of(checkpoint: Checkpoint, said: Mapping[str, Any], file: str, given: int | None = None) -> int:
    """Attention heads: as stored, as said, as given where nothing says it, or of google-research's one for every 64 of the hidden size.

    Args:
        checkpoint: as it was read.
        said: settings of the encoder, under our names.
        file: where they are said, for messages.
        given: by the user.

    Returns:
        Their number, of which the hidden size is a multiple.

    Raises:
        InputError: what is given or said is not so, or the number is not known.
    """
    kernel = checkpoint.weights.get("encoder/layer_0/attention/query/kernel")
    stored = None if kernel is None or kernel.ndim != 3 or names.joins_heads(checkpoint.kind) else kernel.shape[1]
    stated = said.get("num_attention_heads")
    known = stored or stated
    if given is not None and known not in (None, given):
        where = (
            f"{file}: {settings.their_name('num_attention_heads', file)} is {known}" if stated else f"it has {known}"
        )
        raise InputError(f"{checkpoint.source}: does not have {given} attention heads: {where}. Leave out their number")
    if stored is not None and stated not in (None, stored):
        raise InputError(f"{checkpoint.source}: has {stored} attention heads, not {stated} ({file})")
    width = settings.sizes_of(checkpoint.weights).get("hidden_size", HEAD_SIZE)
    heads: int | None = given or known
    if heads is None and checkpoint.kind.startswith("hugging_face"):
        raise InputError(
            f"{checkpoint.source}: nothing beside it says how many attention heads the model has; put its {settings.CONFIG_FILE} there, or "
            f"give the number: --heads of `bigbird convert`, {ENCODER_KEY}.num_attention_heads of a run, num_attention_heads of from_preset"
        )
    heads = heads or max(1, width // HEAD_SIZE)
    if width % heads:
        raise InputError(
            f"{checkpoint.source}: its hidden size, {width}, is not a multiple of the {heads} attention heads"
            + (f" that {file} says, or means by saying nothing of them" if stated == heads else "")
        )
    return heads


def check_shapes(checkpoint: Checkpoint, heads: int) -> None:
    """Refuses a checkpoint without all of the encoder's weights, but a pooler's, or with one of another shape than the others ask for.

    Args:
        checkpoint: as it was read, its attention split into heads.
        heads: their number.

    Raises:
        InputError: lists the weights, under our names.
    """
    weights = checkpoint.weights
    flat = [name for name in _TABLES if name in weights and weights[name].ndim != 2]
    if flat:
        told = [f"{name} has the shape {weights[name].shape}" for name in flat]
        raise InputError(f"{checkpoint.source}: {'; '.join(told)}; expected tables of rows and columns")
    sizes: dict[str, int] = {"heads": heads, **settings.sizes_of(weights)}
    layers = sizes.get("num_layers", 0)
    expected = {f"encoder/{name}": shape for name, shape in _ENCODER_SHAPES.items()} | {
        f"encoder/layer_{layer}/{name}": shape for layer in range(layers) for name, shape in _LAYER_SHAPES.items()
    }
    absent = sorted(name for name in expected.keys() - weights.keys() if not name.startswith("encoder/pooler/"))
    if absent or not layers:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        raise InputError(
            f"{checkpoint.source}: lacks {', '.join(absent[:3]) or 'all layers'}{more}; expected all weights of an encoder of {layers} layers. "
            f"Left out as unknown: {', '.join(checkpoint.left_out[:3]) or 'nothing'}"
        )
    if "intermediate_size" not in sizes:  # its kernel is no matrix
        sizes["intermediate_size"] = len(weights["encoder/layer_0/intermediate/bias"])
    sizes["head"] = sizes["hidden_size"] // heads
    wanted = {name: tuple(sizes[size] for size in shape) for name, shape in expected.items() if name in weights}
    wanted |= _bias_shapes(weights)
    problems = [
        f"{name}: {weights[name].shape}, expected {shape}"
        for name, shape in sorted(wanted.items())
        if weights[name].shape != shape
    ]
    if problems:
        raise InputError(
            f"{checkpoint.source}: its weights do not fit each other:\n  " + problem_list(problems, "\n  ")
        )


def _bias_shapes(weights: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """The shapes that the biases of dense layers in heads must have: as many numbers as the layer has outputs."""
    return {
        bias: weights[name].shape[-1:]
        for name in weights
        if name.endswith("/kernel") and not name.startswith("encoder/")
        if (bias := name.removesuffix("kernel") + "bias") in weights
    }
