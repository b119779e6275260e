"""What a registered version's labels say, in the few characters that labels may hold."""

from __future__ import annotations

import hashlib
import json
import math
import re
from decimal import Decimal
from pathlib import Path

from bigbird.manifests import DatasetManifest, SavedModelManifest
from bigbird.support.errors import InputError
from bigbird.support.integrity import CHECKSUMS, SEAL
from bigbird_components.model_names import LABEL

OURS, OURS_VALUE = LABEL

DIGITS = 6  # of a metric; more differ between machines
_LONGEST = 63
_DIGEST = 16
_METRIC = re.compile(rf"(-?)(\d+)_(\d{{{DIGITS}}})")


def label_value(text: str) -> str:
    """`text` as a label: lower case, other characters than a-z, 0-9, _ and - as -, cut to 63."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:_LONGEST]


def rounded(value: float) -> Decimal:
    """A metric as it is compared and recorded: with six digits.

    Raises:
        InputError: it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise InputError(f"the metric is {value}, which cannot be compared; train and evaluate the model again")
    return Decimal(f"{value:.{DIGITS}f}") + 0  # never -0


def metric_label(value: Decimal) -> str:
    """0.869037 -> "0_869037"; -0.05 -> "-0_050000"."""
    return f"{value:.{DIGITS}f}".replace(".", "_")


def metric_of(label: str) -> Decimal | None:
    """The metric that `metric_label` wrote, None where something else stands there."""
    match = _METRIC.fullmatch(label)
    return Decimal(f"{match[1]}{match[2]}.{match[3]}") if match else None


def evaluation_fingerprint(dataset: str, split: str, metric: str) -> str:
    """16 digits that are the same where the same metric was measured on the same examples.

    Raises:
        InputError: the split's examples are missing.
    """
    file = Path(dataset) / f"{split}.examples.jsonl"
    try:
        with file.open("rb") as examples:
            digest = hashlib.file_digest(examples, "sha256")
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; give the dataset folder that was evaluated") from None
    digest.update(metric.encode())
    return digest.hexdigest()[:_DIGEST]


def dataset_fingerprint(manifest: DatasetManifest) -> str:
    """16 digits of a dataset's manifest: its splits, layout and vocabulary, not how and by which code it was written."""
    left_out = ("version", "revision", CHECKSUMS, SEAL)
    # As manifests of format 1 say it, so that versions that are registered already compare.
    facts = {name: value for name, value in manifest.to_json().items() if name not in left_out} | {"format": 1}
    return _digest(json.dumps(facts, sort_keys=True))


def run_label(pipeline: str, artifact_uri: str, saved_model: SavedModelManifest) -> str:
    """What names a run: its pipeline job's id, or without a pipeline 16 digits of where its model lies and of which one lies there.

    Args:
        pipeline: the job's resource name or id; may be empty.
        artifact_uri: the SavedModel's folder.
        saved_model: its manifest; another model that is exported to the same folder later has another.
    """
    job = pipeline.rstrip("/").rpartition("/")[2]
    if job:
        return job if job == label_value(job) else _digest(job)
    return _digest(f"{artifact_uri.rstrip('/')}\n{saved_model.manifest_sha256 or ''}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
