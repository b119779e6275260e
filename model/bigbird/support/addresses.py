"""Addresses as they may be shown: without the name and password that `https://name:password@host` holds."""

from __future__ import annotations

import re

# What stands before the last @ of a host's part. A password with a raw / or ? in it is no valid address, but people paste
# them: after a colon, what is not a port is taken for a password up to the run's last @.
_USER = re.compile(r'://(?:[^\s/?#"]*@|[^\s/?#:@"\[]*:(?!\d*(?:[/?#\s"]|$))[^\s"]*@)')
_HIDDEN = "***@"


def without_passwords(text: str) -> str:
    """A text with `***` in place of the name and password of each address in it."""
    return _USER.sub(f"://{_HIDDEN}", text)


def without_password(address: str) -> str:
    """As `without_passwords`, for one address, which may lack its scheme: `name:password@host`."""
    return without_passwords(address) if "://" in address else without_passwords(f"://{address}")[len("://") :]


def never_an_address(value: str) -> str:
    """What was given for an address and is none: all before its last @ is hidden."""
    start, at, end = value.rpartition("@")
    return f"{start[: start.find('://') + 3] if '://' in start else ''}{_HIDDEN}{end}" if at else value
