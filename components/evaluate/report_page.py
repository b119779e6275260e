"""The evaluation's report.html: the result against the best constant answer, then where it comes from."""

from __future__ import annotations

from typing import Any

from bigbird import report
from bigbird.console import format_duration
from bigbird.scoring import Evaluation, GlueResults
from bigbird.tasks.glue import TASKS
from components.evaluate.report_glue import glue_sections
from components.evaluate.report_squad import squad_sections
from components.evaluate.report_training import training_section

# What each metric says, in a few words.
MEANINGS = {
    "accuracy": "share of right labels",
    "f1": "harmonic mean of precision and recall",
    "matthews_corrcoef": "correlation of labels; 0 is chance, 1 is perfect",
    "pearson": "linear correlation with the right scores",
    "spearman": "correlation of the ranks",
    "exact_match": "answers equal to a right one, but for case, punctuation and articles",
    "HasAns_exact": "exact match on questions that have an answer",
    "HasAns_f1": "F1 on questions that have an answer",
    "NoAns_exact": "unanswerable questions rightly left unanswered",
    "NoAns_f1": "the same, as F1",
    "best_exact": "the most exact match that any null threshold gives",
    "best_exact_thresh": "that threshold, on the null odds",
    "best_f1": "the most F1 that any null threshold gives",
    "best_f1_thresh": "that threshold, on the null odds",
}
SQUAD_MEANINGS = {**MEANINGS, "f1": "overlap of words with the nearest right answer"}
TITLES = {
    "squad_v1": "SQuAD v1.1",
    "squad_v2": "SQuAD v2.0",
    "triviaqa_wikipedia": "TriviaQA, Wikipedia",
    "triviaqa_web": "TriviaQA, web",
}


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
    name = TITLES.get(task) or TASKS[task].folder
    results = evaluation.answers
    details = glue_sections(results, tokens) if isinstance(results, GlueResults) else squad_sections(results)
    training = training_section(model_dir, evaluation.primary)
    sections = [_summary(evaluation, manifest), *details, training, _origin(manifest, model, dataset)]
    unit = "examples" if isinstance(results, GlueResults) else "questions"
    subtitle = f"Split {manifest['split']}, {manifest['examples']:,} {unit}, {manifest['which']} checkpoint, step {manifest['checkpoint']:,}"
    return report.page(f"{name}: evaluation", sections, subtitle=subtitle)


def _summary(evaluation: Evaluation, manifest: dict[str, Any]) -> report.Html:
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
    squad = manifest["task"] in TITLES
    meanings = SQUAD_MEANINGS if squad else MEANINGS
    rows = [
        [_plain(name), _shown(name, score), _shown(name, evaluation.baseline.get(name)), meanings.get(name, "")]
        for name, score in evaluation.metrics.items()
    ]
    table = report.table(["metric", "model", "constant answer", "what it says"], rows)
    scale = report.caption("Fractions of 1; the official SQuAD scripts print 100 times as much.") if squad else ""
    return report.section("Result", tiles, table, scale)


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
