"""How a run on a platform stands: its steps, their errors and where their logs are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bigbird.support.addresses import without_password, without_passwords

# The platforms' words for a state, in one spelling.
_STATES = {
    "CANCELED": "CANCELLED",
    "CANCELING": "RUNNING",
    "CANCELLING": "RUNNING",
    "CANCEL_PENDING": "RUNNING",
    "NOT_TRIGGERED": "SKIPPED",
    "QUEUED": "PENDING",
    "STATE_UNSPECIFIED": "PENDING",
    "UNSPECIFIED": "PENDING",
    "RUNTIME_STATE_UNSPECIFIED": "PENDING",
}
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Attributes:
        name: as in the pipeline: preprocess, train, …
        state: PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED, SKIPPED or PAUSED.
        cached: whether an earlier run's result was taken.
        error: why it failed, in the backend's words.
        logs: link to its logs; empty where there are none.
        job: the id of the platform's job that ran it; empty where there is none.
    """

    name: str
    state: str
    cached: bool = False
    error: str = ""
    logs: str = ""
    job: str = ""


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        name: what people call it.
        state: as a step's.
        steps: in the order in which they were started.
        failed: the step that failed first, and not because of another; None where none did.
        metrics: of the evaluation, where the backend tells them.
        link: to its page.
        error: of the run as a whole.
    """

    name: str
    state: str
    steps: tuple[Step, ...]
    failed: Step | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    link: str = ""
    error: str = ""

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state in ENDED


def run_link(host: str, identifier: str) -> str:
    """The page of a run in the user interface of KFP, without the address's password; empty where its address is not known."""
    return f"{without_password(host).rstrip('/')}/#/runs/details/{identifier}" if host else ""


def one_line(error: str) -> str:
    """An error in one line."""
    return " ".join(without_passwords(error).split())


def known_state(name: str) -> str:
    """A platform's word for a state, as `Step.state` has it."""
    return _STATES.get(name, name)
