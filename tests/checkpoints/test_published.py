"""Published checkpoints give here what their own code computes from them."""

from pathlib import Path

import keras
import numpy as np
import pytest

from bigbird.checkpoints.initialize import initialize_from
from bigbird.config import load_experiment
from bigbird.heads import build_model

RECORDINGS = Path(__file__).parent / "recordings"
SIZES = {
    "vocab_size": 512, "hidden_size": 32, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "dropout_rate": 0.0, "attention_dropout_rate": 0.0,
}  # fmt: skip


def model(seed=0, kind="bigbird/glue", pooler=True, **encoder):
    keras.utils.set_random_seed(seed)
    tree = {"encoder": {"bigbird": SIZES | encoder}}
    if kind == "bigbird/glue":
        tree |= {"num_classes": 2, "use_encoder_pooler": pooler}
    return build_model(load_experiment(kind, overrides=[{"task": {"model": tree}}]).task)


@pytest.mark.parametrize("length", [768, 1024, 2048])
def test_google_research_computed_the_same(length):
    """The second row is padded in its last fifth; at 768 the authors' new random plan, else their old one."""
    ours = model(random_pattern="google_research", full_attention_max_length=704)
    notes = initialize_from(str(RECORDINGS / "google_research" / "model.ckpt-0"), ours)
    assert notes == [
        "encoder/embeddings/type/embeddings: rows 2 to 15 not in the checkpoint, start fresh",
        "logits/kernel: not in the checkpoint, starts fresh",
        "logits/bias: not in the checkpoint, starts fresh",
    ]
    recorded = np.load(RECORDINGS / "google_research" / f"outputs_{length}.npz")
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
