"""What a platform is asked for once a pipeline is compiled: runs that are sent to it, and schedules that send them."""

from __future__ import annotations

import datetime
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from bigbird_components.runs import Run, Step

DIGEST_LABEL = "bigbird-spec"
"""Where a schedule keeps the digest of what it runs."""

COMMIT_LABEL = "commit"
NEVER_CACHED = ("resolve", "register", "notify", "announce")
"""Steps whose findings change without their inputs changing."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Request:
    """A run to be sent.

    Attributes:
        name: what people call it: task and time.
        spec: the compiled pipeline: `pipelineSpec`, and `platforms` where the target has any.
        parameters: of the pipeline.
        labels: on whatever the service makes of it.
        pipeline_root: where the steps' files go; the installation's own place where empty.
        caching: of all steps; None leaves each step its own.
        service_account, network: what the steps run as and in; the service's defaults where empty.
    """

    name: str
    spec: Mapping[str, Any]
    parameters: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)
    pipeline_root: str = ""
    caching: bool | None = None
    service_account: str = ""
    network: str = ""

    @property
    def digest(self) -> str:
        """Of everything but the name: the same for the same work. 16 hexadecimal digits."""
        labels = {
            name: value for name, value in self.labels.items() if name != COMMIT_LABEL
        }  # of who sent it, not of the work
        parts = [
            self.spec,
            self.parameters,
            labels,
            self.pipeline_root,
            self.caching,
            self.service_account,
            self.network,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=dict).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Timing:
    """When a schedule sends its run.

    Attributes:
        cron: five fields: minute, hour, day of month, month, day of week.
        time_zone: of IANA's names.
        start, end: the bounds, in UTC; None where there is none.
        catch_up: whether runs that were missed, while paused or before, are made up for.
    """

    cron: str
    time_zone: str = "UTC"
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    catch_up: bool = False


@dataclass(frozen=True)
class Schedule:
    """A schedule as it stands.

    Attributes:
        id: the service's name of it.
        name: what people call it.
        state: ACTIVE, PAUSED or COMPLETED.
        digest: of what it runs (`Request.digest`); empty where something else made it.
        next_run: None where none is to come, or the service does not say.
        created: for the order of two of one name.
        last_runs: newest first.
    """

    id: str
    name: str
    state: str
    timing: Timing
    digest: str = ""
    next_run: datetime.datetime | None = None
    created: datetime.datetime | None = None
    link: str = ""
    last_runs: tuple[Run, ...] = ()


class PipelineService(Protocol):
    """A place that runs pipelines. Every method raises `ServiceError` when it refuses or cannot be reached."""

    def described(self, request: Request) -> dict[str, Any]:
        """The body that `submit` sends."""

    def submit(self, request: Request) -> str:
        """Sends a run; returns its id."""

    def link(self, identifier: str) -> str:
        """The page of a run."""

    def run(self, identifier: str) -> Run:
        """How a run stands."""

    def errors_of(self, step: Step) -> list[str]:
        """The last errors in a failed step's log, oldest first; none where they cannot be read."""

    def described_schedule(self, name: str, request: Request, timing: Timing) -> dict[str, Any]:
        """The body that `create_schedule` sends."""

    def create_schedule(self, name: str, request: Request, timing: Timing) -> Schedule:
        """Makes a schedule; a repeated call after an unknown outcome makes no second one."""

    def retime_schedule(self, schedule: Schedule, timing: Timing) -> Schedule | None:
        """Changes its times in place; None where the service has no way to."""

    def delete_schedule(self, schedule: Schedule) -> None:
        """Deletes it; one that is gone already is deleted."""

    def pause_schedule(self, schedule: Schedule) -> None:
        """Stops it from sending runs."""

    def resume_schedule(self, schedule: Schedule, catch_up: bool) -> None:
        """Lets it send runs again."""

    def trigger_schedule(self, schedule: Schedule) -> str:
        """Sends its run now, beside its times; returns the run's id."""

    def schedules(self, runs: int = 0) -> list[Schedule]:
        """All schedules, each with its last `runs` runs."""


def spec_with_caching(spec: Mapping[str, Any], caching: bool | None) -> dict[str, Any]:
    """A pipeline's specification with all steps' caching set; those of `NEVER_CACHED` stay out of the cache.

    Args:
        spec: pipelineSpec as JSON.
        caching: None leaves each step its own.
    """
    changed: dict[str, Any] = json.loads(json.dumps(spec))
    if caching is None:
        return changed
    for component in [changed["root"], *changed["components"].values()]:
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            task["cachingOptions"] = {"enableCache": True} if caching and name not in NEVER_CACHED else {}
    return changed


ATTEMPTS = 5
FIRST_PAUSE_S = 1.0


def patiently(
    call: Callable[[], Result],
    transient: Callable[[Exception], bool],
    recover: Callable[[], Result | None] | None = None,
    pause_s: float | None = None,
) -> Result:
    """Calls again after a transient failure, waiting twice as long each time.

    Args:
        call: what to do.
        transient: whether an error may be gone the next time.
        recover: looks whether the failed call was carried out after all; its result, or None where it was not.
        pause_s: before the second attempt.

    Raises:
        Exception: the last attempt's.
    """
    pause = FIRST_PAUSE_S if pause_s is None else pause_s
    for attempt in range(ATTEMPTS):
        try:
            if attempt and recover is not None:
                done = recover()
                if done is not None:
                    return done
            return call()
        except Exception as error:
            if attempt == ATTEMPTS - 1 or not transient(error):
                raise
            time.sleep(pause * 2**attempt)
    raise AssertionError
