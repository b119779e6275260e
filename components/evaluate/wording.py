"""An evaluation's result in words, for the report and the commands."""

from __future__ import annotations

from bigbird.manifests import EvaluationManifest, Interval
from bigbird.tasks.registry import answering_family


def with_interval(value: float, interval: Interval | None, name: str) -> str:
    """`0.9670, 95 % interval 0.941 to 0.989`.

    Args:
        value: the metric's.
        interval: as metrics.json has it; None where there is none.
        name: the metric's.
    """
    words = interval_words(interval, name)
    return f"{value:,.4f}" + (f", {words}" if words else "")


def interval_words(interval: Interval | None, name: str) -> str:
    """`95 % interval 0.941 to 0.989`; empty where this metric has none."""
    if interval is None or interval.metric != name:
        return ""
    if interval.low is None:
        return "no interval, as too few draws of the examples define it"
    return f"{interval.confidence * 100:.0f} % interval {interval.low:,.3f} to {interval.high:,.3f}"


def lower_is_better(task: str, metric: str) -> bool:
    """Whether a task's metric is an error."""
    return metric in answering_family(task).lower_is_better


_LONG_WORDS = {
    "f1": "F1",
    "corrcoef": "correlation",
    "matthews": "Matthews",
    "thresh": "threshold",
    "tfidf": "TF-IDF",
    "roc auc": "ROC AUC",
    "pr auc": "PR AUC",
}


def plain_name(name: str) -> str:
    """`HasAns_exact` -> `HasAns exact`, `f1` -> `F1`, `tfidf` -> `TF-IDF`."""
    words = name.replace("_", " ")
    for short, long in _LONG_WORDS.items():
        words = words.replace(short, long)
    return words[0].upper() + words[1:]


def verdict(manifest: EvaluationManifest, *, lower_is_better: bool) -> str:
    """The model against the best of the comparisons that have its primary metric; empty where there is none."""
    primary, _ = manifest.scored()
    name, value = primary.name, primary.value
    others = {each.name: each.metrics[name] for each in manifest.comparisons if name in each.metrics}
    if not others:
        return ""
    best = min(others, key=lambda other: others[other] if lower_is_better else -others[other])
    gain = others[best] - value if lower_is_better else value - others[best]
    better = "lower" if lower_is_better else "higher"
    said = (
        f"{plain_name(name)} ({better} is better): the model has {value:,.4f}, {plain_name(best)} {others[best]:,.4f}"
    )
    if gain == 0:
        return f"{said}, the same."
    if gain > 0:
        return f"{said}. The model is better by {gain:,.4f} than the best of the simpler models."
    return f"{said}. A simpler model is better than this one by {-gain:,.4f}."
