"""From logits to probabilities and labels: a temperature and thresholds, chosen on the validation split.

`fit_one_label` and `fit_several_labels` choose; `Decisions` holds what was chosen, applies it in NumPy, and is kept as JSON beside
the model, so that evaluation and serving decide alike.

Temperature: logits are divided by it before the softmax or sigmoid (Guo et al., "On Calibration of Modern Neural Networks",
2017). It changes how sure the model is, not the order of its answers.
"""

from bigbird.tasks.classification.decisions.decided import (
    DEFAULT_THRESHOLD,
    TEMPERATURES,
    Activation,
    Choice,
    Decisions,
)
from bigbird.tasks.classification.decisions.fitting import (
    LEAST_EXAMPLES,
    LEAST_POSITIVES,
    fit_one_label,
    fit_several_labels,
)
from bigbird.tasks.classification.decisions.probabilities import sigmoid, softmax
from bigbird.tasks.classification.decisions.record import decisions_of, from_record
from bigbird.tasks.classification.decisions.thresholds import THRESHOLD_METRICS

__all__ = [
    "DEFAULT_THRESHOLD",
    "LEAST_EXAMPLES",
    "LEAST_POSITIVES",
    "TEMPERATURES",
    "THRESHOLD_METRICS",
    "Activation",
    "Choice",
    "Decisions",
    "decisions_of",
    "fit_one_label",
    "fit_several_labels",
    "from_record",
    "sigmoid",
    "softmax",
]
