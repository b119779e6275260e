"""Records what Hugging Face's BERT and RoBERTa compute: recordings/hugging_face_{bert,roberta}, which test_bert.py holds ours against.

Not run by the tests. In an environment with `transformers==5.*` and `torch`:
    python tests/checkpoints/record_bert.py tests/checkpoints/recordings
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import transformers

parser = argparse.ArgumentParser()
parser.add_argument("output", type=Path)
output = parser.parse_args().output

LENGTHS = (16, 64)
sizes = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
KINDS = {
    "bert": transformers.BertConfig(**sizes, max_position_embeddings=64, num_labels=3),
    "roberta": transformers.RobertaConfig(
        **sizes, max_position_embeddings=66, type_vocab_size=1, layer_norm_eps=1e-5, num_labels=3
    ),
}
TASKS = {"masked_lm": "ForMaskedLM", "classifier": "ForSequenceClassification", "span": "ForQuestionAnswering"}


def randomize(model, generator):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model.eval()


def batch(length, pad, rng):
    """Two rows, the second one padded in its last fifth."""
    ids = rng.integers(5, sizes["vocab_size"], (2, length))
    mask = np.ones((2, length), "int64")
    mask[1, length - length // 5 :] = 0
    return {"input_ids": np.where(mask, ids, pad), "attention_mask": mask}


for kind, config in KINDS.items():
    folder = output / f"hugging_face_{kind}"
    name = {"bert": "Bert", "roberta": "Roberta"}[kind]
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    models = {"bare": randomize(getattr(transformers, f"{name}Model")(config), generator)}
    for task, suffix in TASKS.items():
        config.num_labels = 2 if task == "span" else 3
        models[task] = randomize(getattr(transformers, name + suffix)(config), generator)
    for task, model in models.items():
        model.save_pretrained(folder / task)
    answers = {}
    for length in LENGTHS:
        inputs = batch(length, config.pad_token_id, rng)
        types = np.zeros_like(inputs["input_ids"])
        if config.type_vocab_size > 1:
            types[:, length // 2 :] = 1
        answers |= {f"{length}/{key}": value.astype("int32") for key, value in inputs.items()}
        answers[f"{length}/token_type_ids"] = types.astype("int32")
        tensors = {key: torch.from_numpy(value) for key, value in (inputs | {"token_type_ids": types}).items()}
        with torch.no_grad():
            for task, model in models.items():
                for key, value in model(**tensors).items():
                    answers[f"{length}/{task}/{key}"] = value.numpy()
    np.savez_compressed(folder / "answers.npz", **answers)
