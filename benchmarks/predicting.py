"""`bigbird predict --output` on a table against the bare SavedModel on the same texts, in batches of as many rows.

    python benchmarks/predicting.py MODEL [--rows 200000] [--words 60]

MODEL is the folder of a SavedModel of one text. A CSV file of texts of 1 to twice as many words is made and answered; then, in the same process, the
SavedModel's signature gets the same texts, 64 at once, sorted by length within 2,048 rows as predict sorts them. Both are told in rows a second of the
clock and of the processors' time, which a busy machine does not change; and the most memory that predicting took above loading.
"""

from __future__ import annotations

import csv
import json
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import script

from bigbird.support.tensorflow_start import load_tensorflow

WORDS = "the old red mill stands by a river and birds fly over green fields while rain falls softly again".split()


def texts(rows: int, words: int) -> Iterator[str]:
    """Texts that are the same in each call."""
    rng = random.Random(0)
    for _ in range(rows):
        yield " ".join(rng.choices(WORDS, k=rng.randint(1, 2 * words)))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processors."""
    started = time.monotonic(), time.process_time()
    work()
    return time.monotonic() - started[0], time.process_time() - started[1]


@click.command()
@click.argument("model")
@click.option("--rows", default=200_000, show_default=True)
@click.option("--words", default=60, show_default=True, help="Of a text, on average.")
def main(model: str, rows: int, words: int) -> None:
    """Measures both and prints a line of JSON."""
    load_tensorflow()
    from bigbird.serving.saved_model import Predictor
    from bigbird_components.predict.answering import ROWS_AT_ONCE
    from bigbird_components.predict.predict import predict
    from bigbird_components.predict.rows import ROWS

    predictor = Predictor(Path(model))
    (field,) = predictor.fields

    def bare(count: int) -> None:
        shard: list[str] = []
        for number, text in enumerate(texts(count, words), 1):
            shard.append(text)
            if len(shard) == ROWS or number == count:
                shard.sort(key=len, reverse=True)
                for start in range(0, len(shard), ROWS_AT_ONCE):
                    predictor.outputs([{field: each} for each in shard[start : start + ROWS_AT_ONCE]])
                shard.clear()

    with tempfile.TemporaryDirectory() as name:
        table = Path(name) / "table.csv"

        def write(count: int) -> str:
            with table.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["id", field])
                writer.writerows(enumerate(texts(count, words)))
            return str(table)

        bare(ROWS)  # what is traced and loaded once counts for neither
        predict(model, write(ROWS), f"{name}/first")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        path = write(rows)
        ours = timed(lambda: predict(model, path, f"{name}/out"))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
        theirs = timed(lambda: bare(rows))
    figures = {
        "rows": rows,
        "predict_rows_per_second": [round(rows / seconds, 1) for seconds in ours],
        "bare_rows_per_second": [round(rows / seconds, 1) for seconds in theirs],
        "ratio": [round(b / a, 3) for a, b in zip(ours, theirs, strict=True)],
        "memory_grown_mib": round(grown / 1024, 1),
    }
    click.echo(json.dumps(figures))


if __name__ == "__main__":
    script.run(main)
