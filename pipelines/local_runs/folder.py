"""The folders of runs: their names, what may lie in one, and the run that did not end."""

from __future__ import annotations

import logging
import os
import re
import shutil
from itertools import count
from pathlib import Path

from bigbird.config.overrides import changed_keys
from bigbird.support.artifacts import RUN_RECORD
from bigbird.support.errors import InputError
from bigbird.support.safe_paths import resolved
from bigbird_pipelines.local_runs.plan import RunPlan
from bigbird_pipelines.local_runs.record import has_ended, read_record

_log = logging.getLogger(__name__)


def run_folder(name: str | None, runs: Path, default: str) -> Path:
    """The run's folder: of the name given, else the first of `default`, `default-2`, … that is not there."""
    runs = resolved(runs)
    if name is not None:
        return resolved(runs / _checked_name(name))
    names = (default if number == 1 else f"{default}-{number}" for number in count(1))
    return next(runs / free for free in names if not os.path.lexists(runs / free))


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(
            f"--name {name!r}: expected letters, digits, '.', '_' and '-', starting with a letter or digit"
        )
    return name


def unended_run(name: str | None, runs: Path) -> Path:
    """The folder of a run that did not end.

    Args:
        name: of the run; None takes the newest one that did not end.
        runs: where runs are kept.

    Raises:
        InputError: there is no such run.
    """
    runs = resolved(runs)
    if name is None:
        found = sorted(runs.glob(f"*/{RUN_RECORD}"), key=lambda file: file.stat().st_mtime, reverse=True)
        folder = next((file.parent for file in found if not has_ended(read_record(file.parent))), None)
        if folder is None:
            raise InputError(f"{runs}: holds no run that did not end; start one without --resume")
    else:
        folder = runs / _checked_name(name)
        if not (folder / RUN_RECORD).exists():
            raise InputError(
                f"{folder}: holds no {RUN_RECORD}, so there is no run to go on with; leave --resume out to start one"
            )
    return folder


def check_folder(plan: RunPlan, overwrite: bool) -> bool:
    """Whether a plan's folder holds the same run, begun and not ended, to go on with.

    Raises:
        InputError: it holds another run, or something else.
    """
    folder = plan.folder
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; expected a new folder. Choose another --name")
    if not folder.exists() or not any(folder.iterdir()):
        return False
    if not (folder / RUN_RECORD).exists():
        raise InputError(f"{folder}: holds files but no {RUN_RECORD}, so it is not a run; choose another --name")
    if overwrite:
        return False
    exists = f"{folder}: a run of this name exists"
    remedy = "choose another --name, or pass --overwrite to replace it"
    try:
        record = read_record(folder)
    except InputError as error:
        raise InputError(f"{exists}, and {error}; {remedy}") from None
    if has_ended(record):
        raise InputError(f"{exists}; {remedy}")
    before, now = record["arguments"], plan.arguments
    different = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if "overrides" in different:
        different.remove("overrides")
        different += changed_keys(before.get("overrides", ""), now["overrides"])
    if different:
        raise InputError(
            f"{exists}, begun with other options ({', '.join(different)}); --resume goes on with its own. Else {remedy}"
        )
    return True


def prepare_folder(plan: RunPlan, *, overwrite: bool, named: bool) -> bool:
    """Makes the run's folder ready; its lock is held.

    Args:
        plan: the run.
        overwrite: whether a run that is there is to be deleted.
        named: whether the user gave the run its name.

    Returns:
        Whether the run may begin: not where another one took a default name.

    Raises:
        InputError: the folder holds another run, or something else.
    """
    folder = plan.folder
    if not named and folder.exists():
        return False
    if check_folder(plan, overwrite):
        _log.info(f"going on with the run in {folder}, which did not end")
    elif overwrite and folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return True
