"""The table that closes a run."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from bigbird.manifests import DatasetManifest, EvaluationManifest
from bigbird.support.progress import format_duration
from bigbird.support.text_files import read_json_lines
from bigbird_components.command_line import flag
from bigbird_components.evaluate.wording import with_interval
from bigbird_components.gate import is_set
from bigbird_pipelines.platforms.local_steps import LocalRun

LONGEST_EXAMPLE = 200  # characters of a text that still reads well in a command


def print_summary(run: LocalRun, threshold: float) -> None:
    """Prints the metric beside its baseline, where things lie, the time per step and the next command."""
    print("\n" + "\n".join(summary_lines(run, threshold)))


def summary_lines(run: LocalRun, threshold: float) -> list[str]:
    """The table's lines, aligned in two columns."""
    evaluation = EvaluationManifest.read(run.path("evaluation"))
    primary, baseline = evaluation.scored()
    exported = "export" in run.seconds
    verdict = "reached" if exported else "missed, so nothing was exported"
    rows = [
        (
            primary.name,
            f"{with_interval(primary.value, evaluation.interval, primary.name)} on {evaluation.examples:,} examples of {evaluation.split}",
        ),
        ("baseline", f"{baseline.value:.4f} ({baseline.description})"),
        *_comparisons(evaluation, primary.name),
        ("threshold", f"{threshold:.4f}, {verdict}" if is_set(threshold) else "none was set"),
        ("report", shown(run.path("evaluation") / "report.html")),
        ("SavedModel", shown(run.path("saved_model")) if exported else "none"),
        ("time", ", ".join(f"{step} {format_duration(seconds)}" for step, seconds in run.seconds.items())),
        ("next", next_command(run) if exported else "train longer, or lower --metric-threshold"),
    ]
    width = max(len(label) for label, _ in rows)
    return [f"{label:<{width}}  {value}" for label, value in rows]


def _comparisons(evaluation: EvaluationManifest, metric: str) -> list[tuple[str, str]]:
    """What simpler models reach of a metric."""
    return [
        (each.name, f"{each.metrics[metric]:,.4f} ({each.description})")
        for each in evaluation.comparisons
        if metric in each.metrics
    ]


def next_command(run: LocalRun) -> str:
    """A `bigbird predict` command with an example that the model has not been trained on."""
    example = _first_example(run.path("dataset"))
    bigbird = "bigbird" if shutil.which("bigbird") else shlex.quote(shown(Path(sys.argv[0]).absolute()))
    command = f"{bigbird} predict --model {shlex.quote(shown(run.folder))}"
    options = {flag(name): text for name, text in example.items()}
    if all(len(text) <= LONGEST_EXAMPLE and "\n" not in text for text in options.values()):
        return " ".join([command, *(f"{option} {shlex.quote(text)}" for option, text in options.items())])
    file = run.folder / "example.jsonl"
    fields = {"text_a" if name == "text" else name: text for name, text in example.items()}
    file.write_text(json.dumps(fields, ensure_ascii=False) + "\n", encoding="utf-8")
    return f"{command} {shlex.quote(shown(file))}"


def shown(path: Path) -> str:
    """A path as short as it can be written from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _first_example(dataset: Path) -> dict[str, str]:
    """The first validation example, by `bigbird predict`'s option names."""
    splits = DatasetManifest.read(dataset).splits
    split = next(name for name in splits if name.startswith("validation"))
    record: dict[str, Any]
    _, record = next(read_json_lines(dataset / f"{split}.examples.jsonl", "the split's examples"))
    if "context" in record:  # a line of SQuAD's holds several questions
        asked = record["questions"][0] if "questions" in record else record
        return {"question": asked["question"], "context": record["context"]}
    pair = {"text": record["text_a"], "text_b": record.get("text_b")}
    return {name: text for name, text in pair.items() if text is not None}
