"""The gate before export: a threshold that nobody set keeps no model back, however bad its metric is."""

import math

import pytest

from bigbird_components.gate import NO_THRESHOLD, is_set, passes

METRICS = [1.0, 0.5, 0.0, -0.0, -0.3, -1.0, -1.0000000002, -2.5, -1e6, math.nan]


@pytest.mark.parametrize("threshold", [NO_THRESHOLD, -math.inf, math.nan])
@pytest.mark.parametrize("metric", METRICS)
def test_without_a_threshold_every_model_is_exported(metric, threshold):
    assert passes(metric, threshold) and not is_set(threshold)


@pytest.mark.parametrize("threshold", [-2.0, -1.0, -0.9999, -0.3, 0.0, 0.5, 1.0])  # R2 may be below -1
def test_a_threshold_that_is_set_is_the_least_value(threshold):
    assert is_set(threshold)
    assert [metric for metric in METRICS if passes(metric, threshold)] == [m for m in METRICS if m >= threshold]
