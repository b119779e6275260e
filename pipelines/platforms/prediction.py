"""Answering a table with a registered model, on a platform that has both: what is asked, and how the job stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")
"""States that change no more; only the first is success."""


@dataclass(frozen=True)
class PredictionRequest:
    """What is to be answered.

    Attributes:
        name: what people call the job: model and time.
        model: display name of a registered model.
        version: its number or alias; empty is the default one.
        files: addresses in a bucket, of one format.
        format: csv or jsonl.
        output: a bucket's folder.
        id_column: column of the rows' names; empty without one.
        machine_type: of the provider's names.
        replicas: machines at most.
    """

    name: str
    model: str
    version: str
    files: Sequence[str]
    format: str
    output: str
    id_column: str
    machine_type: str
    replicas: int


@dataclass(frozen=True)
class PredictionJob:
    """A job.

    Attributes:
        state: QUEUED, PENDING, RUNNING, PAUSED, UPDATING, CANCELLING or one of `ENDED`.
        answered, failed: rows so far.
        errors: why it failed, or rows did, in the platform's words.
        output: the folder in which the answers are; empty before there are any.
    """

    state: str
    answered: int = 0
    failed: int = 0
    errors: Sequence[str] = ()
    output: str = ""

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state in ENDED


class PredictionService(Protocol):
    """A platform's jobs. Every method raises `ServiceError` when it refuses or cannot be reached."""

    def described(self, request: PredictionRequest) -> dict[str, Any]:
        """The body that `submit` sends."""

    def submit(self, request: PredictionRequest) -> str:
        """Sends a job; returns its id. A repeated call after an unknown outcome makes no second one."""

    def link(self, identifier: str) -> str:
        """The page of a job."""

    def job(self, identifier: str) -> PredictionJob:
        """How a job stands."""
