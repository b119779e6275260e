"""`bigbird submit`: checks a run, sends it, and tells how it goes."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from bigbird.support.addresses import without_passwords
from bigbird.support.commands import EXIT_CODES, EXIT_DOES_NOT_FIT
from bigbird.support.errors import InputError, ServiceUnreachable
from bigbird.support.progress import format_duration
from bigbird_components.runs import Run, Step
from bigbird_pipelines.platforms.platform import Placement
from bigbird_pipelines.platforms.service import PipelineService
from bigbird_pipelines.remote import HEARTBEAT_S, PATIENCE_S, make_request, sending, settings_from

_log = logging.getLogger(__name__)

POLL_S = 15.0
_OF_STEPS = {*EXIT_CODES.values(), EXIT_DOES_NOT_FIT}  # what a step of ours ends with, where it says why
_EXIT_CODE = re.compile(r"(?:non-zero status of|exit code|exit status)[: ]+(\d+)", re.IGNORECASE)


def submit_command(
    *,
    placement: Placement,
    dry_run: bool,
    wait: bool,
    poll_s: float,
    name: str | None,
    labels: tuple[str, ...],
    caching: bool | None,
    **options: Any,
) -> None:
    """Sends a run with the options of `bigbird submit`; see its help.

    Raises:
        InputError: an option cannot be used; nothing was sent.
        ServiceError: the service refused or cannot be reached.
        SystemExit: the run that was waited for failed; the code is the failed step's where it is known.
    """
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}", name):
        raise InputError(f"--name {name!r}: expected at most 100 letters, digits, spaces, '.', '_' and '-'")
    settings, _ = settings_from(options)
    service = placement.platform.service(settings)
    request, warnings = make_request(placement, settings, options, name=name, labels=labels, caching=caching)
    for warning in warnings:
        _log.warning(without_passwords(warning))
    if dry_run:
        print(without_passwords(json.dumps(service.described(request), indent=2, ensure_ascii=False)))
        return
    with sending(
        f"run {request.name} may have been sent; look for it on {placement.platform.title} before sending another"
    ):
        identifier = service.submit(request)
    print(f"submitted {request.name}\n{service.link(identifier)}", flush=True)
    if wait:
        try:
            finish(watch(service, identifier, poll_s), service)
        except KeyboardInterrupt:
            _log.info(f"no longer waiting; the run goes on: {service.link(identifier)}")
            raise


def watch(
    service: PipelineService, identifier: str, poll_s: float = POLL_S, tell: Callable[[str], None] | None = None
) -> Run:
    """Tells every change of a step's state until the run has ended.

    Args:
        service: where it runs.
        identifier: the run's.
        poll_s: seconds between looks.
        tell: gets each line; stderr by default.

    Returns:
        The run as it ended.

    Raises:
        ServiceError: the service refused, or was out of reach for `PATIENCE_S` seconds.
    """
    say = tell or _log.info
    shown: dict[str, str] = {}
    started: dict[str, float] = {}
    last = reached = time.monotonic()
    while True:
        now = time.monotonic()
        try:
            run = service.run(identifier)
        except ServiceUnreachable as error:
            if now - reached > PATIENCE_S:
                raise
            say(f"{error}; trying again")
            time.sleep(poll_s)
            continue
        reached = now
        for step in run.steps:
            if shown.get(step.name) != step.state:
                shown[step.name] = step.state
                started.setdefault(step.name, now)
                say(_line(step, now - started[step.name]))
                last = now
        if run.ended:
            return run
        if now - last >= HEARTBEAT_S:
            running = [
                f"{step.name} for {format_duration(now - started[step.name])}"
                for step in run.steps
                if step.state == "RUNNING"
            ]
            say(f"still running: {', '.join(running) or 'waiting for a machine'}")
            last = now
        time.sleep(poll_s)


def _line(step: Step, seconds: float) -> str:
    words = "taken from the cache" if step.cached else step.state.lower()
    took = f" after {format_duration(seconds)}" if seconds >= 1 else ""
    return f"{time.strftime('%H:%M:%S')}  {step.name:<12} {words}{took}"


def finish(run: Run, service: PipelineService) -> None:
    """Says how a run ended, and ends the process with the matching code where it did not succeed.

    Raises:
        SystemExit: the run failed or was cancelled.
    """
    if run.metrics:
        print("  ".join(f"{name} {value:.4f}" for name, value in run.metrics.items()))
    if run.state == "SUCCEEDED":
        print(f"{run.name} succeeded")
        return
    failed = run.failed
    if failed is None:
        _log.error(f"run {run.name} {run.state.lower()}: {run.error or 'no step says why'}")
        sys.exit(1)
    lines = [f"step {failed.name!r} of {run.name} failed: {failed.error or run.error}"]
    lines += [f"  {reason}" for reason in service.errors_of(failed)]
    lines += [f"logs: {failed.logs}"] if failed.logs else []
    _log.error("\n".join(lines))
    sys.exit(exit_code(failed.error))


def exit_code(error: str) -> int:
    """The code that a step's error names, where it is one of ours; else 1."""
    named = _EXIT_CODE.findall(error)  # the last is the step's own, under what its launcher says
    return int(named[-1]) if named and int(named[-1]) in _OF_STEPS else 1
