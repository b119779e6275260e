"""Records what Hugging Face computes: recordings/hugging_face, which test_published.py holds ours against.

Not run by the tests. In an environment with `transformers` and the CPU build of `torch`:
    python tests/checkpoints/record_hugging_face.py OUTPUT [--layers 4] [--hidden 64] [--lengths 1024 3072 4096]
then, in ours, `BIGBIRD_RECORDINGS=PARENT_OF_OUTPUT python -m pytest tests/checkpoints/test_published.py`.

Everything runs in train mode with zero dropout: in evaluation mode Hugging Face's random blocks are all zeros.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import transformers

parser = argparse.ArgumentParser()
parser.add_argument("output", type=Path)
parser.add_argument("--layers", type=int, default=2)
parser.add_argument("--hidden", type=int, default=16)
parser.add_argument("--lengths", type=int, nargs="+", default=[1024])
given = parser.parse_args()

sizes = {
    "vocab_size": 70, "hidden_size": given.hidden, "num_layers": given.layers, "num_attention_heads": 2,
    "intermediate_size": 2 * given.hidden, "max_position_embeddings": 4096, "type_vocab_size": 2,
    "block_size": 64, "num_rand_blocks": 3,
}  # fmt: skip
rng = np.random.default_rng(2)
config = transformers.BigBirdConfig(
    vocab_size=sizes["vocab_size"],
    hidden_size=given.hidden,
    num_hidden_layers=given.layers,
    num_attention_heads=2,
    intermediate_size=2 * given.hidden,
    max_position_embeddings=4096,
    block_size=64,
    num_random_blocks=3,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    attention_type="block_sparse",
    num_labels=3,
)


def randomize(model, scale=0.2):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.from_numpy(rng.normal(0, scale, tuple(parameter.shape)).astype("float32")))
    return model.train()


def batch(length):
    ids = rng.integers(1, 60, (2, length))
    ids[:, 0], ids[:, length // 3], ids[:, -1] = 65, 66, 66
    mask = np.ones((2, length), "int64")
    mask[1, length - length // 5 :] = 0
    types = (np.arange(length)[None] > length // 3).astype("int64") * mask
    return {"input_word_ids": ids * mask, "input_mask": mask, "input_type_ids": types}


def run(model, inputs):
    names = {"input_word_ids": "input_ids", "input_mask": "attention_mask", "input_type_ids": "token_type_ids"}
    return model(**{names[name]: torch.from_numpy(array) for name, array in inputs.items()})


def numbers(**tensors):
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def stored(inputs):
    return {name: array.astype("int32") for name, array in inputs.items()}


given.output.mkdir(parents=True, exist_ok=True)
(given.output / "sizes.json").write_text(json.dumps(sizes) + "\n")
model = randomize(transformers.BigBirdModel(config))
model.save_pretrained(given.output / "bare")
weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
for length in given.lengths:
    inputs = batch(length)
    outputs = run(model, inputs)
    mask = torch.from_numpy(inputs["input_mask"]).float()[:, :, None]
    loss = (torch.sin(outputs.last_hidden_state) * mask).mean() + torch.sin(outputs.pooler_output).mean()
    model.zero_grad()
    loss.backward()
    arrays = numbers(sequence_output=outputs.last_hidden_state, pooled_output=outputs.pooler_output)
    np.savez_compressed(given.output / f"outputs_{length}.npz", **stored(inputs), **arrays)
    with torch.no_grad():  # gradients in the form of a checkpoint
        for parameter in model.parameters():
            parameter.copy_(parameter.grad)
        model.save_pretrained(given.output / f"gradients_{length}")
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])

inputs, answers = batch(1024), {}
classifier = randomize(transformers.BigBirdForSequenceClassification(config))
classifier.save_pretrained(given.output / "classifier")
answers |= numbers(**{"classifier/logits": run(classifier, inputs).logits})
config.num_labels = 2
span = randomize(transformers.BigBirdForQuestionAnswering(config))
span.save_pretrained(given.output / "span")
outputs = run(span, inputs)
answers |= numbers(**{"span/start_logits": outputs.start_logits, "span/end_logits": outputs.end_logits})
np.savez_compressed(given.output / "answers.npz", **stored(inputs), **answers)

# One row at a length for which the Model Garden's rule gives other random blocks.
model = transformers.BigBirdModel.from_pretrained(given.output / "bare").train()
ids = np.random.default_rng(3).integers(1, sizes["vocab_size"], (1, 1280))
with torch.no_grad():
    outputs = model(input_ids=torch.from_numpy(ids), attention_mask=torch.ones(ids.shape, dtype=torch.long))
every_16th = outputs.last_hidden_state.numpy()[:, ::16]
np.savez_compressed(
    given.output / "rule_1280.npz", input_word_ids=ids.astype("int32"), sequence_output_every_16th=every_16th
)
