"""The encoder's paths, dropout and recomputation; the same numbers on every way of running it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird.config import BigBirdEncoderConfig
from bigbird.layers import one_dnn
from bigbird.layers.dropout import dropout, fold_seed
from bigbird.layers.own_gradient import without_gradients
from bigbird.models.encoder import BigBirdEncoder, initializer

SIZES = {
    "vocab_size": 60, "hidden_size": 16, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 256, "block_size": 16, "num_rand_blocks": 1, "initializer_range": 0.2,
}  # fmt: skip
SPARSE, FULL = 192, 64  # tokens; full attention ends at (5 + 2) * 16


def _encoder(dtype="float32", with_pooler=False, **changes):
    keras.utils.set_random_seed(3)
    encoder = BigBirdEncoder(BigBirdEncoderConfig(**{**SIZES, **changes}), with_pooler=with_pooler, dtype=dtype)
    encoder.build()
    return encoder


def _inputs(length, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    mask = np.ones((batch, length), np.int32)
    mask[1:, length * 3 // 4 :] = 0
    ids = rng.integers(1, SIZES["vocab_size"], (batch, length)).astype(np.int32) * mask
    types = (np.arange(length)[None] > length // 3).astype(np.int32) * mask
    return {"input_word_ids": ids, "input_mask": mask, "input_type_ids": types}


def _tensors(inputs):
    return {name: tf.constant(value) for name, value in inputs.items()}


@pytest.mark.parametrize("length", [1, FULL, 112, 113, SPARSE, 256])
def test_shapes_and_dtypes(length):
    outputs = _encoder(with_pooler=True)(_tensors(_inputs(length)))
    assert outputs["sequence_output"].shape == (2, length, 16)
    assert outputs["pooled_output"].shape == (2, 16)
    assert outputs["sequence_output"].dtype == outputs["pooled_output"].dtype == tf.float32
    assert np.abs(outputs["pooled_output"]).max() <= 1
    mixed = _encoder("mixed_bfloat16")(_tensors(_inputs(length)))["sequence_output"]
    assert mixed.dtype == tf.bfloat16


@pytest.mark.parametrize(("length", "message"), [(257, "sequence length 257 must be known and at most 256")])
def test_a_length_above_the_positions_is_refused(length, message):
    with pytest.raises(ValueError, match=message):
        _encoder()(_tensors(_inputs(length)))


@pytest.mark.parametrize("length", [FULL, SPARSE])
def test_what_stands_under_the_padding_changes_no_token(length):
    encoder, inputs = _encoder(), _inputs(length)
    first = encoder(_tensors(inputs))["sequence_output"].numpy()
    noise = np.random.default_rng(9).integers(1, 60, inputs["input_word_ids"].shape).astype(np.int32)
    inputs["input_word_ids"] = np.where(inputs["input_mask"] == 1, inputs["input_word_ids"], noise)
    second = encoder(_tensors(inputs))["sequence_output"].numpy()
    live = inputs["input_mask"] == 1
    np.testing.assert_allclose(second[live], first[live], rtol=0, atol=1e-6)
    assert np.abs(second[~live] - first[~live]).max() > 0.01


def test_a_rows_result_does_not_depend_on_its_batch():
    encoder, inputs = _encoder(), _inputs(SPARSE)
    together = encoder(_tensors(inputs))["sequence_output"].numpy()
    for row in range(2):
        alone = encoder(_tensors({name: value[row : row + 1] for name, value in inputs.items()}))["sequence_output"]
        np.testing.assert_allclose(alone[0], together[row], rtol=0, atol=1e-5)


def test_attention_is_full_up_to_the_threshold_and_sparse_beyond():
    """A token of the middle sees a token outside its pattern only with full attention, in one layer."""
    one_layer = {"num_layers": 1, "num_rand_blocks": 0}
    for threshold, seen in ((256, True), (None, False)):
        encoder = _encoder(**one_layer, full_attention_max_length=threshold)
        inputs = _inputs(256, batch=1)
        first = encoder(_tensors(inputs))["sequence_output"].numpy()
        inputs["input_word_ids"][0, 200] = inputs["input_word_ids"][0, 200] % 59 + 1  # block 12
        second = encoder(_tensors(inputs))["sequence_output"].numpy()
        moved = np.abs(second - first).max(axis=-1)[0]
        assert (moved[16 * 5 : 16 * 6] > 1e-6).all() == seen  # block 5
        assert (moved[:16] > 1e-6).all() and (moved[16 * 11 : 16 * 14] > 1e-6).all()  # global rows, its window


def _graph_that_answers(encoder, inputs):
    with without_gradients():
        run = tf.function(lambda inputs: encoder(inputs)["sequence_output"], autograph=False)
        return run.get_concrete_function(inputs)


def _operations(concrete):
    """All that a graph does, with its functions; each function's once."""
    definition = concrete.graph.as_graph_def()
    return [*definition.node, *(node for function in definition.library.function for node in function.node_def)]


@pytest.mark.parametrize("length", [FULL, SPARSE])
def test_a_graph_that_answers_has_a_layers_operations_once(length):
    """Each layer calls them with its weights and its own key blocks; not with constants, for which TensorFlow copies a function."""
    inputs, counts = _tensors(_inputs(length)), []
    for layers in (2, 5):
        encoder = _encoder(num_layers=layers)
        concrete = _graph_that_answers(encoder, inputs)
        np.testing.assert_allclose(concrete(inputs), encoder(inputs)["sequence_output"], rtol=0, atol=2e-6)
        calls = [op for op in concrete.graph.get_operations() if op.type.endswith("PartitionedCall")]
        assert len(calls) == layers and len({call.get_attr("f").name for call in calls}) == 1
        assert not [source.name for call in calls for source in call.inputs if source.op.type == "Const"]
        counts.append(sum(op.op in ("MatMul", "BatchMatMulV2", "Einsum") for op in _operations(concrete)))
    assert counts[0] == counts[1] > 5


@pytest.mark.parametrize("activation", ["gelu", "gelu_erf", "relu"])
@pytest.mark.parametrize("length", [FULL, SPARSE])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("mixed_bfloat16", 0.04)])
def test_a_graph_that_answers_gives_the_same_values_with_fewer_operations(
    activation, length, dtype, tolerance, monkeypatch
):
    monkeypatch.setattr(one_dnn, "one_dnn_is_used", lambda: True)
    encoder, inputs = _encoder(dtype, hidden_activation=activation), _tensors(_inputs(length))

    def graph():
        run = tf.function(lambda inputs: encoder(inputs)["sequence_output"], autograph=False)
        return run.get_concrete_function(inputs)

    usual = graph()
    with without_gradients():
        answering = graph()
    found, expected = answering(inputs), usual(inputs)
    assert found.dtype == expected.dtype == ("float32" if dtype == "float32" else "bfloat16")
    np.testing.assert_allclose(tf.cast(found, "float32"), tf.cast(expected, "float32"), rtol=0, atol=tolerance)
    types = {op.op for op in _operations(answering)}
    assert not types & {"Sigmoid", "IdentityN"}
    biases = sum(op.op == "BiasAdd" for op in _operations(answering))  # which TensorFlow computes with their products
    assert biases == 4 + (activation != "relu")


@pytest.mark.parametrize("length", [FULL, SPARSE])
def test_a_model_that_answers_holds_the_weights_of_products_in_what_it_computes_in_and_gives_the_same_bits(length):
    usual, inputs = _encoder("mixed_bfloat16", with_pooler=True), _tensors(_inputs(length))
    with without_gradients():
        answering = _encoder("mixed_bfloat16", with_pooler=True)
        exact = _encoder("float32")
    for variable, source in zip(answering.weights, usual.weights, strict=True):
        variable.assign(source)
        assert source.dtype == "float32"
        products = variable.path.endswith(("kernel", "bias"))
        assert variable.dtype == ("bfloat16" if products else "float32"), variable.path
    assert {variable.dtype for variable in exact.weights} == {"float32"}

    def run(encoder):
        with without_gradients():
            graph = tf.function(lambda: encoder(inputs), autograph=False).get_concrete_function()
        return graph(), [op for op in _operations(graph) if op.op == "Cast"]

    (found, casts), (expected, more) = run(answering), run(usual)
    for name in ("sequence_output", "pooled_output"):
        np.testing.assert_array_equal(tf.cast(found[name], "float32"), tf.cast(expected[name], "float32"))
    assert len(more) - len(casts) == sum(variable.dtype == "bfloat16" for variable in answering.weights)


def test_in_bfloat16_a_words_gradients_are_summed_in_float32():
    """256 of the same word: each has the upstream gradient 1 + 2^-7, and sums in bfloat16 have 8 bits."""
    encoder = _encoder("mixed_bfloat16")
    table, ids = encoder.embeddings.word, tf.zeros((1, 256), tf.int32)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.cast(table(ids), "float32") * (1 + 2**-7))
    gradient = tf.convert_to_tensor(tape.gradient(total, table.embeddings.value))
    assert table(ids).dtype == tf.bfloat16 and gradient.dtype == tf.float32
    np.testing.assert_array_equal(gradient[0], np.full(SIZES["hidden_size"], 258.0, np.float32))


def test_without_one_dnn_a_graph_that_answers_is_the_usual_one(monkeypatch):
    monkeypatch.setattr(one_dnn, "one_dnn_is_used", lambda: False)
    encoder, inputs = _encoder(), _tensors(_inputs(FULL))
    assert "Sigmoid" in {op.op for op in _operations(_graph_that_answers(encoder, inputs))}


def test_dropout_is_a_function_of_the_seed_alone():
    encoder, inputs = _encoder(), _tensors(_inputs(SPARSE))

    def run(seed):
        return encoder(inputs, seed=None if seed is None else tf.constant(seed, tf.int32))["sequence_output"].numpy()

    np.testing.assert_array_equal(run([1, 2]), run([1, 2]))
    plain = run(None)
    np.testing.assert_array_equal(plain, run(None))
    seen = [plain, run([1, 2]), run([1, 3]), run([2, 2])]
    assert all(np.abs(a - b).max() > 0.1 for i, a in enumerate(seen) for b in seen[:i])


def test_dropout_keeps_the_mean_and_drops_the_share():
    x = tf.ones([400, 500])
    dropped = dropout(x, 0.3, tf.constant([5, 6])).numpy()
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.7)}
    assert (dropped == 0).mean() == pytest.approx(0.3, abs=0.005)
    assert dropout(x, 0.3, None) is x and dropout(x, 0.0, tf.constant([5, 6])) is x


def test_folded_seeds_are_all_different():
    seeds = {tuple(fold_seed(tf.constant([a, b]), n).numpy()) for a in range(3) for b in range(50) for n in range(40)}
    assert len(seeds) == 3 * 50 * 40


def _loss_and_gradients(encoder, inputs):
    with tf.GradientTape() as tape:
        output = encoder(inputs, seed=tf.constant([7, 11]))["sequence_output"]
        loss = tf.reduce_mean(tf.sin(output) * tf.cast(inputs["input_mask"], tf.float32)[:, :, None])
    gradients = tape.gradient(loss, [variable.value for variable in encoder.trainable_variables])
    return [loss, *(tf.convert_to_tensor(gradient) for gradient in gradients)]


@pytest.mark.slow
@pytest.mark.parametrize("length", [FULL, SPARSE])
@pytest.mark.parametrize("xla", [False, True], ids=["plain", "xla"])
def test_gradient_checkpointing_repeats_its_dropout(length, xla):
    """Recomputation must draw the very masks of the forward pass, or the gradient is another function's."""
    inputs = _tensors(_inputs(length))
    results = []
    for checkpointing in (False, True):
        encoder = _encoder(use_gradient_checkpointing=checkpointing, num_layers=1 if xla else 2)
        step = tf.function(_loss_and_gradients, jit_compile=xla)
        results.append([array.numpy() for array in step(encoder, inputs)])
    plain, recomputed = results
    assert max(np.abs(gradient).max() for gradient in plain[1:]) > 1e-3
    for first, second in zip(plain, recomputed, strict=True):
        np.testing.assert_allclose(second, first, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_xla_gives_the_same_values():
    encoder, inputs = _encoder(with_pooler=True), _tensors(_inputs(SPARSE))
    compiled = tf.function(encoder, jit_compile=True)(inputs)
    for name, expected in encoder(inputs).items():
        np.testing.assert_allclose(compiled[name], expected, rtol=0, atol=2e-5)


_ON_JAX = """
import json, sys
import numpy as np
import keras, jax
from bigbird.config import BigBirdEncoderConfig
from bigbird.models.encoder import BigBirdEncoder
assert keras.backend.backend() == "jax"
folder, sizes = sys.argv[1], json.loads(sys.argv[2])
encoder = BigBirdEncoder(BigBirdEncoderConfig(**sizes), with_pooler=True)
encoder.build()
given = np.load(folder + "/given.npz")
for variable in encoder.weights:
    variable.assign(given["w:" + variable.path])
names = [variable.path for variable in encoder.trainable_variables]
results, unused = {}, [variable.value for variable in encoder.non_trainable_variables]  # seeds of its own
for length in (64, 192):
    inputs = {name: given[f"{length}:{name}"] for name in ("input_word_ids", "input_mask", "input_type_ids")}
    def loss(weights):
        outputs, _ = encoder.stateless_call(weights, unused, inputs)
        tokens = inputs["input_mask"].astype("float32")[:, :, None]
        return jax.numpy.mean(jax.numpy.sin(outputs["sequence_output"]) * tokens), outputs
    weights = [variable.value for variable in encoder.trainable_variables]
    (value, outputs), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(weights)
    results |= {f"{length}:{name}": np.asarray(array) for name, array in outputs.items()}
    results |= {f"{length}:d {name}": np.asarray(g) for name, g in zip(names, gradients)}
np.savez(folder + "/found.npz", **results)
"""


@pytest.mark.slow
def test_the_jax_backend_gives_the_same_values_and_gradients(check_on_jax):
    """Full and sparse attention, padded rows; the same layers, `keras.ops` alone."""
    encoder = _encoder(with_pooler=True)
    given, expected = {f"w:{variable.path}": variable.numpy() for variable in encoder.weights}, {}
    for length in (FULL, SPARSE):
        inputs = _inputs(length)
        given |= {f"{length}:{name}": value for name, value in inputs.items()}
        tensors = _tensors(inputs)
        with tf.GradientTape() as tape:
            outputs = encoder(tensors)
            tokens = tf.cast(tensors["input_mask"], tf.float32)[:, :, None]
            loss = tf.reduce_mean(tf.sin(outputs["sequence_output"]) * tokens)
        variables = encoder.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables], unconnected_gradients="zero")
        expected |= {f"{length}:{name}": value.numpy() for name, value in outputs.items()}
        expected |= {
            f"{length}:d {v.path}": tf.convert_to_tensor(g).numpy() for v, g in zip(variables, gradients, strict=True)
        }
    check_on_jax(_ON_JAX, SIZES, given, expected)


def test_weights_are_drawn_as_keras_draws_them():
    config = BigBirdEncoderConfig(initializer_range=0.1)
    keras.utils.set_random_seed(3)
    found = initializer(config)((4, 2, 8))
    keras.utils.set_random_seed(3)
    expected = keras.initializers.TruncatedNormal(stddev=0.1)((4, 2, 8))
    np.testing.assert_array_equal(found, expected)
