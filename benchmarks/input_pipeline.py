"""Time of an epoch of SST-2 at the published recipe's length: batches in buckets against batches padded to 1,024 tokens.

    python benchmarks/input_pipeline.py [--data glue/SST-2 --vocabulary gpt2.model] [--turns 2]

Needs the task's official files, or else writes sentences of the lengths that 20,000 of SST-2 have. The base model's real
training step is timed at every length that occurs; long ones with one and with two of its layers, where what the second adds
stands for each of the other ten. An epoch is those times weighted by the dataset's batches. How true such a sum is shows a
whole run of the training stage, with a model small enough for that. Last, the input pipeline by itself.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import script

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "model"), str(ROOT)]

RECIPE = ROOT / "pipelines" / "experiments" / "glue_sst2.yaml"
LAYERS = 12  # of the base model
WHOLE = 128  # tokens up to which steps of all its layers are timed
VOCABULARY = 50_358
# Tokens -> sentences, of 20,000 of SST-2's training set with the published vocabulary.
SENTENCES = {16: 14448, 24: 2951, 32: 1512, 48: 989, 64: 98, 96: 2}
LONGEST = 67
SMALL_STEPS = 40  # of the whole run
SECONDS = 10.0  # for which the input pipeline runs by itself
ACCELERATOR = 100e12  # operations a second that a fast accelerator's steps may do


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show(what: str, value: float, unit: str, bar: str | None, detail: str) -> None:
    """One row of results, on stdout."""
    print(json.dumps({"what": what, "value": value, "unit": unit, "bar": bar, "detail": detail}), flush=True)


# ------------------------------------------------------------------------------------------------ the dataset


def write_sentences(folder: Path) -> None:
    """train.tsv and dev.tsv with sentences of SST-2's lengths; each word is a piece, and two pieces are added."""
    rng = random.Random(1)
    words = [f"{a}{b}" for a in "bdfgklmnprstvz" for b in ("ad", "em", "in", "ol", "ur")]
    folder.mkdir()
    lines, shorter = [], 3
    for bound, sentences in SENTENCES.items():
        for _ in range(sentences):
            size = rng.randint(shorter + 1, min(bound, LONGEST)) - 2
            lines.append(f"{' '.join(rng.choices(words, k=size))}\t{rng.randint(0, 1)}\n")
        shorter = bound
    rng.shuffle(lines)
    for name, some in (("train", lines), ("dev", lines[:200])):
        (folder / f"{name}.tsv").write_text("sentence\tlabel\n" + "".join(some), encoding="utf-8")


def write_dataset(data: str | None, vocabulary: str | None, scratch: Path) -> str:
    """The dataset folder, by the preprocessing stage."""
    from bigbird_components.preprocess.preprocess import preprocess

    if data is None:
        data = str(scratch / "sentences")
        write_sentences(Path(data))
    preprocess("sst2", str(scratch / "dataset"), input=data, vocabulary=vocabulary, vocabulary_size=300)
    return str(scratch / "dataset")


def experiment_of(dataset: str, scratch: Path, **encoder: Any) -> Any:
    """The recipe's experiment with another encoder, its buckets chosen."""
    from bigbird.config import load_experiment
    from bigbird_components.train.sources import resolve

    changes = {"task": {"model": {"encoder": {"bigbird": {"vocab_size": VOCABULARY, **encoder}}}}}
    experiment = load_experiment("bigbird/glue", [RECIPE], [changes])
    return resolve(experiment, dataset, "train", scratch)


def batches_of(dataset: str, buckets: Sequence[int], batch_size: int) -> dict[int, float]:
    """Length -> batches of an epoch."""
    from bigbird.support.artifacts import read_manifest

    split = read_manifest(dataset, "dataset")["splits"]["train"]
    counts: dict[int, float] = dict.fromkeys(buckets, 0.0)
    for bound, records in split["lengths"]:
        counts[next(bucket for bucket in buckets if bucket >= min(bound, split["longest"]))] += records / batch_size
    return {length: batches for length, batches in counts.items() if batches}


# ---------------------------------------------------------------------------------------------- single steps


class Timer:
    """The real training step of one model, at any length."""

    def __init__(self, experiment: Any):
        from bigbird.optimization import build_schedule
        from bigbird_components.train.tensorflow_step import TensorFlowSteps

        schedule = build_schedule(experiment.trainer.optimizer_config, experiment.trainer.train_steps)
        self._steps = TensorFlowSteps(experiment, schedule, [])
        self._rows = experiment.task.train_data.global_batch_size
        self.first: dict[int, float] = {}  # length -> seconds of the first step, tracing included
        self._seconds: dict[int, list[float]] = {}

    def run(self, length: int, repeats: int) -> None:
        """Times `repeats` steps on inputs of `length` tokens."""
        import numpy as np

        rng = np.random.default_rng(length)
        shape = (self._rows, length)
        batch = {
            "input_word_ids": rng.integers(5, 300, shape).astype(np.int32),
            "input_mask": np.ones(shape, np.int32),
            "input_type_ids": np.zeros(shape, np.int32),
            "label_ids": rng.integers(0, 2, self._rows).astype(np.int32),
        }
        import tensorflow as tf

        batch = {name: tf.constant(value) for name, value in batch.items()}
        if length not in self.first:
            self.first[length] = self._time(batch)
        self._seconds.setdefault(length, []).extend(self._time(batch) for _ in range(repeats))

    def _time(self, batch: Any) -> float:
        begin = time.perf_counter()
        self._steps.wait([self._steps.train(batch)])
        return time.perf_counter() - begin

    def median(self, length: int) -> float:
        return statistics.median(self._seconds[length])

    def spread(self, length: int) -> float:
        """Between the slowest and the fastest step, of the median."""
        seconds = self._seconds[length]
        return (max(seconds) - min(seconds)) / self.median(length)


def time_steps(timer: Timer, lengths: Sequence[int]) -> None:
    """Times every length, the long ones less often."""
    for length in lengths:
        timer.run(length, max(1, min(6, 192 // length)))
    say("seconds of a step: " + ", ".join(f"{timer.median(n):.2f} at {n} tokens" for n in lengths))


def epoch(seconds: dict[int, float], batches: dict[int, float]) -> float:
    return sum(seconds[length] * count for length, count in batches.items())


def project(dataset: str, scratch: Path, turns: int) -> float:
    """The base model's epochs; returns the examples a second that its bucketed steps take here."""
    from bigbird.config import SIZES, replace

    def build(layers: int) -> Any:
        return experiment_of(dataset, scratch, **{**SIZES["base"], "num_layers": layers})[0]

    task = build(LAYERS).task
    rows, longest = task.train_data.global_batch_size, task.buckets[-1]
    batches = batches_of(dataset, task.buckets, rows)
    doubling = batches_of(dataset, replace(task, bucket_lengths=None).buckets, rows)
    lengths = sorted({*batches, *doubling, longest})
    records = round(rows * sum(batches.values()))
    one, two, whole = (Timer(build(layers)) for layers in (1, 2, LAYERS))
    for turn in range(turns):
        say(f"base model, turn {turn + 1} of {turns}")
        time_steps(whole, [n for n in lengths if n <= WHOLE])
        for timer in (one, two):
            time_steps(timer, [n for n in lengths if n > WHOLE])
    seconds = {n: whole.median(n) for n in lengths if n <= WHOLE}
    seconds |= {n: one.median(n) + (LAYERS - 1) * (two.median(n) - one.median(n)) for n in lengths if n > WHOLE}
    padded, bucketed = epoch(seconds, {longest: records / rows}), epoch(seconds, batches)
    steps = ", ".join(f"{n} tokens {seconds[n]:.2f} s x {batches[n]:.0f}" for n in batches)
    spreads = f"{whole.spread(lengths[0]):.0%} at {lengths[0]}, {two.spread(longest):.0%} at {longest}"
    show(
        "epoch of SST-2, base model, buckets against padding to 1,024",
        round(padded / bucketed, 1),
        "x",
        ">= 8",
        f"batch {rows}, {turns} turns, medians; {steps} against {longest} tokens {seconds[longest]:.1f} s (12 layers from 1 and "
        f"2) x {records / rows:.0f}; slowest less fastest step {spreads}",
    )
    show(
        "the same with the doubling lengths of records without a manifest",
        round(padded / epoch(seconds, doubling), 1),
        "x",
        None,
        f"lengths {', '.join(map(str, doubling))}",
    )
    return records / bucketed


# ------------------------------------------------------------------------------------- a whole run, the input


def whole_run(dataset: str, scratch: Path) -> None:
    """The training stage with a small model, in buckets and padded, beside what single steps foretell."""
    from bigbird.config import SIZES, load_experiment
    from bigbird_components.train.train import train

    timer = Timer(experiment_of(dataset, scratch, **SIZES["small"])[0])
    seconds, foretold = {}, {}
    for name, lengths in (("buckets", None), ("padded", [1024])):
        changes = {
            "task": {
                "model": {"encoder": {"bigbird": {"vocab_size": VOCABULARY, **SIZES["small"]}}},
                "bucket_lengths": lengths,
                "train_data": {"shuffle_buffer_size": 2000},
            },
            "trainer": {"train_steps": SMALL_STEPS, "checkpoint_interval": SMALL_STEPS},
        }
        experiment = load_experiment("bigbird/glue", [RECIPE], [changes])
        manifest = train(experiment, scratch / name, "train", dataset)
        seconds[name] = manifest["seconds"]
        used = load_experiment(config_files=[scratch / name / "config.yaml"]).task.buckets
        batches = batches_of(dataset, used, 32)
        share = SMALL_STEPS / sum(batches.values())
        time_steps(timer, list(batches))
        # Lengths that so short a run meets: those with a batch at least.
        met = [length for length, count in batches.items() if count * share >= 1]
        compiled = sum(timer.first[length] - timer.median(length) for length in met)
        steps = epoch({length: timer.median(length) for length in batches}, batches) * share
        foretold[name] = steps + compiled
    show(
        "the same of a small model, a whole run",
        round(seconds["padded"] / seconds["buckets"], 1),
        "x",
        None,
        f"{SMALL_STEPS} steps, tracing included: {seconds['buckets']:.1f} s and {seconds['padded']:.1f} s; single steps foretell "
        f"{foretold['buckets']:.1f} s and {foretold['padded']:.1f} s",
    )


def input_alone(dataset: str, scratch: Path, demand: float) -> None:
    """Records a second that the input pipeline gives when nothing trains."""
    from bigbird.data.dataset import training_dataset

    experiment, sources = experiment_of(dataset, scratch)
    batches = iter(training_dataset(sources.train.files, experiment.task, seed=1))
    next(batches)  # the shuffle buffer is full
    records, tokens, begin = 0, 0, time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        batch = next(batches)
        records, tokens = records + batch["record_id"].shape[0], tokens + int(batch["input_mask"].numpy().sum())
    rate = records / (time.perf_counter() - begin)
    weights = 85e6  # of the base model's layers
    asked = ACCELERATOR / (6 * weights * tokens / records)
    show(
        "input pipeline alone, against the base model's bucketed steps here",
        round(rate / demand),
        "x",
        ">= 2",
        f"{rate:,.0f} records/s of {tokens / records:.1f} tokens against {demand:.2f}; steps at {ACCELERATOR / 1e12:.0f} "
        f"TFLOP/s would ask for {asked:,.0f}",
    )


@click.command()
@click.option("--data", help="Folder with SST-2's train.tsv and dev.tsv.")
@click.option("--vocabulary", help="SentencePiece model; without one it is trained on the sentences.")
@click.option("--turns", default=2, show_default=True, help="Times that each length is measured.")
def main(data: str | None, vocabulary: str | None, turns: int) -> None:
    """Measure epochs in buckets against padded ones."""
    from bigbird.support.tensorflow_start import load_tensorflow

    load_tensorflow()
    with tempfile.TemporaryDirectory(prefix="bigbird-") as folder:
        scratch = Path(folder)
        dataset = write_dataset(data, vocabulary, scratch)
        demand = project(dataset, scratch, turns)
        whole_run(dataset, scratch)
        input_alone(dataset, scratch, demand)


if __name__ == "__main__":
    script.run(main)
