"""The exported classifier on raw text against the bare encoder on the same ids, batch 32.

    BIGBIRD_DATA=FOLDER python benchmarks/exported.py [--rounds 5]

A classifier of base layers with fresh weights is exported by the export stage; its raw-text signature gets sentences like
SST-2's and documents of about 1,000 tokens. Beside it, in the same process and in turns, the Keras encoder alone runs under
`tf.function` on the ids of the same texts, padded to the same bucket. Two layers instead of twelve: what the signature adds
(tokenising, padding, gathering) does not grow with the layers, so a deeper model's ratio is the better one. Also: how long
one word of 400,000 characters takes.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import fresh
import samples
import script

from bigbird.support.progress import Progress
from bigbird.support.tensorflow_start import load_tensorflow

BATCH, MAX_LENGTH = 32, 1024
DOCUMENT_WORDS = 720  # about 1,000 pieces
LONG_WORD = 400_000  # characters


def padded(vocabulary: Any, texts: Sequence[str], buckets: Sequence[int]) -> dict[str, Any]:
    """The texts as the encoder's inputs, int32[B, L], L the bucket that all of them share."""
    import numpy as np

    pieces = [ids[: MAX_LENGTH - 2] for ids in vocabulary.encode(texts)]
    fitting = {min(bucket for bucket in buckets if bucket >= len(ids) + 2) for ids in pieces}
    if len(fitting) != 1:
        raise SystemExit(
            f"the texts fall into buckets {sorted(fitting)}; expected one, so that both sides do the same work"
        )
    word_ids = np.zeros((len(texts), fitting.pop()), "int32")
    mask = np.zeros_like(word_ids)
    for row, ids in enumerate(pieces):
        word_ids[row, : len(ids) + 2] = [vocabulary.cls_id, *ids, vocabulary.sep_id]
        mask[row, : len(ids) + 2] = 1
    return {"input_word_ids": word_ids, "input_mask": mask, "input_type_ids": np.zeros_like(word_ids)}


def in_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int, repeats: int, label: str
) -> dict[str, list[float]]:
    """Seconds of every call, `repeats` of each in turns, after two that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    progress = Progress(label, rounds)
    for number in range(-2, rounds):
        progress.update(max(0, number))
        for name, call in calls.items():
            for _ in range(repeats if number >= 0 else 1):
                begin = time.perf_counter()
                call()
                if number >= 0:
                    seconds[name].append(time.perf_counter() - begin)
    progress.finish()
    return seconds


def row(kind: str, seconds: dict[str, list[float]], shape: Sequence[int], layers: int, origin: str) -> dict[str, Any]:
    """The figure of one kind of text."""
    text, bare = (statistics.median(seconds[name]) for name in ("text", "encoder"))
    spread = ", ".join(f"{name} {min(s):.3f} to {max(s):.3f} s" for name, s in seconds.items())
    return {
        "what": f"exported classifier, raw text, batch {BATCH}, {kind}: throughput against the bare encoder",
        "value": round(bare / text, 3),
        "unit": "x",
        "bar": ">= 0.9",
        "detail": f"{text:.3f} s against {bare:.3f} s, medians of {len(seconds['text'])} ({spread}); {layers} base layers, "
        f"padded to {shape[1]}; {origin}",
    }


def long_word(predictor: Any, rounds: int) -> dict[str, Any]:
    """How long a request takes that is one word of characters without a piece, which could be quadratic."""
    word = [{"text_a": "\u20ac" * LONG_WORD}]
    seconds = in_turns({"text": lambda: predictor.outputs(word)}, rounds, 1, "a long word")["text"]
    return {
        "what": f"exported classifier, one word of {LONG_WORD:,} characters that no piece holds",
        "value": round(statistics.median(seconds), 3),
        "unit": "s",
        "bar": None,
        "detail": f"{min(seconds):.3f} to {max(seconds):.3f} s, {MAX_LENGTH} tokens are left of it",
    }


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Turns of each side.")
@click.option("--layers", default=2, show_default=True, help="Of base size.")
@click.option("--data", envvar="BIGBIRD_DATA", help="Folder with real texts to vary; made-up ones without.")
def main(rounds: int, layers: int, data: str | None) -> None:
    """Measure the exported classifier on raw text."""
    load_tensorflow()
    import tensorflow as tf

    from bigbird.serving.saved_model import Predictor
    from bigbird.text.vocabulary import Vocabulary

    source = samples.load(data)
    vocabulary = Vocabulary(source.vocabulary)
    with tempfile.TemporaryDirectory(prefix="bigbird-bench-") as folder:
        print("exporting a model", file=sys.stderr)
        exported = fresh.export_classifier(source, Path(folder), MAX_LENGTH, {"num_layers": layers})
        predictor = Predictor(exported.folder)
        encoder = tf.function(lambda features: exported.model.encoder(features)["sequence_output"])
        for kind, texts, repeats in (
            ("SST-2's sentences", source.sentences[:BATCH], 5),
            ("documents of 1,000 tokens", samples.documents(source, BATCH, DOCUMENT_WORDS), 1),
        ):
            features = padded(vocabulary, texts, exported.buckets)
            tensors = {name: tf.constant(value) for name, value in features.items()}
            examples = [{"text_a": text} for text in texts]
            # On CPUs a call ends when its result is there.
            calls = {"text": partial(predictor.outputs, examples), "encoder": partial(encoder, tensors)}
            seconds = in_turns(calls, rounds, repeats, kind)
            print(json.dumps(row(kind, seconds, features["input_mask"].shape, layers, source.origin)), flush=True)
        print(json.dumps(long_word(predictor, rounds)))


if __name__ == "__main__":
    script.run(main)
