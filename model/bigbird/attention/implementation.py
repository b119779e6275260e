"""Which implementation of the sparse attention an encoder runs: `attention.implementation`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from bigbird.attention.block_sparse import block_sparse_attention
from bigbird.config import BigBirdEncoderConfig
from bigbird.errors import InputError


def sparse_attention(config: BigBirdEncoderConfig, dtype: str) -> Callable[..., Any]:
    """`block_sparse_attention`, or the Pallas kernel of the same contract.

    Args:
        config: the encoder's; `auto` takes the kernel where JAX has a TPU and the kernel suits the sizes.
        dtype: that attention is computed in, "float32" or "bfloat16".

    Raises:
        InputError: the kernel is asked for where it cannot be had.
    """
    wanted = config.attention.implementation
    on_jax = keras.backend.backend() == "jax"
    if wanted not in ("auto", "pallas") or (wanted == "auto" and not (on_jax and _has_tpu())):
        return block_sparse_attention
    problem = _unsuitable(config, dtype) if on_jax else f"Keras' backend is {keras.backend.backend()}"
    if not problem:
        from bigbird.attention import pallas_kernel

        return pallas_kernel.block_sparse_attention
    if wanted == "auto":
        return block_sparse_attention
    raise InputError(
        f"task.model.encoder.bigbird.attention.implementation: pallas cannot be had: {problem}; "
        + ("set it to auto or xla" if on_jax else "set it to auto or xla, or runtime.backend to jax")
    )


def _has_tpu() -> bool:
    import jax

    return jax.default_backend() == "tpu"


def _unsuitable(config: BigBirdEncoderConfig, dtype: str) -> str:
    """Why the kernel does not suit an encoder, "" where it does."""
    import jax.numpy as jnp

    from bigbird.attention import pallas_kernel

    heads = config.num_attention_heads
    return pallas_kernel.unsuitable(
        heads, config.hidden_size // heads, config.block_size, config.max_position_embeddings, jnp.dtype(dtype).itemsize
    )
