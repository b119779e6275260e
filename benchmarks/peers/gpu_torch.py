"""Hugging Face's training step on a GPU: its BigBird, or BERT with PyTorch's fused full attention."""

import gpu_worker
import torch
import transformers

given = gpu_worker.options()
transformers.logging.set_verbosity_error()


def build():
    """The step of the model with a span head, weights float32, computed in bfloat16."""
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True
    sizes = {"vocab_size": gpu_worker.VOCABULARY, "max_position_embeddings": given.length}
    if given.full:
        # Flash attention is what PyTorch takes for bfloat16 without a mask; no dropout in it, as BigBird has none.
        config = transformers.BertConfig(
            **sizes, hidden_act="gelu_new", attention_probs_dropout_prob=0.0, attn_implementation="sdpa"
        )
        model = transformers.BertForQuestionAnswering(config)
    else:
        config = transformers.BigBirdConfig(**sizes, attention_type="block_sparse", block_size=64, num_random_blocks=3)
        model = transformers.BigBirdForQuestionAnswering(config)
    model = model.cuda().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-5, weight_decay=0.01, fused=True)
    shape = given.batch, given.length
    batch = {
        "input_ids": torch.randint(5, gpu_worker.VOCABULARY, shape, device="cuda"),
        "start_positions": torch.full((given.batch,), 100, device="cuda"),
        "end_positions": torch.full((given.batch,), 120, device="cuda"),
    }
    if not given.full:  # it looks for the question's end otherwise
        batch["question_lengths"] = torch.full((given.batch, 1), 20, device="cuda")
    if given.compiled:  # layer by layer: compiled as a whole, the mask of ones keeps it from the fused kernel
        for layer in model.bert.encoder.layer:
            layer.compile()

    def step():
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss)

    return step


gpu_worker.measure(build, torch.cuda.max_memory_allocated)
