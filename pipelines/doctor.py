"""`bigbird doctor`: what a run would need, checked one by one; each check that fails says what to do."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

from bigbird.support.addresses import without_password, without_passwords
from bigbird_pipelines.platforms.platform import Finding
from bigbird_pipelines.remote import settings_from
from bigbird_pipelines.team_settings import ADDRESSES, TeamSettings

_log = logging.getLogger(__name__)


def doctor_command(*, checks: Callable[[TeamSettings], Iterator[Finding]], **options: Any) -> None:
    """Prints each check's finding; see `bigbird doctor --help`.

    Args:
        checks: the platform's.
        options: of the command.

    Raises:
        SystemExit: with 2 where a check failed.
    """
    settings, sources = settings_from(options)
    for name, source in sources.items():
        value = getattr(settings, name)
        shown = without_password(value) if name in ADDRESSES else value
        print(f"{'setting':<8} {name} = {shown}  ({source})")
    failed = 0
    for finding in checks(settings):
        word = {True: "ok", False: "FAILED", None: "unknown"}[finding.good]
        print(f"{word:<8} {finding.check}: {without_passwords(finding.detail)}", flush=True)
        if finding.good is not True and finding.remedy:
            print(f"{'':<8} -> {finding.remedy}")
        failed += finding.good is False
    if failed:
        _log.error(f"{failed} {'check' if failed == 1 else 'checks'} failed")
        sys.exit(2)
