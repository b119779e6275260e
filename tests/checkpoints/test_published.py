"""Published checkpoints give here what their own code computes from them."""

import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird.checkpoints.initialize import initialize_from
from bigbird.checkpoints.native import named_weights
from bigbird.checkpoints.reading import read_checkpoint
from bigbird.config import AdamWConfig, OptimizerConfig, load_experiment
from bigbird.models import build_model
from bigbird.optimization import AdamW, build_schedule, clip_by_global_norm

OURS = Path(__file__).parent / "recordings"
RECORDINGS = Path(os.environ.get("BIGBIRD_RECORDINGS", OURS))  # others: see record_model_garden.py
SIZES = {
    "vocab_size": 512, "hidden_size": 32, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "dropout_rate": 0.0, "attention_dropout_rate": 0.0,
}  # fmt: skip


def model(seed=0, kind="bigbird/glue", pooler=True, classes=2, head="model_garden", **encoder):
    keras.utils.set_random_seed(seed)
    tree = {"encoder": {"bigbird": SIZES | encoder}, "head": head}
    if kind == "bigbird/glue":
        tree |= {"num_classes": classes, "use_encoder_pooler": pooler}
    return build_model(load_experiment(kind, overrides=[{"task": {"model": tree}}]).task)


@pytest.mark.parametrize("length", [768, 1024, 2048])
def test_google_research_computed_the_same(length):
    """The second row is padded in its last fifth; at 768 the authors' new random plan, else their old one."""
    ours = model(random_pattern="google_research", full_attention_max_length=704)
    notes = initialize_from(str(OURS / "google_research" / "model.ckpt-0"), ours)
    assert notes == [
        "encoder/embeddings/type/embeddings: rows 2 to 15 not in the checkpoint, start fresh",
        "logits/kernel: not in the checkpoint, starts fresh",
        "logits/bias: not in the checkpoint, starts fresh",
    ]
    recorded = np.load(OURS / "google_research" / f"outputs_{length}.npz")
    ids = recorded["input_ids"]
    found = ours.encoder(
        {"input_word_ids": ids, "input_mask": (ids > 0).astype("int32"), "input_type_ids": recorded["token_type_ids"]}
    )
    real = (ids > 0)[:, ::16]
    assert 0.75 < real[1].mean() < 0.85 and real[0].all()
    np.testing.assert_allclose(
        np.asarray(found["sequence_output"])[:, ::16][real],
        recorded["sequence_output_every_16th"][real],
        rtol=0,
        atol=5e-5,
    )
    np.testing.assert_allclose(found["pooled_output"], recorded["pooled_output"], rtol=0, atol=5e-5)


def recorded(kind):
    """What tests/checkpoints/record_{kind}.py wrote: its folder, the encoder's sizes, the lengths it ran at."""
    folder = RECORDINGS / kind
    lengths = sorted(int(file.stem.removeprefix("outputs_")) for file in folder.glob("outputs_*.npz"))
    assert lengths
    return folder, json.loads((folder / "sizes.json").read_text()), lengths


def loss_and_gradients(ours, inputs):
    """The recorders' loss; gradients by our names."""
    with tf.GradientTape() as tape:
        outputs = ours.encoder(inputs)
        mask = tf.cast(inputs["input_mask"], tf.float32)[:, :, None]
        loss = tf.reduce_mean(tf.sin(outputs["sequence_output"]) * mask)
        loss += tf.reduce_mean(tf.sin(outputs["pooled_output"]))
    weights = {n: v for n, v in named_weights(ours).items() if n.startswith("encoder/")}
    found = tape.gradient(loss, [v.value for v in weights.values()], unconnected_gradients="zero")
    return outputs, {name: tf.convert_to_tensor(g).numpy() for name, g in zip(weights, found, strict=True)}


@pytest.mark.parametrize("kind", ["model_garden", "hugging_face"])
def test_outputs_and_gradients_are_those_recorded_from_other_implementations(kind):
    folder, sizes, lengths = recorded(kind)
    for length in lengths:
        arrays = dict(np.load(folder / f"outputs_{length}.npz"))
        inputs = {name: arrays[name] for name in ("input_word_ids", "input_mask", "input_type_ids")}
        ours = model(**sizes)
        initialize_from(str(folder / "bare"), ours)
        outputs, gradients = loss_and_gradients(ours, inputs)
        real = inputs["input_mask"].astype(bool)
        assert not real.all()
        gap = np.abs(np.asarray(outputs["sequence_output"]) - arrays["sequence_output"])[real].max()
        print(f"{kind} {length}: sequence output {gap:.1e} apart", end="")
        assert gap <= 5e-5
        gap = np.abs(np.asarray(outputs["pooled_output"]) - arrays["pooled_output"]).max()
        print(f", pooled {gap:.1e}", end="")
        assert gap <= 5e-5
        expected = read_checkpoint(str(folder / f"gradients_{length}"), sizes["num_attention_heads"]).weights
        assert expected.keys() == gradients.keys()
        total = np.sqrt(sum(np.square(value).sum() for value in expected.values()))
        worst = 0.0
        for name, value in expected.items():
            norm = np.linalg.norm(value)
            # A key's bias moves every score of a row alike: its gradient is rounding, held against the whole norm.
            gap = np.linalg.norm(gradients[name] - value) / (total if name.endswith("key/bias") else norm)
            worst = max(worst, gap)
            assert gap <= 1e-4, name
        print(f", gradients {worst:.1e} of their norm")


def test_one_adamw_step_gives_the_model_gardens_weights():
    folder, sizes, lengths = recorded("model_garden")
    arrays = dict(np.load(folder / f"outputs_{lengths[0]}.npz"))
    ours = model(**sizes)
    initialize_from(str(folder / "bare"), ours)
    inputs = {name: arrays[name] for name in ("input_word_ids", "input_mask", "input_type_ids")}
    _, gradients = loss_and_gradients(ours, inputs)
    encoder = {name: variable for name, variable in named_weights(ours).items() if name in gradients}
    before = {name: variable.numpy() for name, variable in encoder.items()}
    schedule = OptimizerConfig.model_validate(
        {
            "learning_rate": {"polynomial": {"initial_learning_rate": 8e-5, "decay_steps": 3699}},
            "warmup": {"polynomial": {"warmup_steps": 0}},
        }
    )
    optimizer = AdamW(build_schedule(schedule, 3699), AdamWConfig())
    optimizer.build(list(encoder.values()))
    clipped, norm = clip_by_global_norm([tf.constant(gradients[name]) for name in encoder], 1.0)
    optimizer.apply(clipped)
    expected = read_checkpoint(str(folder / "after_step"), sizes["num_attention_heads"]).weights
    gaps = {name: np.abs(variable.numpy() - expected[name]).max() for name, variable in encoder.items()}
    moved = max(np.abs(expected[name] - before[name]).max() for name in encoder)
    print(f"gradient norm {float(norm):.3g}; weights moved {moved:.1e}, at most {max(gaps.values()):.1e} apart")
    assert moved > 5e-5
    assert max(gaps.values()) <= 1e-6, max(gaps, key=gaps.get)


@pytest.mark.parametrize("kind", ["model_garden", "hugging_face"])
@pytest.mark.parametrize("task", ["classifier", "span"])
def test_an_already_fine_tuned_model_of_theirs_answers_the_same_here(kind, task):
    folder, sizes, _ = recorded(kind)
    arrays = dict(np.load(folder / "answers.npz"))
    options = {"kind": "bigbird/glue" if task == "classifier" else "bigbird/squad", "head": kind}
    ours = model(pooler=False, classes=3, **options, **sizes)
    notes = initialize_from(str(folder / task), ours)
    assert [note for note in notes if "starts fresh" in note or "head" in note] == []
    found = ours({name: arrays[name] for name in ("input_word_ids", "input_mask", "input_type_ids")})
    real = arrays["input_mask"].astype(bool)
    for name, value in found.items():
        expected, value = arrays[f"{task}/{name}"], np.asarray(value)
        if task == "span":
            expected, value = expected[real], value[real]
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=5e-5, err_msg=name)
