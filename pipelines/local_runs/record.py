"""A run's record, run.json: what the run was begun with, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bigbird.support import integrity
from bigbird.support.artifacts import RUN_RECORD, read_json
from bigbird.support.errors import InputError
from bigbird_pipelines.platforms.platform import LocalPlatform


def read_record(folder: Path) -> dict[str, Any]:
    """A run's run.json.

    Raises:
        InputError: it is damaged, or is not a run's.
    """
    record = read_json(folder / RUN_RECORD, "record of a run")
    if not isinstance(record, dict) or not isinstance(record.get("arguments"), dict):
        raise InputError(f"{folder / RUN_RECORD}: holds no arguments; expected the record of a run")
    integrity.check_seal(folder / RUN_RECORD, record, "record of the run")
    return record


def has_ended(record: dict[str, Any]) -> bool:
    return "metric" in record


def begun_on(platform: LocalPlatform, own: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's record says of its platform, so that --resume needs no option of it."""
    options = {name: str(value.resolve()) if isinstance(value, Path) else value for name, value in own.items()}
    return {"platform": platform.name, "platform_options": options}


def platform_of_run(folder: Path) -> tuple[str, dict[str, Any]]:
    """The platform that a run was begun on, and its options; of one that an earlier version began, "" and none."""
    record = read_record(folder)
    return record.get("platform", ""), record.get("platform_options", {})
