"""The evaluation's report.html: the result against the best constant answer, then where it comes from."""

from __future__ import annotations

from bigbird.manifests import DatasetManifest, EvaluationManifest, ModelManifest
from bigbird.reports import report
from bigbird.support.progress import format_duration
from bigbird.tasks.evaluation import Evaluation
from bigbird.tasks.family import AnsweringFamily
from bigbird.tasks.registry import answering_family
from bigbird_components.evaluate.report_charts import comparison_chart, length_chart, length_table
from bigbird_components.evaluate.report_training import training_section
from bigbird_components.evaluate.wording import interval_words, plain_name, verdict


def evaluation_page(
    evaluation: Evaluation,
    manifest: EvaluationManifest,
    model_dir: str,
    model: ModelManifest,
    dataset: DatasetManifest,
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
    task = manifest.task
    family = answering_family(task)
    details = family.report_sections(evaluation.results, tokens)
    training = training_section(model_dir, evaluation.primary)
    lengths = _lengths(family, manifest)
    sections = [
        _summary(family, evaluation, manifest),
        _compared(family, manifest, model),
        lengths,
        *details,
        training,
        _origin(manifest, model, dataset),
    ]
    subtitle = f"Split {manifest.split}, {manifest.examples:,} {family.unit}, {manifest.which} checkpoint, step {manifest.checkpoint:,}"
    return report.page(f"{family.title(task)}: evaluation", sections, subtitle=subtitle)


def _summary(family: AnsweringFamily, evaluation: Evaluation, manifest: EvaluationManifest) -> report.Html:
    if not manifest.labelled:
        text = (
            f"The split “{manifest.split}” has no labels, so there is nothing to score: "
            f"this folder holds predictions only ({', '.join(manifest.files)})."
        )
        return report.section("Predictions only", text)
    name = evaluation.primary
    primary, constant = manifest.scored()
    value, baseline = primary.value, constant.value
    tiles = report.tiles(
        [
            (plain_name(name), value, interval_words(manifest.interval, name) or "the model"),
            ("Best constant answer", baseline, constant.description),
            _gain(value, baseline, name in family.lower_is_better),
        ]
    )
    comparisons = manifest.comparisons
    others = [evaluation.baseline, *(each.metrics for each in comparisons)]
    rows = [
        [
            plain_name(name),
            _shown(name, score),
            *(_shown(name, other.get(name)) for other in others),
            family.metric_meanings.get(name, ""),
        ]
        for name, score in evaluation.metrics.items()
    ]
    names = [plain_name(each.name) for each in comparisons]
    table = report.table(["metric", "model", "constant answer", *names, "what it says"], rows)
    note = report.caption(family.metric_note) if family.metric_note else ""
    return report.section("Result", tiles, table, note)


def _gain(value: float, baseline: float, lower_is_better: bool) -> tuple[str, float, str]:
    """A tile: how far the model is from the constant answer, in the direction that is better."""
    if lower_is_better:
        return "Below it by", baseline - value, "lower is better; 0 would mean that nothing was learnt"
    return "Above it by", value - baseline, "0 would mean that nothing was learnt"


def _compared(family: AnsweringFamily, manifest: EvaluationManifest, model: ModelManifest) -> report.Html:
    """The model beside simpler ones: the primary metric, what they are, the seconds they took."""
    comparisons = manifest.comparisons
    if not comparisons:
        return report.Html("")
    primary, constant = manifest.scored()
    lower = primary.name in family.lower_is_better
    trained, answered = format_duration(model.seconds), format_duration(manifest.answering_seconds)
    rows = [
        ["the model", f"{model.parameters:,} parameters", f"{trained} to train, {answered} to load and to answer"],
        ["constant answer", constant.description, "none"],
        *([plain_name(each.name), each.description, f"{each.seconds:.1f} s, all in all"] for each in comparisons),
    ]
    unavailable = manifest.comparisons_unavailable or {}
    absent = "; ".join(f"{plain_name(name)}: {reason}" for name, reason in unavailable.items())
    return report.section(
        "Beside simpler models",
        verdict(manifest, lower_is_better=lower),
        comparison_chart(manifest, lower_is_better=lower),
        report.table(["model", "what it is", "time"], rows),
        report.caption(f"Not available: {absent}.") if absent else "",
    )


def _lengths(family: AnsweringFamily, manifest: EvaluationManifest) -> report.Html:
    """The model where it may read less."""
    if not manifest.at_lengths:
        return report.Html("")
    lower = manifest.scored()[0].name in family.lower_is_better
    names = list(manifest.metrics)[:4]
    return report.section(
        "When the model may read less",
        "The same model on the same examples, of which at most the given number of tokens is read. It was trained on longer texts: a "
        "model that is trained on shorter ones may do better at that length.",
        length_chart(manifest, lower_is_better=lower),
        length_table(manifest, names),
    )


def _shown(name: str, value: float | None) -> float | int | None:
    return int(value) if value is not None and name.endswith("_total") else value


def _origin(manifest: EvaluationManifest, model: ModelManifest, dataset: DatasetManifest) -> report.Html:
    vocabulary = dataset.vocabulary
    rows = [
        ["model's parameters", f"{model.parameters:,}"],
        ["training steps", f"{model.steps:,}, in {format_duration(model.seconds)}"],
        ["checkpoint", f"{manifest.which}, step {manifest.checkpoint:,}"],
        *([["computed in", manifest.precision]] if manifest.precision else []),
        ["vocabulary", f"{vocabulary.size:,} pieces, sha256 {vocabulary.sha256[:16]}…"],
        ["longest input allowed", f"{dataset.max_length:,} tokens"],
        ["evaluated in", format_duration(manifest.seconds)],
        ["files beside this page", ", ".join(["metrics.json", *manifest.files])],
        ["package version", manifest.version or "unknown"],
    ]
    return report.section("Where this comes from", report.table(["", ""], rows))
