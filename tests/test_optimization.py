"""The schedule's values, AdamW's arithmetic and what weight decay leaves alone."""

import re

import keras
import numpy as np
import pytest

from bigbird.config import AdamWConfig, OptimizerConfig, load_experiment
from bigbird.models import build_model
from bigbird.optimization import AdamW, build_schedule, clip_by_global_norm, decays, depth, freeze, layer_shares
from bigbird.support.errors import InputError


def _schedule(train_steps=100, **changes):
    return build_schedule(OptimizerConfig.model_validate(changes), train_steps)


def test_the_warmup_climbs_to_where_the_decay_has_come_by_then():
    rates = {
        "learning_rate": {"polynomial": {"initial_learning_rate": 8e-5, "decay_steps": 3699}},
        "warmup": {"polynomial": {"warmup_steps": 370}},
    }
    schedule = _schedule(**rates)
    peak = 8e-5 * (1 - 370 / 3699)
    expected = {0: peak / 370, 1: peak / 370, 37: peak / 10, 369: peak * 369 / 370, 370: peak}
    expected |= {2000: 8e-5 * (1 - 2000 / 3699), 3698: 8e-5 / 3699, 3699: 0.0, 5000: 0.0}
    for step, rate in expected.items():
        assert float(schedule(step)) == pytest.approx(rate, rel=2e-4, abs=1e-12), step


def test_decay_and_warmup_have_their_powers_and_end():
    polynomial = {"initial_learning_rate": 1.0, "end_learning_rate": 0.2, "power": 2.0, "decay_steps": 10}
    schedule = _schedule(
        learning_rate={"polynomial": polynomial}, warmup={"polynomial": {"warmup_steps": 4, "power": 2.0}}
    )
    at_four = 0.8 * 0.6**2 + 0.2
    assert [float(schedule(step)) for step in (2, 4, 5, 10, 12)] == pytest.approx(
        [at_four * 0.25, at_four, 0.8 * 0.5**2 + 0.2, 0.2, 0.2], rel=1e-6
    )


def test_the_rate_of_a_plain_number_is_that_of_a_tensor():
    polynomial = {"initial_learning_rate": 3e-3, "end_learning_rate": 1e-5, "power": 1.5, "decay_steps": 700}
    for warmup in ({"type": None}, {"polynomial": {"warmup_steps": 60, "power": 2.0}}):
        schedule = _schedule(learning_rate={"polynomial": polynomial}, warmup=warmup)
        for step in (0, 1, 59, 60, 333, 700, 900):
            assert isinstance(schedule.at(step), float)
            assert schedule.at(step) == pytest.approx(float(schedule(step)), rel=2e-6), step


def test_by_default_the_decay_lasts_the_run_and_the_warmup_a_tenth_of_it():
    schedule = _schedule(train_steps=250)
    assert (schedule.decay_steps, schedule.warmup_steps) == (250, 25)


@pytest.mark.parametrize("steps", [300, 301, 10_000])
def test_a_warmup_that_does_not_end_before_the_decay_is_refused(steps):
    with pytest.raises(
        InputError,
        match=rf"warm-up lasts {steps:,} steps, but the decay has ended after 300, so .*warmup_steps, for example to 30,",
    ):
        _schedule(train_steps=300, warmup={"polynomial": {"warmup_steps": steps}})
    rates = {
        "learning_rate": {"polynomial": {"decay_steps": 20_000}},
        "warmup": {"polynomial": {"warmup_steps": steps}},
    }
    assert float(_schedule(train_steps=300, **rates)(200)) > 0  # a run that is shorter than its schedule
    constant = {"learning_rate": {"type": "constant", "constant": {"learning_rate": 0.5}}}
    assert float(_schedule(train_steps=300, warmup={"polynomial": {"warmup_steps": steps}}, **constant)(299)) > 0


def test_a_constant_rate_and_no_warmup():
    schedule = _schedule(learning_rate={"type": "constant", "constant": {"learning_rate": 0.5}}, warmup={"type": None})
    assert [float(schedule(step)) for step in (0, 50, 1000)] == [0.5] * 3


def test_linear_warmup_is_of_power_one_whatever_the_polynomials_power():
    constant = {"type": "constant", "constant": {"learning_rate": 1.0}}
    schedule = _schedule(learning_rate=constant, warmup={"type": "linear", "linear": {"warmup_steps": 4, "power": 3.0}})
    assert [float(schedule(step)) for step in range(5)] == [0.25, 0.25, 0.5, 0.75, 1.0]


def _constant(rate):
    return _schedule(learning_rate={"type": "constant", "constant": {"learning_rate": rate}}, warmup={"type": None})


def test_adamw_is_bias_corrected_adam_with_decoupled_decay():
    layer = keras.layers.Dense(3, name="dense")
    layer.build((None, 2))
    layer.bias.assign([1.0, 1.0, 1.0])
    weights = {v.name: v.numpy().astype(np.float64) for v in layer.trainable_variables}
    optimizer = AdamW(_constant(0.1), AdamWConfig())
    optimizer.build(layer.trainable_variables)
    moments = dict.fromkeys(weights, (0.0, 0.0))
    rng = np.random.default_rng(0)
    for step in range(1, 6):
        gradients = [rng.normal(size=v.shape).astype(np.float32) for v in layer.trainable_variables]
        optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients])
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            m, v = moments[name]
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient.astype(np.float64) ** 2
            moments[name] = m, v
            decay = 0.01 if name == "kernel" else 0.0
            scale = 0.1 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            weights[name] = weight - 0.1 * decay * weight - scale * m / (np.sqrt(v) + 1e-7)
    for variable in layer.trainable_variables:
        np.testing.assert_allclose(variable.numpy(), weights[variable.name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_every_bit_of_an_update_is_keras_own(compiled):
    import tensorflow as tf

    schedule = _schedule(learning_rate={"polynomial": {"initial_learning_rate": 0.01}})
    config = AdamWConfig(exclude_from_weight_decay=["bias"], epsilon=1e-6)
    start, rng = np.random.default_rng(0).normal(size=(2, 500)).astype("float32"), np.random.default_rng(1)
    gradients = rng.normal(size=(7, 2, 500)).astype("float32")
    found = []
    for optimizer in (
        AdamW(schedule, config),
        keras.optimizers.AdamW(schedule, weight_decay=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-6),
    ):
        variables = [keras.Variable(value, name=name) for value, name in zip(start, ("kernel", "bias"), strict=True)]
        if type(optimizer) is not AdamW:
            optimizer.exclude_from_weight_decay(var_list=variables[1:])
        optimizer.build(variables)
        update = tf.function(optimizer.apply) if compiled else optimizer.apply
        for step in gradients:
            update([tf.constant(each) for each in step])
        found.append([keras.ops.convert_to_numpy(variable) for variable in (*variables, *optimizer.variables)])
    assert len(found[0]) == len(found[1]) == 7  # two weights, four moments, the count of updates
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_updates_that_are_traced_at_a_time_know_nothing_of_each_other():
    from threading import Thread

    from bigbird import optimization

    seen = []

    class Watched(AdamW):
        def update_step(self, gradient, variable, learning_rate):
            assert optimization._common() is not None
            other = Thread(target=lambda: seen.append(optimization._common()))
            other.start()
            other.join()
            super().update_step(gradient, variable, learning_rate)

    variable = keras.Variable(np.ones(3, "float32"))
    optimizer = Watched(_schedule(), AdamWConfig())
    optimizer.build([variable])
    optimizer.apply([keras.ops.ones(3)])
    assert seen == [None] and optimization._common() is None


def test_decay_leaves_layer_norms_and_biases_of_the_model_alone():
    encoder = {"hidden_size": 8, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 20}
    tree = {"task": {"model": {"num_classes": 2, "encoder": {"bigbird": encoder}}}}
    model = build_model(load_experiment("bigbird/glue", overrides=[tree]).task)
    optimizer = AdamW(_constant(0.5), AdamWConfig(weight_decay_rate=0.5))
    optimizer.build(model.trainable_variables)
    for variable in model.trainable_variables:
        variable.assign(keras.ops.ones(variable.shape))
    optimizer.apply([keras.ops.zeros(variable.shape) for variable in model.trainable_variables])
    kept = {v.path.partition("/")[2] for v in model.trainable_variables if np.all(v.numpy() == 1.0)}
    decayed = {v.path.partition("/")[2] for v in model.trainable_variables if np.all(v.numpy() == 0.75)}
    assert kept | decayed == {v.path.partition("/")[2] for v in model.trainable_variables}
    layer = {f"{part}/kernel" for part in ("attention/query", "attention/key", "attention/value", "attention/output")}
    layer |= {"intermediate/kernel", "output/kernel"}
    assert decayed == {
        *(f"encoder/embeddings/{table}/embeddings" for table in ("word", "position", "type")),
        *(f"encoder/layer_{i}/{name}" for i in range(2) for name in layer),
        "pooler_dense/kernel",
        "logits/kernel",
    }
    assert {path.rpartition("/")[2] for path in kept} == {"bias", "gamma", "beta"}


def test_exclusions_are_searched_for_in_the_whole_path():
    assert not decays("encoder/layer_norm/gamma", ["LayerNorm", "layer_norm", "bias"])
    assert not decays("logits/bias", ["bias"])
    assert decays("encoder/layer_0/output/kernel", ["LayerNorm", "layer_norm", "bias"])
    assert decays("logits/bias", [])


def test_gradients_are_clipped_together():
    gradients = [np.array([3.0, 0.0], np.float32), np.array([[4.0]], np.float32)]
    clipped, norm = clip_by_global_norm(gradients, 1.0)
    assert float(norm) == 5.0
    assert [np.asarray(gradient).tolist() for gradient in clipped] == [
        [pytest.approx(0.6), 0.0],
        [[pytest.approx(0.8)]],
    ]


@pytest.mark.parametrize("bound", [0.0, float("inf"), 5.0])
def test_gradients_within_the_bound_or_without_one_stay_as_they_are(bound):
    gradients = [np.array([3.0], np.float32), np.array([4.0], np.float32)]
    clipped, norm = clip_by_global_norm(gradients, bound)
    assert float(norm) == 5.0
    assert [float(np.asarray(gradient)[0]) for gradient in clipped] == [3.0, 4.0]


def test_a_gradient_that_is_not_finite_shows_in_the_norm():
    _, norm = clip_by_global_norm([np.array([np.inf], np.float32)], 1.0)
    assert not np.isfinite(float(norm))


_SMALL = {"hidden_size": 8, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 20}


def _small_model(**trainer):
    tree = {"task": {"model": {"num_classes": 2, "encoder": {"bigbird": _SMALL}}}, "trainer": trainer}
    experiment = load_experiment("bigbird/glue", overrides=[tree])
    model = build_model(experiment.task)
    freeze(model, experiment.trainer)
    return model


def _name(variable):
    return variable.path.partition("/")[2]


def _parts(variables):
    """Which parts of the model the variables belong to."""
    return {re.match(r"(encoder/)?\w+", _name(variable))[0] for variable in variables}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("bigbird_classifier/encoder/embeddings/word/embeddings", 0),
        ("bigbird_span/encoder/embeddings/layer_norm/gamma", 0),
        ("encoder/layer_0/attention/query/kernel", 1),
        ("bigbird_classifier/encoder/layer_11/output/bias", 12),
        ("bigbird_classifier/encoder/pooler/kernel", None),
        ("bigbird_classifier/pooler_dense/kernel", None),
        ("bigbird_masked_lm/masked_lm/bias", None),
    ],
)
def test_depth_counts_from_the_embeddings_up(path, found):
    assert depth(path) == found


def test_the_head_has_the_whole_rate_and_each_layer_below_a_share_of_the_one_above():
    paths = [
        "m/logits/bias",
        "m/encoder/layer_2/a",
        "m/encoder/layer_0/a",
        "m/encoder/embeddings/a",
        "m/encoder/pooler/a",
    ]
    assert layer_shares(paths, 0.5) == [1.0, 0.5, 0.125, 0.0625, 1.0]
    assert layer_shares(paths, 1.0) == [1.0] * 5
    assert layer_shares(["m/logits/bias"], 0.5) == [1.0]  # everything below is frozen


@pytest.mark.parametrize(
    ("trainer", "left"),
    [
        ({}, {"encoder/embeddings", "encoder/layer_0", "encoder/layer_1", "pooler_dense", "logits"}),
        ({"freeze_embeddings": True}, {"encoder/layer_0", "encoder/layer_1", "pooler_dense", "logits"}),
        ({"freeze_layers": 1}, {"encoder/layer_1", "pooler_dense", "logits"}),
        ({"freeze_layers": 2, "freeze_embeddings": True}, {"pooler_dense", "logits"}),
    ],
)
def test_what_is_frozen_is_not_trained_has_no_moments_and_stays_in_the_model(trainer, left):
    model, whole = _small_model(**trainer), _small_model()
    assert _parts(model.trainable_variables) == left
    assert [_name(weight) for weight in model.weights] == [_name(weight) for weight in whole.weights]
    optimizer = AdamW(_constant(0.1), AdamWConfig(layer_decay=0.5))
    optimizer.build(model.trainable_variables)
    assert len(optimizer.variables) == 1 + 2 * len(model.trainable_variables)  # the step, two moments each


def test_more_layers_than_there_are_cannot_be_frozen():
    with pytest.raises(InputError, match=r"trainer.freeze_layers is 3, but the encoder has 2 layers; expected at most"):
        _small_model(freeze_layers=3)


_RUN = """
import keras
from bigbird.config import AdamWConfig, MovingAverageConfig, OptimizerConfig
from bigbird.optimization import AdamW, build_schedule

def run(options, given):
    variables = [keras.Variable(given[name], name=name) for name in ("low", "high", "head")]
    for variable, path in zip(variables, ("m/encoder/embeddings/w", "m/encoder/layer_0/bias", "m/logits/w")):
        variable._path = path
    rate = {"type": "constant", "constant": {"learning_rate": options["rate"]}}
    schedule = build_schedule(OptimizerConfig.model_validate({"learning_rate": rate, "warmup": {"type": None}}), 100)
    config = AdamWConfig(layer_decay=options["layer_decay"], weight_decay_rate=options["weight_decay"])
    optimizer = AdamW(schedule, config, MovingAverageConfig.model_validate(options["ema"]))
    optimizer.build(variables)
    optimizer.start_averages()
    for step in range(options["steps"]):
        optimizer.apply([keras.ops.convert_to_tensor(given[f"{name}_{step}"]) for name in ("low", "high", "head")])
    found = {name: keras.ops.convert_to_numpy(variable) for name, variable in zip(("low", "high", "head"), variables)}
    optimizer.swap_averages()
    found |= {f"{name}_mean": keras.ops.convert_to_numpy(v) for name, v in zip(("low", "high", "head"), variables)}
    optimizer.swap_averages()
    found |= {f"{name}_back": keras.ops.convert_to_numpy(v) for name, v in zip(("low", "high", "head"), variables)}
    assert {str(variable.dtype) for variable in (*variables, *optimizer.variables[1:])} == {"float32"}
    return found
"""
_ON_JAX = (
    _RUN
    + """
import json, sys
import numpy as np
given = np.load(sys.argv[1] + "/given.npz")
found = {name: run(options, given) for name, options in json.loads(sys.argv[2]).items()}
arrays = {f"{name} {key}": value for name, values in found.items() for key, value in values.items()}
np.savez(sys.argv[1] + "/found.npz", **arrays)
"""
)


def _expected(options, given):
    """The same in float64, from the formulas."""
    found, shares = {}, {"low": options["layer_decay"] ** 2, "high": options["layer_decay"], "head": 1.0}
    for name, share in shares.items():
        weight = mean = given[name].astype(np.float64)
        rate, decay = (
            options["rate"] * share,
            0.0 if name == "high" else options["weight_decay"],
        )  # a bias does not decay
        m = v = 0.0
        for n in range(1, options["steps"] + 1):
            gradient = given[f"{name}_{n - 1}"].astype(np.float64)
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            weight = weight * (1 - rate * decay)
            weight = weight - rate * np.sqrt(1 - 0.999**n) / (1 - 0.9**n) * m / (np.sqrt(v) + 1e-7)
            d = options["ema"]["average_decay"]
            if options["ema"].get("dynamic_decay", True):
                d = min(d, (1 + n) / (10 + n))
            mean = d * mean + (1 - d) * weight
        found |= {name: weight, f"{name}_mean": mean, f"{name}_back": weight}
    return found


@pytest.mark.slow
def test_layer_decay_and_averages_are_the_formulas_on_tensorflow_and_jax(check_on_jax):
    averages = {
        "dynamic": {"average_decay": 0.5},
        "constant": {"average_decay": 0.9, "dynamic_decay": False},
    }
    cases = {
        name: {"rate": 0.1, "layer_decay": 0.7, "weight_decay": 0.3, "ema": ema, "steps": 9}
        for name, ema in averages.items()
    }
    rng = np.random.default_rng(0)
    given = {name: rng.normal(size=(3, 4)).astype(np.float32) for name in ("low", "high", "head")}
    given |= {f"{n}_{s}": rng.normal(size=(3, 4)).astype(np.float32) for n in list(given) for s in range(9)}
    here, of_all = {}, {}
    exec(_RUN, here)
    for case, options in cases.items():
        expected, found = _expected(options, given), here["run"](options, given)
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-5, err_msg=f"{case} {name}")
        np.testing.assert_array_equal(found["low_back"], found["low"])
        assert np.abs(found["low_mean"] - found["low"]).max() > 0.01
        of_all |= {f"{case} {name}": array for name, array in expected.items()}
    check_on_jax(_ON_JAX, cases, given, of_all)
