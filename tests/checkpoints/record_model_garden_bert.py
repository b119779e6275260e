"""Records what the Model Garden's BERT computes: recordings/model_garden_bert, which test_bert.py holds ours against.

Not run by the tests. In an environment with `setuptools<80` and `tf-models-official==2.20.*`:
    python tests/checkpoints/record_model_garden_bert.py tests/checkpoints/recordings/model_garden_bert
"""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf
from official.modeling import tf_utils
from official.nlp.configs import encoders
from official.nlp.modeling import models

parser = argparse.ArgumentParser()
parser.add_argument("output", type=Path)
output = parser.parse_args().output

sizes = {
    "vocab_size": 40, "hidden_size": 16, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 32, "type_vocab_size": 2, "dropout_rate": 0.0, "attention_dropout_rate": 0.0,
}  # fmt: skip
rng = np.random.default_rng(0)
ids = rng.integers(5, 40, (2, 32)).astype("int32")
mask = np.ones_like(ids)
mask[1, 26:] = 0
inputs = {"input_word_ids": ids * mask, "input_mask": mask, "input_type_ids": np.repeat([[0, 1]], 16, 1).repeat(2, 0)}
inputs["input_type_ids"] = inputs["input_type_ids"].astype("int32") * mask
positions = np.array([[3, 9, 31], [0, 5, 20]], "int32")


def build(kind):
    encoder = encoders.build_encoder(encoders.EncoderConfig({"type": kind, kind: sizes}))
    encoder(inputs)
    return encoder


def randomize(model):
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.3, variable.shape).astype("float32"))


output.mkdir(parents=True, exist_ok=True)
answers = dict(inputs) | {"masked_lm_positions": positions}
for kind in ("bert", "bert_v2"):
    encoder = build(kind)
    randomize(encoder)
    tf.train.Checkpoint(model=encoder).write(str(output / f"{kind}_bare"))  # as published
    outputs = encoder(inputs)
    answers |= {f"{kind}_bare/{name}": outputs[name].numpy() for name in ("sequence_output", "pooled_output")}

encoder = build("bert")
pretrainer = models.BertPretrainerV2(
    encoder_network=encoder, mlm_activation=tf_utils.get_activation("gelu")
)  # as its recipes
outputs = pretrainer(inputs | {"masked_lm_positions": positions})
randomize(pretrainer)
outputs = pretrainer(inputs | {"masked_lm_positions": positions})
tf.train.Checkpoint(model=pretrainer, **pretrainer.checkpoint_items).write(str(output / "masked_lm"))
answers["masked_lm/logits"] = outputs["mlm_logits"].numpy()

classifier = models.BertClassifier(network=build("bert"), num_classes=3, dropout_rate=0.0, use_encoder_pooler=True)
randomize(classifier)
tf.train.Checkpoint(model=classifier, **classifier.checkpoint_items).write(str(output / "classifier"))
answers["classifier/logits"] = classifier(inputs).numpy()
np.savez_compressed(output / "answers.npz", **answers)
