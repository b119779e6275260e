"""Which code this is: the tag of an image must name exactly what went into it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bigbird import version

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path):
    """A git repository of one commit that holds a copy of the module; a function that tells its revision."""
    module = tmp_path / "model/bigbird/version.py"
    module.parent.mkdir(parents=True)
    module.write_text(Path(version.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    git = [
        "git",
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@t.invalid",
        "-c",
        "commit.gpgsign=false",
        "-C",
        str(tmp_path),
    ]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)

    def revision():
        done = subprocess.run([sys.executable, str(module)], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return tmp_path, revision


def test_a_commit_is_named_by_its_first_12_digits(checkout):
    folder, revision = checkout
    head = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert revision() == head.stdout[:12]


def test_other_changes_give_another_name_and_the_same_changes_the_same(checkout):
    folder, revision = checkout
    names = [revision()]
    (folder / "model/bigbird/new.py").write_text("x = 1\n")
    names.append(revision())
    (folder / "model/bigbird/new.py").write_text("x = 2\n")
    names.append(revision())
    (folder / "model/bigbird/version.py").open("a").write("# changed\n")
    names.append(revision())
    (folder / "model/components").symlink_to("../components")
    names.append(revision())
    assert len(set(names)) == 5
    assert all(re.fullmatch(rf"{names[0]}-dirty-[0-9a-f]{{8}}", name) for name in names[1:])
    assert revision() == names[-1]


def test_what_goes_into_no_image_changes_no_name(checkout):
    folder, revision = checkout
    before = revision()
    (folder / "glue").mkdir()
    (folder / "glue/train.tsv").write_text("sentence\tlabel\n")
    assert revision() == before


def test_an_image_knows_the_revision_that_was_written_into_it(checkout):
    folder, revision = checkout
    (folder / "model/bigbird/REVISION").write_text("0123456789ab\n")
    assert revision() == "0123456789ab"


def test_without_git_history_it_is_unknown_also_inside_somebody_elses_checkout(checkout):
    folder, _ = checkout
    inner = folder / "site-packages/x/bigbird"
    inner.mkdir(parents=True)
    (inner / "version.py").write_text(Path(version.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.run([sys.executable, str(inner / "version.py")], capture_output=True, text=True, check=True)
    assert done.stdout == "unknown\n"


def test_manifests_hold_version_and_revision():
    assert version.provenance() == {"version": version.package_version(), "revision": version.revision()}
    assert re.fullmatch(r"[0-9a-f]{12}(-dirty-[0-9a-f]{8})?", version.revision())


def test_everything_the_dockerfile_copies_counts_as_a_source_of_images():
    copied = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (ROOT / "docker/Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    names = {path.split("/")[0] for paths in copied for path in paths.split()}
    assert names | {"docker"} == set(version.IMAGE_SOURCES)
