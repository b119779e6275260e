"""transformers' BERT on PyTorch: a compiled forward pass with full attention, or FlexAttention with the blocks that BigBird attends to;
or a training step with full attention, of batches.

Training drops out nothing in attention: PyTorch's scaled dot-product attention would then keep each matrix of scores.
"""

import random

import torch
import worker
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from transformers import AttentionInterface, BertConfig, BertModel

BLOCK, RANDOM_BLOCKS = 64, 3  # BigBird's

given = worker.options(
    "full_float32", "full_bfloat16", "flex_float32", "flex_bfloat16", "training", of_batches=("training",)
)


def attended_blocks(count):
    """bool[count, count]: the key blocks of a query block, as in the paper: two global ones, three of a window, three random ones."""
    rng = random.Random(0)
    table = torch.zeros(count, count, dtype=torch.bool)
    for row in range(count):
        near = range(max(0, row - 1), min(count, row + 2))
        others = [block for block in range(1, count - 1) if block not in near]
        table[row, [0, count - 1, *near, *rng.sample(others, min(RANDOM_BLOCKS, len(others)))]] = True
    table[[0, -1]] = True
    return table


def use_blocks(length):
    """Registers FlexAttention with BigBird's blocks under a name that a configuration can ask for."""
    table = attended_blocks(length // BLOCK)
    blocks = create_block_mask(
        lambda _batch, _head, query, key: table[query // BLOCK, key // BLOCK],
        None, None, length, length, device="cpu", BLOCK_SIZE=BLOCK,
    )  # fmt: skip
    compiled = torch.compile(flex_attention, dynamic=False)

    @torch.compiler.disable  # compiled by itself: within a model PyTorch 2.13 fails to, where a query is a view
    def attend(_module, query, key, value, _mask=None, scaling=None, **_):
        query, key, value = (each.contiguous() for each in (query, key, value))
        return compiled(query, key, value, block_mask=blocks, scale=scaling).transpose(1, 2), None

    AttentionInterface.register("bigbird_blocks", attend)


def build():
    """A forward pass."""
    torch.manual_seed(0)
    attention = "sdpa"
    if given.mode.startswith("flex"):
        use_blocks(given.length)
        attention = "bigbird_blocks"
    config = BertConfig(
        vocab_size=worker.VOCABULARY,
        num_hidden_layers=given.layers,
        max_position_embeddings=max(4096, given.length),
        hidden_act="gelu_new",
        attn_implementation=attention,
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    if given.mode.endswith("bfloat16"):
        model = model.to(torch.bfloat16)
    compiled = torch.compile(model, dynamic=False)
    ids = torch.randint(1, worker.VOCABULARY, (1, given.length))

    def step():
        with torch.no_grad():
            return float(compiled(ids).last_hidden_state[0, 0, 0])

    return step


def build_training():
    """A training step, not compiled."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=worker.VOCABULARY,
        num_hidden_layers=given.layers,
        max_position_embeddings=max(4096, given.length),
        hidden_act="gelu_new",
        attn_implementation="sdpa",
        hidden_dropout_prob=worker.DROPOUT,
        attention_probs_dropout_prob=0.0,
    )
    model = BertModel(config, add_pooling_layer=False).train()
    ids = torch.randint(1, worker.VOCABULARY, (given.batch, given.length))
    weight = torch.randn(given.batch, given.length, worker.HIDDEN)

    def step():
        model.zero_grad()
        (model(ids).last_hidden_state * weight).mean().backward()
        return float(model.encoder.layer[-1].output.LayerNorm.bias.grad[0])

    return step


worker.serve(build_training if given.mode == "training" else build, f"PyTorch {torch.__version__}")
