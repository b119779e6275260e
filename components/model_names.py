"""Names of registered models, checked where they are given and not after a training."""

from __future__ import annotations

import re

from bigbird.support.errors import InputError

REGISTRY = "registry:"
"""`init_checkpoint` that begins so names a model of the Vertex AI Model Registry, whose default version is taken."""

LABEL = ("bigbird", "register")
"""The label, name and value, of every version that a run registered."""

_NAME = re.compile(r'[^"\\\x00-\x1f]{1,128}')


def check_model_name(name: str, where: str = "model name") -> str:
    """A model's display name, as it is.

    Args:
        name: the name.
        where: the option that gave it, for the message.

    Raises:
        InputError: a registry or its filters do not take it.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{where} {name!r}: expected 1 to 128 characters, no quotation mark or backslash")
    return name
