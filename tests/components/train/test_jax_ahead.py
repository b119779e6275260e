"""Programs that are compiled before they are needed: which are taken, which are not waited for, and that results are the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bigbird_components.train.jax_ahead import is_known_at_other_lengths

ROOT = Path(__file__).parents[3]

_AHEAD = """
import json, threading, time
import jax, jax.numpy as jnp, numpy as np
from bigbird_components.train.jax_ahead import Ahead, in_background, resized

traced = []

def total(values, batch, factor):
    traced.append([batch["input_word_ids"].shape[1], threading.current_thread().name])
    return {"values": values + jnp.sum(batch["input_word_ids"]) * factor, "rows": batch["labels"] * 1}

ahead = Ahead(jax.jit(total, donate_argnums=0))
batch = {"input_word_ids": jnp.ones((4, 8), "int32"), "labels": jnp.arange(4, dtype="int32")}
shapes = {length: {name: jax.ShapeDtypeStruct(*each) for name, each in one.items()}
          for length, one in zip((16, 32, 64), resized(batch, (16, 32, 64), lambda length: 128 // length), strict=True)}
value = jax.ShapeDtypeStruct((), "int32")
jobs = {length: ahead.expect(value, one, np.int32(3)) for length, one in shapes.items()}

def call(length, rows):
    words = jnp.ones((rows, length), "int32")
    result = ahead(jnp.int32(1), {"input_word_ids": words, "labels": jnp.arange(rows, dtype="int32")}, np.int32(3))
    return int(result["values"])

found = {"first": int(ahead(jnp.int32(1), batch, np.int32(3))["values"])}
found["needed before"] = call(32, 4)  # nobody has begun: not waited for
in_background(list(jobs.values()))
found["made"] = [call(16, 8), call(64, 2), call(16, 8)]
found["other rows"] = call(16, 2)
failing = ahead.expect(value, {"labels": jax.ShapeDtypeStruct((4,), "int32")}, np.int32(3))
in_background([failing])
try:
    ahead(jnp.int32(1), {"labels": jnp.arange(4, dtype="int32")}, np.int32(3))
except KeyError as error:
    found["error"] = str(error)
print(json.dumps({"found": found, "traced": [[n, "ahead" in name] for n, name in traced], "shapes": {
    length: {name: list(each.shape) for name, each in one.items()} for length, one in shapes.items()}}))
"""


def test_programs_made_before_are_taken_and_those_not_begun_are_not_waited_for():
    done = subprocess.run(
        [sys.executable, "-c", _AHEAD],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}", "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["shapes"]["16"] == {"input_word_ids": [8, 16], "labels": [8]}
    assert told["shapes"]["64"] == {"input_word_ids": [2, 64], "labels": [2]}
    found = told["found"]
    assert (found["first"], found["needed before"], found["other rows"]) == (1 + 3 * 32, 1 + 3 * 128, 1 + 3 * 32)
    assert found["made"] == [1 + 3 * 128] * 3
    assert found["error"] == "'input_word_ids'"
    in_background = [length for length, background in told["traced"] if background]
    here = [length for length, background in told["traced"] if not background]
    assert in_background == [16, 64]  # once each, and 32 was done where it was needed
    assert here == [8, 32, 16]


@pytest.mark.parametrize(
    ("further", "classes", "known"),
    [
        ({}, None, True),
        ({"label_ids": (4,)}, 3, True),
        ({"label_ids": (4, 3)}, 3, True),  # of several labels
        ({"answer_starts": (4, 16)}, None, True),
        ({"masked_lm_positions": (4, 3)}, None, False),  # as many as the length asks for
    ],
)
def test_a_batch_with_an_axis_of_its_own_is_not_known_at_other_lengths(further, classes, known):
    shapes = {"input_word_ids": (4, 16), **further}
    batch = {name: np.zeros(shape, np.int32) for name, shape in shapes.items()}
    assert is_known_at_other_lengths(batch, classes) is known
