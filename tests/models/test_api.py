"""The Python API: public names, files and configurations of Keras, training with `fit`, presets."""

import ast
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import bigbird
from bigbird import BigBirdClassifier, BigBirdEncoder, BigBirdEncoderConfig, BigBirdMaskedLM, BigBirdSpanModel
from bigbird.checkpoints.convert import convert
from bigbird.checkpoints.names import TARGETS
from bigbird.checkpoints.native import named_weights, save_best
from bigbird.config import load_experiment
from bigbird.layers.token_dense import TokenDense
from bigbird.models import build_model
from bigbird.models.encoder import Attention, Embeddings, EncoderLayer
from bigbird.support.artifacts import write_manifest

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "tests" / "checkpoints" / "recordings"
SIZES = {
    "vocab_size": 60, "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 128, "block_size": 16, "num_rand_blocks": 1, "initializer_range": 0.2,
}  # fmt: skip
CONFIG = BigBirdEncoderConfig(**SIZES)
LENGTH = 128  # sparse: full attention ends at 112


def inputs(batch=4, length=LENGTH, *, second=4):
    """A batch whose second token is `second`."""
    rng = np.random.default_rng(0)
    ids = rng.integers(5, 60, (batch, length)).astype(np.int32)
    ids[:, 1] = second
    return {
        "input_word_ids": ids,
        "input_mask": np.ones_like(ids),
        "input_type_ids": (ids % 2).astype(np.int32),
        "masked_lm_positions": np.tile(np.array([1, 9, 100], np.int32), (batch, 1)),
    }


# ------------------------------------------------------------------------------------------------- public names


def test_every_public_name_is_there_and_listed():
    assert set(bigbird.__all__) <= set(dir(bigbird))
    assert sorted(bigbird.__all__) == bigbird.__all__
    for name in bigbird.__all__:
        assert getattr(bigbird, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'bigbird' has no attribute 'BigBurdEncoder'"):
        _ = bigbird.BigBurdEncoder


def test_type_checkers_know_the_public_names():
    tree = ast.parse((ROOT / "model" / "bigbird" / "__init__.py").read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: statement.module for statement in block.body for alias in statement.names}
    assert seen == bigbird._PLACES and sorted(seen) == bigbird.__all__


# ---------------------------------------------------------------------------------------- configurations and files

MODELS = {
    "classifier": lambda: BigBirdClassifier(CONFIG, 3),
    "encoders pooler": lambda: BigBirdClassifier(CONFIG, 3, use_encoder_pooler=True, name="mine"),
    "hugging face": lambda: BigBirdClassifier(
        CONFIG, 2, head="hugging_face", pooling="mean", first_bias=[0.5, -0.25], dtype="mixed_bfloat16"
    ),
    "number": lambda: BigBirdClassifier(CONFIG, 1),
    "span": lambda: BigBirdSpanModel(CONFIG),
    "triviaqa": lambda: BigBirdSpanModel(CONFIG, head="triviaqa"),
    "masked lm": lambda: BigBirdMaskedLM(CONFIG),
}


def assert_same_answers(first, second):
    """The second model, given the first one's weights, answers the same to the bit."""
    if not second.built:
        second.build()
    assert named_weights(first).keys() == named_weights(second).keys()
    for one, other in zip(first.weights, second.weights, strict=True):
        assert (one.shape, one.dtype, one.trainable) == (other.shape, other.dtype, other.trainable)
    second.set_weights(first.get_weights())
    expected = first(inputs())
    for name, value in second(inputs()).items():
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(value), keras.ops.convert_to_numpy(expected[name]))


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_goes_through_its_configuration(kind):
    model = MODELS[kind]()
    model.build()
    config = json.loads(json.dumps(model.get_config()))  # what a file holds
    again = type(model).from_config(config)
    assert again.get_config() == model.get_config() and again.name == model.name
    assert again.config == CONFIG and again.dtype_policy.name == model.dtype_policy.name
    assert_same_answers(model, again)
    assert_same_answers(model, keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model)))


@pytest.mark.parametrize("kind", ["hugging face", "triviaqa", "masked lm"])
def test_a_model_goes_through_a_keras_file(kind, tmp_path):
    model = MODELS[kind]()
    expected = model(inputs())
    model.save(tmp_path / "model.keras")
    found = keras.saving.load_model(tmp_path / "model.keras")
    assert type(found) is type(model)
    for name, value in found(inputs()).items():
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(value), keras.ops.convert_to_numpy(expected[name]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"use_encoder_pooler": True, "pooling": "mean"}, "use_encoder_pooler goes with pooling: cls"),
        ({"use_encoder_pooler": True, "head": "hugging_face"}, "use_encoder_pooler goes with head: model_garden"),
        ({"head": "huggingface"}, "head is 'huggingface'; expected one of model_garden, hugging_face$"),
        ({"pooling": "max"}, "pooling is 'max'; expected one of cls, mean$"),
    ],
)
def test_arguments_that_the_classifier_would_pass_over_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        BigBirdClassifier(CONFIG, 3, **arguments)
    with pytest.raises(ValueError, match=r"^task\.model"):  # the configuration too
        load_experiment("bigbird/classification", overrides=[{"task": {"model": arguments}}])


def test_a_span_models_head_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="head is 'trivia'; expected one of model_garden, hugging_face, triviaqa"):
        BigBirdSpanModel(CONFIG, head="trivia")


def test_the_first_bias_is_in_the_configuration():
    model = MODELS["hugging face"]()
    again = type(model).from_config(model.get_config())
    again.build()
    np.testing.assert_array_equal(again.logits.bias, np.array([0.5, -0.25], np.float32))


def _embed(layer):
    return layer(inputs()["input_word_ids"], inputs()["input_type_ids"])


def _on_vectors(layer):
    x = np.random.default_rng(1).normal(size=(2, LENGTH, 16)).astype(np.float32)
    return layer(x) if isinstance(layer, TokenDense) else layer(x, np.ones((2, LENGTH), np.int32))


LAYERS = {
    "encoder": (lambda: BigBirdEncoder(CONFIG, with_pooler=True), lambda layer: layer(inputs())["pooled_output"]),
    "embeddings": (lambda: Embeddings(CONFIG), _embed),
    "attention": (lambda: Attention(CONFIG, 3), _on_vectors),
    "encoder layer": (lambda: EncoderLayer(CONFIG, 3), _on_vectors),
    "dense": (lambda: TokenDense(5, activation="tanh"), _on_vectors),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_goes_through_its_configuration(kind):
    make, call = LAYERS[kind]
    layer = make()
    expected = call(layer)
    again = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(keras.saving.serialize_keras_object(layer))), safe_mode=True
    )
    assert type(again) is type(layer) and again.get_config() == layer.get_config()
    call(again)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(call(again), expected)


def test_a_configuration_is_given_by_its_values_too():
    assert BigBirdEncoder(SIZES).config == CONFIG == BigBirdEncoder(CONFIG).config


def test_a_models_arithmetic_is_keras_default_unless_it_is_given():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        default, given = BigBirdSpanModel(CONFIG), BigBirdSpanModel(CONFIG, dtype="float32")
    finally:
        keras.config.set_dtype_policy("float32")
    assert (default.encoder.compute_dtype, given.encoder.compute_dtype) == ("bfloat16", "float32")


_IN_A_NEW_PROCESS = """
import sys
import keras, numpy as np
import bigbird.models
model = keras.saving.load_model(sys.argv[1])
given = np.load(sys.argv[2])
np.testing.assert_allclose(model(dict(given)), np.load(sys.argv[3]), rtol=0, atol=1e-6)
"""


@pytest.mark.slow
def test_a_model_of_ones_own_on_the_encoder_goes_through_a_keras_file_to_another_process(tmp_path):
    names = ("input_word_ids", "input_mask", "input_type_ids")
    given = {name: keras.Input((LENGTH,), dtype="int32", name=name) for name in names}
    pooled = BigBirdEncoder(CONFIG, with_pooler=True)(given)["pooled_output"]
    model = keras.Model(given, keras.layers.Dense(2)(pooled))
    batch = {name: value for name, value in inputs().items() if name in names}
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "inputs.npz", **batch)
    np.save(tmp_path / "outputs.npy", model(batch))
    subprocess.run(
        [
            sys.executable,
            "-c",
            _IN_A_NEW_PROCESS,
            *(str(tmp_path / name) for name in ("model.keras", "inputs.npz", "outputs.npy")),
        ],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "model")},
    )


# ----------------------------------------------------------------------------------------------- dropout and seeds


def test_training_needs_no_seed_and_draws_a_new_one_for_each_call():
    model = MODELS["classifier"]()
    batch = inputs()

    def logits(**how):
        return model(batch, **how)["logits"].numpy()

    plain, first, second = logits(), logits(training=True), logits(training=True)
    assert np.abs(first - second).max() > 1e-3 and np.abs(first - plain).max() > 1e-3
    np.testing.assert_array_equal(logits(training=False), plain)
    state = model.encoder.seed_generator.state.numpy()
    given = logits(training=True, seed=tf.constant([1, 2]))
    np.testing.assert_array_equal(given, logits(training=True, seed=tf.constant([1, 2])))
    np.testing.assert_array_equal(model.encoder.seed_generator.state, state)  # a given seed leaves its own alone


@pytest.mark.parametrize("kind", ["span", "masked lm"])
def test_the_other_models_need_no_seed_either(kind):
    model, batch = MODELS[kind](), inputs()
    first, second = (next(iter(model(batch, training=True).values())).numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-3


def test_an_encoder_by_itself_drops_out_where_keras_says_so():
    encoder, batch = BigBirdEncoder(CONFIG), inputs()
    plain, first, second = (
        encoder(batch, training=training)["sequence_output"].numpy() for training in (False, True, True)
    )
    np.testing.assert_array_equal(encoder(batch)["sequence_output"], plain)
    assert np.abs(first - second).max() > 0.1 and np.abs(first - plain).max() > 0.1


def test_weights_and_dropout_repeat_with_keras_random_seed_and_dropout_changes_no_weight():
    def made(**changes):
        keras.utils.set_random_seed(7)
        model = BigBirdClassifier(BigBirdEncoderConfig(**{**SIZES, **changes}), 3)
        return model(inputs(), training=True)["logits"].numpy(), model.get_weights()

    (first, weights), (second, _) = made(), made()
    np.testing.assert_array_equal(first, second)
    _, without = made(dropout_rate=0.0, attention_dropout_rate=0.0)  # which makes no seeds
    for one, other in zip(weights, without, strict=True):
        np.testing.assert_array_equal(one, other)


def test_seeds_are_no_weights():
    model = MODELS["classifier"]()
    model.build()
    assert model.non_trainable_weights == [] and len(model.non_trainable_variables) == 1
    assert not [name for name in named_weights(model) if "seed" in name]
    assert (
        BigBirdEncoder(
            BigBirdEncoderConfig(**{**SIZES, "dropout_rate": 0.0, "attention_dropout_rate": 0.0})
        ).seed_generator
        is None
    )


# ------------------------------------------------------------------------------------------------- compile and fit

_FIT = """
import json, sys
import keras, numpy as np
from bigbird import BigBirdClassifier, BigBirdEncoder
folder, sizes = sys.argv[1], json.loads(sys.argv[2])
keras.utils.set_random_seed(3)
rng = np.random.default_rng(0)
labels = np.arange(24) % 2
ids = rng.integers(5, 60, (24, 64)).astype("int32")
ids[:, 1] = np.where(labels, 3, 4)
batch = {"input_word_ids": ids, "input_mask": np.ones_like(ids), "input_type_ids": 0 * ids}
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
found = {}

def check(name, model, targets, seeds):
    model.compile(keras.optimizers.Adam(1e-2), loss=loss, jit_compile="auto" if keras.backend.backend() == "jax" else False)
    before = model.evaluate(batch, targets, batch_size=8, verbose=0)
    history = model.fit(batch, targets, batch_size=8, epochs=12, verbose=0).history["loss"]
    after = model.evaluate(batch, targets, batch_size=8, verbose=0)
    first, second = (keras.tree.flatten(model.predict(batch, batch_size=8, verbose=0)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)  # nothing is dropped in predict
    found[name] = [before, after, history[-1], int(np.asarray(seeds.state.value)[1])]

classifier = BigBirdClassifier(sizes, 2)
check("classifier", classifier, {"logits": labels}, classifier.encoder.seed_generator)
given = {name: keras.Input((64,), dtype="int32", name=name) for name in batch}
encoder = BigBirdEncoder(sizes, with_pooler=True)
own = keras.Model(given, keras.layers.Dense(2)(encoder(given)["pooled_output"]))
check("own", own, labels, encoder.seed_generator)
print(json.dumps({"backend": keras.backend.backend(), **found}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_fit_learns_with_dropout_and_no_seed(backend, tmp_path):
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT / "model")}
    sizes = json.dumps({**SIZES, "dropout_rate": 0.1, "attention_dropout_rate": 0.1})
    done = subprocess.run(
        [sys.executable, "-c", _FIT, str(tmp_path), sizes], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("backend") == backend
    for before, after, last, drawn in found.values():
        assert before > 0.6 and after < 0.3 * before
        assert abs(last - after) > 1e-4  # in training something is dropped
        assert drawn == 36  # one seed for each of 12 epochs of 3 batches


# --------------------------------------------------------------------------------------------------------- presets

_SOURCES = {
    "google_research": "google_research/model.ckpt-0",
    "model_garden": "model_garden/bare",
    "hugging_face": "hugging_face/bare",
}


@pytest.mark.parametrize("kind", _SOURCES)
def test_an_encoder_starts_from_every_kind_of_checkpoint(kind, tmp_path):
    from bigbird.checkpoints.reading import read_checkpoint

    source = str(RECORDINGS / _SOURCES[kind])
    stored = read_checkpoint(source, 2).weights
    heads = {"num_attention_heads": 2} if kind == "google_research" else {}  # which the others tell
    encoder = BigBirdEncoder.from_preset(source, with_pooler=True, **heads)
    assert encoder.config.num_attention_heads == 2
    rule = "model_garden" if kind == "model_garden" else "google_research"
    assert encoder.config.random_pattern == rule
    for name, variable in named_weights(encoder).items():
        np.testing.assert_array_equal(variable, stored[f"encoder/{name}"])
    for target in TARGETS:
        done = convert(source, str(tmp_path / target), target, num_heads=2)
        again = BigBirdEncoder.from_preset(done.checkpoint, with_pooler=True, dropout_rate=0.25)
        assert again.config.dropout_rate == 0.25 and again.config.num_attention_heads == 2
        for one, other in zip(again.weights, encoder.weights, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["model_garden", "hugging_face"])
@pytest.mark.parametrize(("task", "of"), [("classifier", BigBirdClassifier), ("span", BigBirdSpanModel)])
def test_a_fine_tuned_checkpoint_brings_its_head(kind, task, of, caplog):
    """What the originals answered, whose head, classes and pattern nobody says here."""
    caplog.set_level(logging.INFO, "bigbird.checkpoints.presets")
    sizes = json.loads((RECORDINGS / kind / "sizes.json").read_text())
    changes = {name: sizes[name] for name in ("block_size", "num_rand_blocks") if kind == "model_garden"}
    model = of.from_preset(RECORDINGS / kind / task, **changes)
    assert model.head == kind
    assert not [message for message in caplog.messages if "starts fresh" in message]
    answers = dict(np.load(RECORDINGS / kind / "answers.npz"))
    found = model({name: answers[name] for name in ("input_word_ids", "input_mask", "input_type_ids")})
    real = answers["input_mask"].astype(bool)
    for name, value in found.items():
        rows = real if task == "span" else slice(None)
        np.testing.assert_allclose(np.asarray(value)[rows], answers[f"{task}/{name}"][rows], rtol=1e-6, atol=5e-5)


@pytest.mark.parametrize("given", [{"head": "hugging_face"}, {"pooling": "mean"}])
def test_a_converted_model_of_ours_brings_its_head(given, tmp_path, caplog):
    """Hugging Face's or one on the mean of all tokens; asked for another, it starts fresh and says so."""
    caplog.set_level(logging.INFO, "bigbird.checkpoints.presets")
    task = {"model": {"encoder": {"bigbird": SIZES}, "num_classes": 3, **given}}
    data = {name: {"seq_length": 128} for name in ("train_data", "validation_data")}
    experiment = load_experiment("bigbird/glue", overrides=[{"task": task | data}])
    model = build_model(experiment.task)
    (tmp_path / "run").mkdir()
    save_best(tmp_path / "run" / "best", model, {"step": 1})
    (tmp_path / "run" / "config.yaml").write_text(experiment.to_yaml())
    write_manifest(tmp_path / "run", "model", {"task": "sst2", "best": "best", "num_classes": 3, "dataset": None})
    ours = convert(str(tmp_path / "run"), str(tmp_path / "ours"), "bigbird").checkpoint
    again = convert(str(ours), str(tmp_path / "again"), "bigbird").checkpoint
    for path in (ours, again):
        found = BigBirdClassifier.from_preset(path)
        assert {name: getattr(found, name) for name in given} == given
        np.testing.assert_array_equal(found(inputs())["logits"], model(inputs())["logits"])
    assert not [message for message in caplog.messages if "starts fresh" in message]
    (name,) = given
    for path in (tmp_path / "run", ours):
        caplog.clear()
        other = {"head": "model_garden", "pooling": "cls"}
        BigBirdClassifier.from_preset(path, **other)
        assert any(f"left out, as task.model.{name} is {other[name]}" in message for message in caplog.messages)
        assert any("logits/kernel: not in the checkpoint, starts fresh" in message for message in caplog.messages)


def test_a_classifier_on_a_bare_checkpoint_wants_its_number_of_classes(caplog):
    with pytest.raises(bigbird.InputError, match="expected num_classes to be given"):
        BigBirdClassifier.from_preset(RECORDINGS / "hugging_face" / "bare")
    caplog.set_level(logging.INFO, "bigbird.checkpoints.presets")
    model = BigBirdClassifier.from_preset(RECORDINGS / "hugging_face" / "bare", num_classes=5)
    assert model(inputs(length=64))["logits"].shape == (4, 5)
    assert any(message.endswith("logits/kernel: not in the checkpoint, starts fresh") for message in caplog.messages)


def test_settings_that_are_not_the_checkpoints_are_refused():
    with pytest.raises(bigbird.InputError, match="vocab_size is 7, the weights have 70"):
        BigBirdEncoder.from_preset(RECORDINGS / "hugging_face" / "bare", vocab_size=7)
    with pytest.raises(ValueError, match="with_puler"):
        BigBirdEncoder.from_preset(RECORDINGS / "hugging_face" / "bare", with_puler=True)
    with pytest.raises(bigbird.InputError, match="no checkpoint there"):
        BigBirdEncoder.from_preset("nowhere")


def test_no_vocabulary_lies_beside_a_published_checkpoint():
    with pytest.raises(bigbird.InputError, match="has no vocabulary beside its weights"):
        bigbird.load_vocabulary(RECORDINGS / "hugging_face" / "bare")


def test_models_of_the_stages_are_these_models():
    """`build_model` gives what a user builds, weights included."""
    data = {"seq_length": LENGTH}
    tree = {"model": {"encoder": {"bigbird": SIZES}, "num_classes": 3}, "train_data": data, "validation_data": data}
    task = load_experiment("bigbird/glue", overrides=[{"task": tree}]).task
    keras.utils.set_random_seed(2)
    theirs = build_model(task)
    keras.utils.set_random_seed(2)
    ours = BigBirdClassifier(CONFIG, 3)
    ours.build()
    for one, other in zip(theirs.weights, ours.weights, strict=True):
        np.testing.assert_array_equal(one, other)
