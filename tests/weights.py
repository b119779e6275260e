"""Small checkpoints for tests."""

import numpy as np
from safetensors.numpy import save

# Sizes of the encoder in two recipes.
SAMPLE = {"hidden": 64, "layers": 2, "heads": 1, "inner": 128, "positions": 2048}
SMALL = {"hidden": 128, "layers": 2, "heads": 2, "inner": 512, "positions": 1024}


def encoder_arrays(words=512, *, hidden, layers, heads, inner, positions, types=16):
    """An encoder's weights under our names, all 0.01: {name: float32}."""
    head = hidden // heads
    shapes = {
        "embeddings/word/embeddings": (words, hidden), "embeddings/position/embeddings": (positions, hidden),
        "embeddings/type/embeddings": (types, hidden), "embeddings/layer_norm/gamma": (hidden,),
        "embeddings/layer_norm/beta": (hidden,),
    }  # fmt: skip
    for number in range(layers):
        for part in ("query", "key", "value"):
            shapes[f"layer_{number}/attention/{part}/kernel"] = (hidden, heads, head)
            shapes[f"layer_{number}/attention/{part}/bias"] = (heads, head)
        shapes |= {
            f"layer_{number}/attention/output/kernel": (heads, head, hidden),
            f"layer_{number}/intermediate/kernel": (hidden, inner), f"layer_{number}/intermediate/bias": (inner,),
            f"layer_{number}/output/kernel": (inner, hidden),
        }  # fmt: skip
        for name in ("attention/output/bias", "output/bias"):
            shapes[f"layer_{number}/{name}"] = (hidden,)
        for norm in ("attention_layer_norm", "output_layer_norm"):
            shapes |= {f"layer_{number}/{norm}/{part}": (hidden,) for part in ("gamma", "beta")}
    return {f"encoder/{name}": np.full(shape, 0.01, "float32") for name, shape in shapes.items()}


def weights_file(words=512, **sizes):
    """The bytes of a model.safetensors with such an encoder; of the sample's sizes where none are given."""
    return save(encoder_arrays(words, **(sizes or SAMPLE)))
