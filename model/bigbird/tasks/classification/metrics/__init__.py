"""Metrics for texts with one label, with several labels, and with a number.

The values are scikit-learn's and SciPy's. A metric that is not defined for the examples at hand is left out of the result and
named in `Metrics.undefined` with the reason: nothing is NaN, nothing is replaced by 0, and no warning is printed.

A mean over labels (`macro_...`) is the mean over the labels for which the metric is defined.
"""

from bigbird.tasks.classification.metrics.by_kind import (
    LOWER_IS_BETTER,
    NUMBERS,
    ONE_LABEL,
    SEVERAL_LABELS,
    Metrics,
    label_set_metrics,
    number_metrics,
    one_label_metrics,
    several_labels_metrics,
)
from bigbird.tasks.classification.metrics.calibration import (
    CALIBRATION_BINS,
    CalibrationBins,
    calibration_bin,
    calibration_bins,
    expected_calibration_error,
)
from bigbird.tasks.classification.metrics.checks import (
    checked_numbers,
    checked_one_label,
    checked_several_labels,
    of_sum_one,
)
from bigbird.tasks.classification.metrics.per_label import PER_LABEL
from bigbird.tasks.classification.metrics.undefined import Undefined, quiet

__all__ = [
    "CALIBRATION_BINS",
    "LOWER_IS_BETTER",
    "NUMBERS",
    "ONE_LABEL",
    "PER_LABEL",
    "SEVERAL_LABELS",
    "CalibrationBins",
    "Metrics",
    "Undefined",
    "calibration_bin",
    "calibration_bins",
    "checked_numbers",
    "checked_one_label",
    "checked_several_labels",
    "expected_calibration_error",
    "label_set_metrics",
    "number_metrics",
    "of_sum_one",
    "one_label_metrics",
    "quiet",
    "several_labels_metrics",
]
