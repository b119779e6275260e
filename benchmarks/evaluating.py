"""The evaluation stage's speed over a split against its bare encoder on the same batches, in tokens a second.

    BIGBIRD_DATA=FOLDER python benchmarks/evaluating.py [--rounds 3]

A classifier with fresh weights, 6 layers of 384, reads documents of some 1,200 words, padded to at most 2,048 tokens. Both sides
are in one process and take turns; what is traced counts for neither. The evaluation reads its records, adds the head and scores.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import fresh
import samples
import script
from turns import show

from bigbird.support.tensorflow_start import load_tensorflow

ENCODER = {
    "num_layers": 6,
    "hidden_size": 384,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 2048,
}
DOCUMENTS, WORDS, MAX_LENGTH = 64, 1200, 2048


def measured(folder: Path, precision: str, rounds: int) -> tuple[list[float], list[float], int]:
    """Seconds of evaluation and of the bare encoder, and tokens.

    Args:
        folder: with `model` and `dataset`.
        precision: what the model computes in.
        rounds: turns of each side.
    """
    import tensorflow as tf

    from bigbird.checkpoints.native import load_model
    from bigbird.config import replace
    from bigbird.data.dataset import evaluation_dataset
    from bigbird.data.record_files import split_files
    from bigbird.layers.own_gradient import without_gradients
    from bigbird.manifests import DatasetManifest
    from bigbird.scoring import Scorer
    from bigbird.tasks.registry import family_of
    from bigbird_components.evaluate.evaluate import compiled, run_model

    dataset, split = str(folder / "dataset"), "validation"
    model, _, experiment = load_model(folder / "model", dtype=precision)
    manifest, task = DatasetManifest.read(dataset), replace(experiment.task, validation_data={"max_records": 0})
    names, files = family_of(task).model_inputs, split_files(dataset, manifest, split)
    batches: list[dict[str, Any]] = [
        {name: batch[name] for name in names} for batch in evaluation_dataset(files, task, labels=False)
    ]
    answer = compiled(model)

    @tf.function(autograph=False)
    def encode(inputs: dict[str, Any]) -> Any:
        with without_gradients():
            return model.encoder(inputs)["sequence_output"]

    evaluation, bare = [], []
    for number in range(rounds + 1):
        begun = time.perf_counter()
        run_model(answer, task, Scorer(task, manifest, dataset, split), dataset, manifest, split, precision)
        between = time.perf_counter()
        for batch in batches:
            encode(batch)
        if number:  # the first traces
            evaluation.append(between - begun)
            bare.append(time.perf_counter() - between)
    return evaluation, bare, sum(int(batch["input_mask"].numpy().sum()) for batch in batches)


@click.command(epilog="Example: python benchmarks/evaluating.py --rounds 1")
@click.option("--rounds", default=3, show_default=True, help="Turns of each side.")
@click.option("--data", envvar="BIGBIRD_DATA", help="Folder with real texts to vary; made-up ones without.")
def main(rounds: int, data: str | None) -> None:
    """Measure evaluation beside its bare encoder."""
    load_tensorflow()
    source = samples.load(data)
    with tempfile.TemporaryDirectory(prefix="bigbird-bench-") as name:
        folder = Path(name)
        rows = (f"{text}\t{number % 2}\n" for number, text in enumerate(samples.documents(source, DOCUMENTS, WORDS)))
        (folder / "dev.tsv").write_text("sentence\tlabel\n" + "".join(rows), encoding="utf-8")
        fresh.write_classifier(source, folder, MAX_LENGTH, ENCODER)
        for precision in ("float32", "bfloat16"):
            evaluation, bare, tokens = measured(folder, precision, rounds)
            ours, theirs = statistics.median(evaluation), statistics.median(bare)
            show(
                f"evaluation, 6 layers of 384, documents of up to {MAX_LENGTH:,} tokens, {precision}: speed against the bare encoder",
                theirs / ours,
                "x",
                ">= 0.95",
                f"{tokens / ours:,.0f} against {tokens / theirs:,.0f} tokens/s, medians of {rounds} in turns, {DOCUMENTS} documents; "
                f"{source.origin}",
            )


if __name__ == "__main__":
    script.run(main)
