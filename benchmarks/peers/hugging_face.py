"""Hugging Face's BigBird, forward and backward; in training mode, as its random blocks are all 0 in the other."""

import torch
import worker
from transformers import BigBirdConfig, BigBirdModel

given = worker.options("eager")


def build():
    torch.manual_seed(0)
    config = BigBirdConfig(
        vocab_size=worker.VOCABULARY,
        num_hidden_layers=given.layers,
        max_position_embeddings=max(4096, given.length),
        hidden_dropout_prob=worker.DROPOUT,
        attention_probs_dropout_prob=worker.DROPOUT,
        type_vocab_size=16,
    )
    model = BigBirdModel(config, add_pooling_layer=False).train()
    ids = torch.randint(1, worker.VOCABULARY, (1, given.length))
    mask = torch.ones_like(ids)
    weight = torch.randn(1, given.length, worker.HIDDEN)

    def step():
        model.zero_grad()
        (model(ids, attention_mask=mask).last_hidden_state * weight).mean().backward()
        return float(model.encoder.layer[-1].output.LayerNorm.bias.grad[0])

    return step


worker.serve(build)
