"""The choice of an encoder's attention."""

import jax
import pytest

from bigbird.config import BigBirdEncoderConfig
from bigbird.layers.attention import implementation
from bigbird.layers.attention.implementation import sparse_attention
from bigbird.support.errors import InputError
from tests.layers.attention.kernels import run_process


def test_tensorflow_refuses_the_kernel_and_takes_the_others():
    with pytest.raises(
        InputError, match=r"attention.implementation: pallas .*backend is tensorflow; set it to auto or"
    ):
        sparse_attention(BigBirdEncoderConfig(attention={"implementation": "pallas"}), "float32")
    for name in ("auto", "xla", "dense"):
        chosen = sparse_attention(BigBirdEncoderConfig(attention={"implementation": name}), "float32")
        assert chosen.__module__ == "bigbird.layers.attention.block_sparse"


def test_a_device_that_was_chosen_decides_and_not_what_the_machine_has(monkeypatch):
    """As with `runtime.num_gpus` 0 on a machine with GPUs."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert implementation._platform() == "gpu"
    with jax.default_device(jax.devices("cpu")[0]):
        assert implementation._platform() == "cpu"


def test_dense_attends_fully_at_every_length():
    config = BigBirdEncoderConfig(attention={"implementation": "dense"})
    assert config.full_attention_threshold == 4096
    assert BigBirdEncoderConfig().full_attention_threshold == 704


_ENCODERS = """
import json
import jax, keras, numpy as np
from bigbird.layers.attention import implementation
from bigbird.config import BigBirdEncoderConfig
from bigbird.models.encoder import BigBirdEncoder
from bigbird.support.errors import InputError
sizes = {"vocab_size": 100, "hidden_size": 64, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 64,
         "max_position_embeddings": 256, "block_size": 16, "num_rand_blocks": 1, "dropout_rate": 0.0,
         "attention_dropout_rate": 0.0}
rng = np.random.default_rng(0)
mask = np.ones((2, 256), "int32")
mask[1, 200:] = 0
inputs = {"input_word_ids": rng.integers(1, 100, (2, 256)), "input_mask": mask, "input_type_ids": 0 * mask}

def run(name, **changes):
    config = BigBirdEncoderConfig(**sizes, attention={"implementation": name}, **changes)
    keras.utils.set_random_seed(0)
    encoder = BigBirdEncoder(config)
    encoder.build()
    generator = np.random.default_rng(1)
    for variable in encoder.variables:
        variable.assign(variable.value + 0.2 * generator.normal(size=variable.shape))
    def loss(weights):
        seed = np.array([1, 2], "int32") if changes else None
        outputs, _ = encoder.stateless_call(weights, [], inputs, seed=seed)
        return jax.numpy.sum(jax.numpy.sin(outputs["sequence_output"]) * mask[:, :, None]), outputs["sequence_output"]
    step = jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options={"xla_backend_optimization_level": 0})
    (_, output), gradients = step([v.value for v in encoder.trainable_variables])
    return [np.asarray(x) for x in (output, *gradients)], encoder.encoder_layers[0].attention.sparse_attention.__module__

def apart(a, b):
    return float(max(np.abs(x - y).max() / max(1, np.abs(y).max()) for x, y in zip(a, b)))

def refused():
    wide = {**sizes, "num_attention_heads": 4, "hidden_size": 320}
    auto = implementation.sparse_attention(BigBirdEncoderConfig(**wide), "float32")
    try:
        BigBirdEncoder(BigBirdEncoderConfig(**wide, attention={"implementation": "pallas"}))
    except InputError as error:
        return str(error), auto.__module__

xla, module = run("auto")
modules, found = {"auto": module}, {}
for name, changes in (("pallas", {"use_gradient_checkpointing": True}), ("dense", {})):
    arrays, modules[name] = run(name, **changes)
    found[name] = apart(arrays, xla)
messages = [refused()]
implementation._platform = lambda: "gpu"
for name, changes in (("auto", {}), ("pallas", {"use_gradient_checkpointing": True})):
    arrays, modules["gpu " + name] = run(name, **changes)
    found["gpu " + name] = apart(arrays, xla)
messages += [refused()]
print(json.dumps({"modules": modules, "apart": found, "refused": messages}))
"""


@pytest.mark.slow
def test_an_encoder_on_jax_gives_the_same_with_any_and_with_checkpointing():
    """Interpreted; that JAX finds a GPU is pretended."""
    found = run_process(_ENCODERS, {"JAX_PLATFORMS": "cpu"})
    sparse, tpu, gpu = (f"bigbird.layers.attention.{name}" for name in ("block_sparse", "tpu_kernel", "gpu_kernel"))
    assert found["modules"] == {
        "auto": sparse,
        "pallas": tpu,
        "dense": sparse,
        "gpu auto": gpu,
        "gpu pallas": gpu,
    }
    assert all(0 < found["apart"][name] < 1e-4 for name in ("pallas", "gpu auto", "gpu pallas"))
    assert found["apart"]["dense"] > 0.01
    (on_tpu, _), (on_gpu, instead) = found["refused"]
    assert "4 heads of 80 do not fill vectors of 128; set it to auto or xla" in on_tpu
    assert "its heads are of 80 numbers, not of 16, 32, 64 or 128; set it to auto or xla" in on_gpu
    assert instead == sparse
