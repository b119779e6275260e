"""The charts of a classification report, as Matplotlib figures; `as_html` puts one on a page.

Text stays text in the SVG, so a reader's own fonts show what Matplotlib's lack: labels in any script.
"""

from bigbird.tasks.classification.plots.confusions import (
    MOST_LABELS,
    Confusion,
    confusion_matrix,
    confusions_table,
    worst_confusions,
)
from bigbird.tasks.classification.plots.curves import MOST_CURVES, precision_recall_curves, reliability_diagram
from bigbird.tasks.classification.plots.label_text import short_label
from bigbird.tasks.classification.plots.lengths import LENGTHS, metric_by_length
from bigbird.tasks.classification.plots.numbers import MOST_POINTS, predicted_against_gold
from bigbird.tasks.classification.plots.style import ACCENT, FEW, INK, LINE, PALE, SOFT, as_html

__all__ = [
    "ACCENT",
    "FEW",
    "INK",
    "LENGTHS",
    "LINE",
    "MOST_CURVES",
    "MOST_LABELS",
    "MOST_POINTS",
    "PALE",
    "SOFT",
    "Confusion",
    "as_html",
    "confusion_matrix",
    "confusions_table",
    "metric_by_length",
    "precision_recall_curves",
    "predicted_against_gold",
    "reliability_diagram",
    "short_label",
    "worst_confusions",
]
