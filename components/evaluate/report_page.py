"""The evaluation's report.html: the result against the best constant answer, then where it comes from."""

from __future__ import annotations

from typing import Any

from bigbird import report
from bigbird.console import format_duration
from bigbird.tasks.family import AnsweringFamily, Evaluation
from bigbird.tasks.registry import answering_family
from components.evaluate.report_training import training_section


def evaluation_page(
    evaluation: Evaluation,
    manifest: dict[str, Any],
    model_dir: str,
    model: dict[str, Any],
    dataset: dict[str, Any],
    tokens: dict[int, int],
) -> str:
    """The page.

    Args:
        evaluation: metrics and the outcome of every example.
        manifest: the evaluation's.
        model_dir: the model folder.
        model: the model's manifest.
        dataset: the dataset's manifest.
        tokens: record id -> length in tokens.
    """
    task = manifest["task"]
    family = answering_family(task)
    details = family.report_sections(evaluation.results, tokens)
    training = training_section(model_dir, evaluation.primary)
    sections = [_summary(family, evaluation, manifest), *details, training, _origin(manifest, model, dataset)]
    subtitle = f"Split {manifest['split']}, {manifest['examples']:,} {family.unit}, {manifest['which']} checkpoint, step {manifest['checkpoint']:,}"
    return report.page(f"{family.title(task)}: evaluation", sections, subtitle=subtitle)


def _summary(family: AnsweringFamily, evaluation: Evaluation, manifest: dict[str, Any]) -> report.Html:
    if not manifest["labelled"]:
        text = (
            f"The split “{manifest['split']}” has no labels, so there is nothing to score: "
            f"this folder holds predictions only ({', '.join(manifest['files'])})."
        )
        return report.section("Predictions only", text)
    value, baseline = manifest["primary"]["value"], manifest["baseline"]["value"]
    tiles = report.tiles(
        [
            (_plain(evaluation.primary), value, "the model"),
            ("Best constant answer", baseline, manifest["baseline"]["description"]),
            ("Above it by", value - baseline, "0 would mean that nothing was learnt"),
        ]
    )
    rows = [
        [
            _plain(name),
            _shown(name, score),
            _shown(name, evaluation.baseline.get(name)),
            family.metric_meanings.get(name, ""),
        ]
        for name, score in evaluation.metrics.items()
    ]
    table = report.table(["metric", "model", "constant answer", "what it says"], rows)
    note = report.caption(family.metric_note) if family.metric_note else ""
    return report.section("Result", tiles, table, note)


def _plain(name: str) -> str:
    """`HasAns_exact` -> `HasAns exact`, `f1` -> `F1`."""
    words = name.replace("_", " ").replace("f1", "F1").replace("corrcoef", "correlation").replace("thresh", "threshold")
    return words[0].upper() + words[1:]


def _shown(name: str, value: float | None) -> float | int | None:
    return int(value) if value is not None and name.endswith("_total") else value


def _origin(manifest: dict[str, Any], model: dict[str, Any], dataset: dict[str, Any]) -> report.Html:
    vocabulary = dataset["vocabulary"]
    rows = [
        ["model's parameters", f"{model['parameters']:,}"],
        ["training steps", f"{model['steps']:,}, in {format_duration(model['seconds'])}"],
        ["checkpoint", f"{manifest['which']}, step {manifest['checkpoint']:,}"],
        ["vocabulary", f"{vocabulary['size']:,} pieces, sha256 {vocabulary['sha256'][:16]}…"],
        ["longest input allowed", f"{dataset['max_length']:,} tokens"],
        ["evaluated in", format_duration(manifest["seconds"])],
        ["files beside this page", ", ".join(["metrics.json", *manifest["files"]])],
        ["package version", manifest["version"]],
    ]
    return report.section("Where this comes from", report.table(["", ""], rows))
