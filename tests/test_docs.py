"""The pages: what they tell to type is typed here, what they say of the code is held against it, and the site is built."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml

from docs.scripts import attention_picture, generated

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])
COMMANDS = ("bash", "python")
# What the commands of a page must print: where they end with 0 whatever happened, as after `|| echo`.
PRINTED = {"docs/how_to/check_data.md": "ended with 6\n"}
# Pages whose commands are run one after the other in one folder, since the later ones need what the first one made.
TUTORIAL = ("docs/tutorials/own_documents.md", "docs/how_to/stages.md")


@dataclass(frozen=True)
class Block:
    """A block of code of a page.

    Attributes:
        language: after the fence.
        title: of the block, shown above it; "" without one.
        text: what is in it.
    """

    language: str
    title: str
    text: str

    @property
    def is_run(self) -> bool:
        return self.language in COMMANDS and not self.title.startswith(("Needs ", "Takes "))

    @property
    def takes_long(self) -> bool:
        return self.language in COMMANDS and self.title.startswith("Takes ")

    @property
    def is_file(self) -> bool:
        return re.fullmatch(r"[\w-]+\.\w+", self.title) is not None


def blocks(page: Path) -> list[Block]:
    fence = r'^(`{3,})(\w*)(?: title="([^"\n]*)")?\n(.*?)^\1$'
    found = re.findall(fence, page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [Block(language, title, text) for _, language, title, text in found]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path):
    """An empty folder, with the commands that a reader has after `make run`."""
    programs = tmp_path / "programs"
    programs.mkdir()
    code = "from bigbird_pipelines.cli import main; main()"
    (programs / "bigbird").write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$@"\n')
    (programs / "bigbird").chmod(0o755)
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def run(block: Block, folder: Path, timeout_s: float = 1800) -> str:
    """Runs a block as a reader does; gives what it printed."""
    path = os.pathsep.join([str(folder.parent / "programs"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "model"), "TF_CPP_MIN_LOG_LEVEL": "2"}
    lines = block.text.splitlines()
    if any(line.startswith("make ") for line in lines):
        assert all(line.startswith("make ") for line in lines), "make stands in blocks of its own"
        script, folder = "\n".join(f"{line} --dry-run" for line in lines), ROOT
    else:
        script = block.text
    command = (
        [sys.executable, "-c", script] if block.language == "python" else ["bash", "-euo", "pipefail", "-c", script]
    )
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=timeout_s
    )
    assert done.returncode == 0, f"{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_block_is_run_or_says_why_not(page):
    fences = re.findall(r"^```+", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    inner = sum(block.text.count("\n```") + block.text.startswith("```") for block in blocks(page))
    assert len(fences) == 2 * len(blocks(page)) + inner, "a fence is not `language` or `language title=…`"
    for block in blocks(page):
        assert block.language in (*COMMANDS, "yaml", "toml", "text", "markdown"), block
        if block.language in COMMANDS:
            assert block.is_run == (block.title == ""), block
        elif block.language == "text":  # files and outputs
            assert not re.search(r"^(bigbird|make|python3?|docker|gcloud|pip) ", block.text, flags=re.MULTILINE), block


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if name_of(page) not in TUTORIAL and any(block.is_run for block in blocks(page))],
    ids=name_of,
)
def test_a_pages_commands_run(page, folder):
    printed = "".join(run(block, folder) for block in blocks(page) if block.is_run)
    assert PRINTED.get(name_of(page), "") in printed


def test_a_command_that_may_fail_says_how_it_ended_and_that_is_looked_at():
    pages = {name_of(page) for page in PAGES for block in blocks(page) if block.is_run and "||" in block.text}
    assert pages == PRINTED.keys()


@pytest.mark.long
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.takes_long for block in blocks(page))], ids=name_of
)
def test_a_pages_long_commands_run(page, folder):
    for block in blocks(page):
        if block.takes_long:
            run(block, folder, timeout_s=7200)


@pytest.mark.integration
@pytest.mark.slow
def test_the_tutorials_commands_run_and_the_manifests_are_as_documented(folder):
    answers = []
    for block in (block for page in TUTORIAL for block in blocks(ROOT / page)):
        if block.is_file:
            (folder / block.title).write_text(block.text)
        elif block.is_run:
            answers += re.findall(r'^{"label": .*}$', run(block, folder), flags=re.MULTILINE)
    assert [json.loads(answer)["label"] in ("good", "bad") for answer in answers] == [True, True]
    run_folder = folder / "runs" / "reviews"
    assert json.loads((run_folder / "evaluate/evaluation/metrics.json").read_text())["metrics"]["accuracy"] > 0.8
    check_manifests(run_folder)


def check_manifests(run_folder: Path) -> None:
    """Holds the manifests of a run against the page that describes them."""
    sections = documented_fields()
    states = list(run_folder.glob("train/model/checkpoints/*/state.json"))
    assert states
    for file in (
        run_folder / "preprocess/dataset/dataset.json", run_folder / "train/model/model.json", states[0],
        run_folder / "evaluate/evaluation/metrics.json", run_folder / "export/saved_model/signature.json",
    ):  # fmt: skip
        fields = set(json.loads(file.read_text()))
        assert fields <= sections[""] | sections[file.name], file.name
    counts = json.loads((run_folder / "preprocess/dataset/dataset.json").read_text())["splits"]["train"]
    assert set(counts) <= sections["dataset.json"]


def documented_fields() -> dict[str, set[str]]:
    """The first columns of the page on manifests, by heading; "" is what stands before the first one."""
    text = (ROOT / "docs/reference/manifests.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    sections = dict(zip(["", *parts[1::2]], parts[::2], strict=True))
    return {
        name: {
            field
            for row in re.findall(r"^\| (`.+?) \|", part, flags=re.MULTILINE)
            for field in re.findall(r"`(\w+)`", row)
        }
        for name, part in sections.items()
    }


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if any(block.language == language for block in blocks(page))]


def test_pages_show_configurations_and_settings():
    assert len(pages_with("yaml")) >= 4 and len(pages_with("toml")) >= 4


@pytest.mark.parametrize("page", sorted({*pages_with("yaml"), *pages_with("toml")}), ids=name_of)
def test_configurations_and_settings_on_pages_are_valid(page):
    from bigbird.config import load_experiment
    from bigbird_pipelines.team_settings import TeamSettings

    for block in blocks(page):
        if block.language == "yaml":
            tree = yaml.safe_load(block.text)
            kind = tree.pop("type", "bigbird/classification")
            assert load_experiment(kind, overrides=[tree]).task is not None
        if block.language == "toml" and "bigbird" in (tables := tomllib.loads(block.text)):
            TeamSettings(**tables["bigbird"])


def all_commands() -> dict[str, click.Command]:
    from bigbird_pipelines.cli import cli

    found: dict[str, click.Command] = {}
    for name, command in cli.commands.items():
        inner = command.commands if isinstance(command, click.Group) else {"": command}
        found |= {f"bigbird {name} {last}".strip(): each for last, each in inner.items()}
    return found


def test_the_commands_page_has_every_command_and_option_with_its_meaning():
    text = generated.commands()
    parts = re.split(r"^#{3,4} (bigbird .+?) \{", text, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    for name, command in all_commands().items():
        for option in command.params:
            if isinstance(option, click.Option):
                names = ", ".join(f"`{each}`" for each in [*option.opts, *option.secondary_opts])
                assert re.search(rf"^{re.escape(names)}.*\n:   \S", sections[name], flags=re.MULTILINE), (name, names)
        for line in (command.epilog or "").split("\n"):
            assert line.strip() in sections[name]


def test_the_keys_page_has_every_key_once_with_type_default_and_meaning():
    from bigbird.tasks.registry import families

    rows = re.findall(
        r"^\| <code>(.+?)</code> \| (.*) \| `(.*)` \| (.*) \|$", generated.recipe_keys(), flags=re.MULTILINE
    )
    paths = {path.replace("<wbr>", "") for path, *_ in rows}
    for path, takes, default, meaning in rows:
        assert takes, path
        assert default, path
        assert meaning, path
    for family in families():
        if type(family).__module__.startswith("bigbird.tasks."):
            expected = {key.path for key in generated.keys(family.config(), "task")}
            expected = {path.replace("task.validation_data.", "task.train_data.") for path in expected}
            assert expected - {"task.model.encoder.type"} <= paths, family.name
    by_path = {path.replace("<wbr>", ""): rest for path, *rest in rows}
    assert by_path["trainer.epochs"][:2] == ["number \\> 0 or `null`", "null"]
    assert by_path["task.model.encoder.bigbird.num_rand_blocks"][:2] == ["integer ≥ 0", "3"]
    assert by_path["task.label_smoothing"][:2] == ["number ≥ 0, \\< 1", "0.0"]


def test_the_exit_codes_page_has_the_codes():
    from bigbird.support import commands

    text = (ROOT / "docs/reference/exit_codes.md").read_text(encoding="utf-8")
    codes = {value for name, value in vars(commands).items() if name.startswith("EXIT_") and isinstance(value, int)}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)} == codes | {0, 1}


def test_the_picture_of_the_attention_pattern_is_what_its_script_draws():
    assert attention_picture.FILE.read_text(encoding="utf-8") == attention_picture.drawing()


def test_pictures_are_small_and_used():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.stat().st_size < 200_000
        assert f"images/{picture.name})" in text


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    site = tmp_path / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "model"), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        html = page.read_text(encoding="utf-8")
        assert not re.search(r'(?:src=|<link [^>]*href=)"?(?:https?:)?//', html), page
        assert not re.search("<!-- (generated|file):", html)
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")), style
    assert 'id="bigbird-run"' in (site / "reference/commands.html").read_text(encoding="utf-8")
    assert '<svg class="drawing"' in (site / "index.html").read_text(encoding="utf-8")
