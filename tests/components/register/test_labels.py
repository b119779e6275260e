import re
from decimal import Decimal

import pytest

from bigbird.manifests import SavedModelManifest
from bigbird.support.errors import InputError
from bigbird_components.register.labels import (
    dataset_fingerprint,
    evaluation_fingerprint,
    label_value,
    metric_label,
    metric_of,
    rounded,
    run_label,
)
from bigbird_components.register.register import is_better
from tests import manifests


@pytest.mark.parametrize(
    ("value", "label"),
    [(0.8690371, "0_869037"), (1.0, "1_000000"), (0.0, "0_000000"), (-0.05, "-0_050000"), (-1e-9, "0_000000"), (91.25, "91_250000")],
)  # fmt: skip
def test_a_metric_goes_into_a_label_and_back(value, label):
    assert metric_label(rounded(value)) == label
    assert re.fullmatch(r"[a-z0-9_-]{1,63}", label)
    assert metric_of(label) == rounded(value)


@pytest.mark.parametrize("label", ["", "0.869037", "0_86", "good", "0_8690371"])
def test_what_is_no_metric_is_none(label):
    assert metric_of(label) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_not_finite_is_refused(value):
    with pytest.raises(InputError, match="cannot be compared"):
        rounded(value)


def test_any_text_becomes_a_label():
    assert label_value("0123abc-dirty-9F") == "0123abc-dirty-9f"
    assert label_value("Ünï/c.öde" * 20) == ("-n--c--de" * 7)[:63]


def test_a_run_is_its_job_or_where_its_model_lies():
    job = "projects/1/locations/europe-west4/pipelineJobs/bigbird-finetune-20260105"
    exported, retrained = (SavedModelManifest(task="cola", manifest_sha256=digit * 64) for digit in "12")
    assert run_label(job, "gs://b/m", exported) == run_label(job, "gs://b/m", retrained) == "bigbird-finetune-20260105"
    first = run_label("", "gs://b/m", exported)
    assert run_label("", "gs://b/m/", exported) == first
    assert first not in (run_label("", "gs://b/n", exported), run_label("", "gs://b/m", retrained))
    assert run_label("", "gs://b/m", SavedModelManifest(task="cola")) not in ("", first)
    for odd in ("Job", "j" * 64):
        assert re.fullmatch("[0-9a-f]{16}", run_label(odd, "", exported))


def test_the_same_examples_and_metric_have_the_same_fingerprint(tmp_path):
    file = tmp_path / "validation.examples.jsonl"
    file.write_text("1\n")
    first = evaluation_fingerprint(str(tmp_path), "validation", "f1")
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert evaluation_fingerprint(str(tmp_path), "validation", "accuracy") != first
    file.write_text("2\n")
    assert evaluation_fingerprint(str(tmp_path), "validation", "f1") != first
    with pytest.raises(InputError, match=r"test\.examples\.jsonl: no such file"):
        evaluation_fingerprint(str(tmp_path), "test", "f1")
    first, second = (dataset_fingerprint(manifests.dataset(task="a", revision=revision)) for revision in "12")
    assert first == second
    assert dataset_fingerprint(manifests.dataset(task="a")) != dataset_fingerprint(manifests.dataset(task="b"))


@pytest.mark.parametrize(
    ("challenger", "champion", "margin", "better"),
    [
        ("0.871000", "0.869000", 0.002, True),  # 0.869 + 0.002 is above 0.871 in binary
        ("0.870999", "0.869000", 0.002, False),
        ("0.500000", "0.500000", 0.0, False),
        ("0.500001", "0.500000", 0.0, True),
        ("0.000000", "-0.100000", 0.1, True),
        ("0.400000", "0.500000", 0.0, False),
    ],
)
def test_better_is_by_the_margin_and_never_equal(challenger, champion, margin, better):
    assert is_better(Decimal(challenger), Decimal(champion), margin) is better
