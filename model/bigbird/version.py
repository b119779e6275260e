"""Which version and which commit this code is: for `--version`, manifests, image labels and image tags.

`python -m bigbird.version` prints the commit, before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path

# What goes into the images. A change elsewhere, in tests or in a user's data beside the code, makes no other image.
IMAGE_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "requirements", "model", "components", "pipelines", "docker")
UNKNOWN = "unknown"


def package_version() -> str:
    """The installed distribution's version; "unknown" in a tree that is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("bigbird-pipelines")
    except PackageNotFoundError:
        return UNKNOWN


@cache
def revision() -> str:
    """The commit of this code, 12 digits; "unknown" where it is neither in an image nor in a git checkout.

    With changes that are not committed it is `COMMIT-dirty-DIGEST`, another one for other changes: an image of that
    name is never mistaken for one of other code.
    """
    recorded = Path(__file__).with_name("REVISION")  # written when an image is built, which holds no git history
    if recorded.exists():
        return recorded.read_text(encoding="utf-8").strip()
    root = Path(__file__).parents[2]
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD").decode().strip()
        changes = _git(root, "diff", "--binary", "HEAD", "--", *IMAGE_SOURCES)
        new = _git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", *IMAGE_SOURCES).split(b"\0")[:-1]
    except (OSError, subprocess.CalledProcessError):  # no git here, or no checkout
        return UNKNOWN
    if not changes and not new:
        return commit
    digest = hashlib.sha256(changes)
    for name in new:
        path = root / name.decode()
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        digest.update(name + b"\0" + content)
    return f"{commit}-dirty-{digest.hexdigest()[:8]}"


def provenance() -> dict[str, str]:
    """What every manifest says about the code that wrote it: `version` and `revision`."""
    return {"version": package_version(), "revision": revision()}


def _git(root: Path, *arguments: str) -> bytes:
    if not (root / ".git").exists():  # an installed copy may lie in somebody else's checkout
        raise FileNotFoundError(root / ".git")
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603


if __name__ == "__main__":
    print(revision())
