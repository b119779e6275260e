"""Which implementation of the sparse attention an encoder runs: `attention.implementation`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from bigbird.config import ENCODER_KEY, BigBirdEncoderConfig
from bigbird.layers.attention.block_sparse import block_sparse_attention
from bigbird.support.errors import InputError


def sparse_attention(config: BigBirdEncoderConfig, dtype: str) -> Callable[..., Any]:
    """`block_sparse_attention`, or a Pallas kernel of the same contract: a GPU's where JAX computes on one, else a TPU's.

    Args:
        config: the encoder's; `auto` takes the kernel where JAX has a TPU or GPU and the kernel suits it and the sizes.
        dtype: that attention is computed in, "float32" or "bfloat16".

    Raises:
        InputError: the kernel is asked for where it cannot be had.
    """
    wanted = config.attention.implementation
    on_jax = keras.backend.backend() == "jax"
    if wanted not in ("auto", "pallas") or (wanted == "auto" and not (on_jax and _platform() in ("tpu", "gpu"))):
        return block_sparse_attention
    problem = _unsuitable(config, dtype) if on_jax else f"Keras' backend is {keras.backend.backend()}"
    if not problem:
        return _kernel().block_sparse_attention
    if wanted == "auto":
        return block_sparse_attention
    raise InputError(
        f"{ENCODER_KEY}.attention.implementation: pallas cannot be had: {problem}; "
        + ("set it to auto or xla" if on_jax else "set it to auto or xla, or runtime.backend to jax")
    )


def _platform() -> str:
    """What JAX computes on: "cpu", "gpu" or "tpu"."""
    import jax

    device = jax.config.jax_default_device  # type: ignore[attr-defined]
    return jax.default_backend() if device is None else device.platform


def _kernel() -> Any:
    """The module of the kernel; a TPU's where there is neither, to be compiled for one elsewhere or interpreted."""
    if _platform() == "gpu":
        from bigbird.layers.attention import gpu_kernel

        return gpu_kernel
    from bigbird.layers.attention import tpu_kernel

    return tpu_kernel


def _unsuitable(config: BigBirdEncoderConfig, dtype: str) -> str:
    """Why the kernel does not suit an encoder, "" where it does."""
    import jax.numpy as jnp

    heads = config.num_attention_heads
    return _kernel().unsuitable(
        heads, config.hidden_size // heads, config.block_size, config.max_position_embeddings, jnp.dtype(dtype).itemsize
    )
