"""`bigbird schedule`: recurring fine-tunes. There is never a second schedule of a name, and never none while one is replaced."""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import re
import shlex
import zoneinfo
from collections.abc import Mapping
from itertools import islice
from typing import Any

from bigbird.support.addresses import without_passwords
from bigbird.support.errors import InputError, ServiceError
from bigbird_pipelines.parameters import PATHS
from bigbird_pipelines.platforms.platform import Placement, RemotePlatform
from bigbird_pipelines.platforms.registry import remote_platforms
from bigbird_pipelines.platforms.service import PipelineService, Request, Schedule, Timing
from bigbird_pipelines.remote import make_request, sending, settings_from

_log = logging.getLogger(__name__)

NEXT_TIMES = 3  # shown when a schedule is made
_CRON = set("0123456789*,-/ ")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}")
LAST_RUNS = 5  # shown of a schedule
# Among a computer's time zones, but no places: what is behind them differs from one computer to the next.
_NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})


def create_command(
    *,
    placement: Placement,
    name: str,
    cron: str,
    time_zone: str,
    start: str,
    end: str,
    catch_up: bool,
    dry_run: bool,
    labels: tuple[str, ...],
    caching: bool | None,
    **options: Any,
) -> None:
    """Makes or changes a schedule with the options of `bigbird schedule create`; see its help."""
    if not _NAME.fullmatch(name):
        raise InputError(f"schedule {name!r}: expected at most 100 letters, digits, spaces, '.', '_' and '-'")
    timing = make_timing(cron, time_zone, start, end, catch_up)
    platform = placement.platform
    if catch_up and platform.catches_up == "resume":
        raise InputError(
            f"--catch-up: on {platform.title} it is chosen when a schedule is resumed: bigbird schedule resume --catch-up"
        )
    settings, _ = settings_from(options)
    service = platform.service(settings)
    request, warnings = make_request(
        placement, settings, options, name=name, labels=labels, caching=caching, later=True
    )
    # The paths whose dates a run's first step fills in, wherever they were given: options, recipe or overrides.
    if catch_up and any("{date" in request.parameters[key] for key in (*PATHS, "vocabulary", "init_checkpoint")):
        raise InputError(
            "--catch-up cannot be combined with {date}: a catch-up run may fill in the day it runs, not the day it was due; "
            "leave one of them out"
        )
    for warning in warnings:
        _log.warning(without_passwords(warning))
    if dry_run:
        print(
            without_passwords(
                json.dumps(service.described_schedule(name, request, timing), indent=2, ensure_ascii=False)
            )
        )
        return
    with sending(
        f"schedule {name}: it may have been made or changed; `{_command('show', name, platform)}` tells, and the same command "
        "again leaves one"
    ):
        schedule, done = create_or_replace(service, name, request, timing)
    print(f"schedule {name}: {done}\n{schedule.link}")
    if schedule.state == "PAUSED":
        print(f"it is paused, as before; {_command('resume', name, platform)}")
    for moment in next_times(timing, NEXT_TIMES):
        print(f"next: {moment:%a %Y-%m-%d %H:%M %Z}")


def make_timing(cron: str, time_zone: str, start: str, end: str, catch_up: bool) -> Timing:
    """Checks a schedule's times.

    Args:
        cron: five fields.
        time_zone: of IANA's names.
        start, end: ISO 8601, in `time_zone` where they say no other; "" for none.
        catch_up: whether missed runs are made up for.

    Raises:
        InputError: one of them is not usable.
    """
    if time_zone not in zoneinfo.available_timezones() - _NO_ZONES:
        raise InputError(
            f"--time-zone {time_zone[:100]}: no such time zone; expected one of IANA's names, as Europe/Paris"
        )
    zone = zoneinfo.ZoneInfo(time_zone)
    _check_cron(cron, zone)
    starts, ends = _moment("--start", start, zone), _moment("--end", end, zone)
    now = datetime.datetime.now(datetime.UTC)
    if ends is not None and ends <= now:
        raise InputError(f"--end {end}: is in the past (it is {now:%Y-%m-%d %H:%M} UTC now), so nothing would ever run")
    if starts is not None and ends is not None and ends <= starts:
        raise InputError(f"--end {end}: is not after --start {start}, so nothing would ever run")
    timing = Timing(" ".join(cron.split()), time_zone, starts, ends, catch_up)
    if not next_times(timing, 1):
        bounds = [f"{option} {text}" for option, text in (("after --start", start), ("before --end", end)) if text]
        raise InputError(f"--cron {cron!r}: matches no date{''.join(f' {bound}' for bound in bounds)}")
    return timing


def _check_cron(cron: str, zone: datetime.tzinfo) -> None:
    from cronsim import CronSim, CronSimError

    shown = f"--cron {cron[:100]!r}"
    strange = sorted(set(cron) - _CRON)
    if strange:  # extensions of the library below that the services do not have
        raise InputError(f"{shown}: holds {strange[0]!r}; expected digits, *, ',', '-' and '/'")
    expected = (
        'expected five fields (minute, hour, day of month, month, day of week), as "0 3 * * 1" for Mondays at 3:00'
    )
    fields = cron.split()
    if len(fields) != 5:
        raise InputError(f"{shown}: has {len(fields)}; {expected}")
    now = datetime.datetime.now(zone)
    days, months = fields[2], fields[3]
    try:
        CronSim(" ".join([*fields[:3], "*", fields[4]]), now)  # each field by itself
        CronSim(f"0 0 1 {months} *", now)
    except (CronSimError, ValueError) as error:
        raise InputError(f"{shown}: {str(error)[:100]}; {expected}") from None
    try:
        CronSim(cron, now)  # and day and month together
    except CronSimError:
        raise InputError(f"{shown}: matches no date: no month of {months!r} has a day of {days!r}") from None


def _moment(option: str, text: str, zone: datetime.tzinfo) -> datetime.datetime | None:
    if not text:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(datetime.UTC)
    except OverflowError:
        raise InputError(f"{option} {text}: is not within the years 1 to 9999 in UTC") from None
    except ValueError:
        raise InputError(f"{option} {text[:100]}: not a time; expected one as 2026-01-31 or 2026-01-31T03:00") from None


def next_times(timing: Timing, count: int) -> list[datetime.datetime]:
    """The next times at which a schedule sends its run, in its time zone."""
    from cronsim import CronSim

    zone = zoneinfo.ZoneInfo(timing.time_zone)
    first = max(datetime.datetime.now(datetime.UTC), timing.start or datetime.datetime.min.replace(tzinfo=datetime.UTC))
    found: list[datetime.datetime] = []
    with contextlib.suppress(OverflowError, ValueError):  # past the year 9999 there are no times
        for moment in islice(CronSim(timing.cron, first.astimezone(zone)), count):
            if timing.end is not None and moment > timing.end:
                break
            found.append(moment)
    return found


# ------------------------------------------------------------------------------------------------ one of a name


def create_or_replace(service: PipelineService, name: str, request: Request, timing: Timing) -> tuple[Schedule, str]:
    """Makes a schedule, or brings the one of this name up to date.

    The same work at other times is changed in place where the service can. Other work is a new schedule: it is made first,
    then the old one is deleted; where that fails, the new one is deleted again. A second one that an earlier command left
    behind, as its network was gone, is deleted first.

    Args:
        service: where it is.
        name: of the schedule.
        request: what it runs.
        timing: when.

    Returns:
        The schedule, and what was done in words.

    Raises:
        InputError: one of this name was made by something else.
        ServiceError: the service refused or cannot be reached; says which schedules there are.
    """
    present = one_of_name(service, name)
    if present is None:
        return service.create_schedule(name, request, timing), "created"
    if not present.digest:
        raise InputError(
            f"schedule {name}: there is one that bigbird did not make ({present.link}); choose another name"
        )
    same_work = present.digest == request.digest
    if same_work and same_times(present.timing, timing):
        return present, "nothing to change"
    unset = (_is_ahead(present.timing.start) and not timing.start) or (present.timing.end and not timing.end)
    if same_work and not unset:
        changed = service.retime_schedule(present, timing)
        if changed is not None:
            return changed, "times changed"
    return _replace(service, present, name, request, timing), "replaced"


def same_times(one: Timing, other: Timing) -> bool:
    """Whether two timings send runs at the same times. A start that has passed makes no difference."""

    def key(timing: Timing) -> tuple[Any, ...]:
        start = timing.start if _is_ahead(timing.start) else None
        return timing.cron, timing.time_zone, start, timing.end, timing.catch_up

    return key(one) == key(other)


def _is_ahead(moment: datetime.datetime | None) -> bool:
    """Whether a bound is still to come; a service may fill in the time of creation as the start."""
    return moment is not None and moment > datetime.datetime.now(datetime.UTC)


def _replace(service: PipelineService, old: Schedule, name: str, request: Request, timing: Timing) -> Schedule:
    new = service.create_schedule(name, request, timing)
    try:
        if old.state == "PAUSED":
            service.pause_schedule(new)
        service.delete_schedule(old)
    except BaseException as error:  # Ctrl-C too
        try:
            if all(schedule.id != old.id for schedule in service.schedules()):  # deleted after all, its answer lost
                if isinstance(error, ServiceError):
                    return new
                raise
            service.delete_schedule(new)
        except ServiceError:
            stopped = not isinstance(error, Exception)  # Ctrl-C and SIGTERM end the command with a code and no message
            message = (
                f"{'interrupted' if stopped else error}. Now there may be two schedules {name}: the old one, {old.id}, and the new "
                f"one, {new.id}. Run the same command again when the service can be reached: it deletes the old one"
            )
            if stopped:
                _log.error(message)
                raise error from None
            raise ServiceError(message) from None
        if isinstance(error, ServiceError):
            raise ServiceError(f"{error}. The new schedule was deleted again; the old one is as it was") from None
        raise
    return new if old.state != "PAUSED" else next(found for found in service.schedules() if found.id == new.id)


def one_of_name(service: PipelineService, name: str) -> Schedule | None:
    """The schedule of a name; of several that bigbird made, the newest, after deleting the others."""
    found = [schedule for schedule in service.schedules() if schedule.name == name and schedule.state != "COMPLETED"]
    ours = sorted((schedule for schedule in found if schedule.digest), key=lambda schedule: str(schedule.created))
    for left_over in ours[:-1]:
        _log.info(f"deleting an older schedule {name} that was left behind: {left_over.id}")
        service.delete_schedule(left_over)
    return ours[-1] if ours else next(iter(found), None)


# -------------------------------------------------------------------------------------------- the other commands


def _service(platform: RemotePlatform, options: Mapping[str, Any]) -> PipelineService:
    return platform.service(settings_from(options)[0])


def _named(service: PipelineService, name: str, runs: int = 0) -> list[Schedule]:
    """The schedules of a name or id.

    Raises:
        InputError: there is none.
    """
    everything = service.schedules(runs)
    found = [
        schedule for schedule in everything if name in (schedule.name, schedule.id, schedule.id.rpartition("/")[2])
    ]
    if not found:
        names = ", ".join(sorted({schedule.name for schedule in everything})) or "none"
        raise InputError(f"schedule {name}: there is none of this name; there are: {names}")
    return found


def _the_one(service: PipelineService, name: str) -> Schedule:
    found = _named(service, name)
    found = [
        schedule for schedule in found if schedule.state != "COMPLETED"
    ] or found  # these stay for ever on Vertex AI
    if len(found) > 1:
        ids = ", ".join(schedule.id for schedule in found)
        raise InputError(f"schedule {name}: there are {len(found)}; name one by its id: {ids}")
    return found[0]


def list_command(platform: RemotePlatform, as_json: bool, **options: Any) -> None:
    """Prints all schedules."""
    schedules = sorted(_service(platform, options).schedules(), key=lambda schedule: schedule.name)
    if as_json:
        print(json.dumps([described(schedule) for schedule in schedules], indent=2))
        return
    if not schedules:
        print("there are no schedules; make one with bigbird schedule create")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "state", "cron", "time zone", "next run (UTC)", box=box.SIMPLE)
    for schedule in schedules:
        timing = schedule.timing
        table.add_row(schedule.name, schedule.state.lower(), timing.cron, timing.time_zone, _shown(schedule.next_run))
    Console(soft_wrap=True).print(table)
    names = [schedule.name for schedule in schedules if schedule.state != "COMPLETED"]
    for name in sorted({name for name in names if names.count(name) > 1}):
        _log.warning(f"there are several schedules {name}; bigbird schedule create {name} … leaves one")


def show_command(platform: RemotePlatform, name: str, as_json: bool, **options: Any) -> None:
    """Prints a schedule and its last runs."""
    for schedule in _named(_service(platform, options), name, LAST_RUNS):
        if as_json:
            print(json.dumps(described(schedule), indent=2))
            continue
        timing = schedule.timing
        rows = {
            "name": schedule.name,
            "state": schedule.state.lower(),
            "times": f"{timing.cron} ({timing.time_zone}){', catching up' if timing.catch_up else ''}",
            "start": _shown(timing.start, " UTC"),
            "end": _shown(timing.end, " UTC"),
            "next run": _shown(schedule.next_run, " UTC"),
            "runs": f"work {schedule.digest}" if schedule.digest else "made by something else",
            "link": schedule.link,
        }
        print("\n".join(f"{label:<9} {value}" for label, value in rows.items() if value))
        for run in schedule.last_runs:
            failed = f": step {run.failed.name} failed, {run.failed.error}" if run.failed else ""
            print(f"{'run':<9} {run.name} {run.state.lower()}{failed}\n{'':<9} {run.link}")


def change_command(platform: RemotePlatform, name: str, action: str, catch_up: bool = False, **options: Any) -> None:
    """Pauses, resumes, deletes or triggers a schedule."""
    service = _service(platform, options)
    schedule = _the_one(service, name)
    done = "its run may have been sent" if action == "trigger" else f"it may be {action.removesuffix('e')}ed"
    with sending(f"schedule {name}: {done}; `{_command('show', name, platform)}` tells"):
        _change(service, schedule, action, catch_up)


def _change(service: PipelineService, schedule: Schedule, action: str, catch_up: bool) -> None:
    if action == "pause":
        service.pause_schedule(schedule)
        print(f"schedule {schedule.name}: paused; a run in progress goes on")
    elif action == "resume":
        service.resume_schedule(schedule, catch_up)
        print(f"schedule {schedule.name}: resumed{', making up for missed runs' if catch_up else ''}")
    elif action == "delete":
        service.delete_schedule(schedule)
        print(f"schedule {schedule.name}: deleted; its runs are still there")
    else:
        print(f"schedule {schedule.name}: sent its run now\n{service.link(service.trigger_schedule(schedule))}")


def _command(action: str, name: str, platform: RemotePlatform) -> str:
    """A command about a schedule, to be typed as it is."""
    target = "" if platform is remote_platforms()[0] else f" --target {platform.name}"
    return f"bigbird schedule {action} {shlex.quote(name)}{target}"


def described(schedule: Schedule) -> dict[str, Any]:
    """A schedule as JSON."""
    timing = schedule.timing
    return {
        "id": schedule.id,
        "name": schedule.name,
        "state": schedule.state,
        "cron": timing.cron,
        "time_zone": timing.time_zone,
        "start": _iso(timing.start),
        "end": _iso(timing.end),
        "catch_up": timing.catch_up,
        "next_run": _iso(schedule.next_run),
        "digest": schedule.digest,
        "link": schedule.link,
        "last_runs": [{"name": run.name, "state": run.state, "link": run.link} for run in schedule.last_runs],
    }


def _iso(moment: datetime.datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _shown(moment: datetime.datetime | None, zone: str = "") -> str:
    return f"{moment:%a %Y-%m-%d %H:%M}{zone}" if moment else ""
