"""What the tests of the kernels share: inputs, a NumPy reference in float64, both passes of a kernel, and programs of their own.

Keras runs on TensorFlow in the tests' process; the kernels are JAX's alone. What needs Keras on JAX is a process of its own.
"""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

from bigbird.layers.attention.dense import MASKED
from bigbird.layers.attention.pattern import BlockPattern, block_counts

jax.config.update("jax_platforms", "cpu")  # the wheel with the TPU's compiler would look for a TPU

ROOT = Path(__file__).parents[3]
BASE = BlockPattern(num_heads=2)
ONE_HEAD = BlockPattern(num_heads=1)
TWO_GROUPS = BlockPattern(num_heads=4)
SMALL_BLOCKS = BlockPattern(num_heads=3, block_size=32, num_rand_blocks=2, build_length=2048)
TINY = BlockPattern(num_heads=2, block_size=16, num_rand_blocks=1, build_length=512)
LAYER = 3


def inputs(length, heads, size=16, batch=2, scale=1.0):
    """Query, key, value, upstream gradient; a full row and rows padded ever earlier."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(batch, length, heads, size)).astype(np.float32) * np.float32(scale) for _ in range(4)]
    mask = np.ones((batch, length), np.int32)
    for row in range(1, batch):
        mask[row, int(length * (0.9 - 0.35 * (row - 1))) + 3 :] = 0
    return *arrays, mask


def reference(query, key, value, upstream, mask, pattern, counts=None):
    """Context and gradients from the whole score matrix; a key counted twice has its weight doubled."""
    length, width = query.shape[1], pattern.block_size
    if counts is None:
        counts = block_counts(pattern, length + -length % width, LAYER)
    counts = np.repeat(np.repeat(counts, width, axis=1), width, axis=2)[:, :length, :length]
    q, k, v, d = (np.asarray(x, np.float64).transpose(0, 2, 1, 3) for x in (query, key, value, upstream))
    tokens = np.asarray(mask, np.float64)
    scale = 1 / np.sqrt(q.shape[-1])
    with np.errstate(divide="ignore"):
        scores = scale * q @ k.swapaxes(2, 3) + np.log(counts) + (1 - tokens[:, None, None, :]) * MASKED
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    d = d * tokens[:, None, :, None]
    d_weights = d @ v.swapaxes(2, 3)
    d_scores = weights * (d_weights - (d_weights * weights).sum(axis=-1, keepdims=True))
    found = (
        weights @ v * tokens[:, None, :, None],
        scale * d_scores @ k,
        scale * d_scores.swapaxes(2, 3) @ q,
        weights.swapaxes(2, 3) @ d,
    )
    return [x.transpose(0, 2, 1, 3) for x in found]


def values_and_gradients(kernel, query, key, value, upstream, mask, pattern):
    """Context and gradients, of the inputs' type."""
    return [np.asarray(x) for x in _both_passes(kernel, pattern, _tuned(kernel))(query, key, value, upstream, mask)]


def _tuned(kernel):
    """A kernel's settings, which tests change."""
    return tuple(getattr(kernel, name, None) for name in ("_TOGETHER", "_LONGEST"))


@functools.cache
def _both_passes(kernel, pattern, tuned):
    def run(query, key, value, upstream, mask):
        context, gradient = jax.vjp(
            lambda *x: kernel.block_sparse_attention(*x, mask, pattern=pattern, layer=LAYER), query, key, value
        )
        return context, *gradient(upstream)

    return jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})  # compiling takes longer than running


def compare(kernel, pattern, length, size=16, **changes):
    """At most 1e-5 apart, relative to the largest entry where that is more than 1."""
    given = inputs(length, pattern.num_heads, size, **changes)
    found, expected = values_and_gradients(kernel, *given, pattern), reference(*given, pattern)
    for name, one, other in zip(("context", "query", "key", "value"), found, expected, strict=True):
        largest = np.abs(other).max()
        assert largest > 0.05
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * max(1, largest), err_msg=name)


def run_process(code, environment, *arguments):
    paths = os.pathsep.join((str(ROOT / "model"), str(ROOT)))
    environment = {**os.environ, **environment, "PYTHONPATH": paths, "KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
