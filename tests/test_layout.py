"""The shape of the code: what imports what, what stays light, what README and docs promise."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
HEAVY = (
    "aiohttp", "apache_beam", "botocore", "fsspec", "gcsfs", "google.cloud.aiplatform", "google.cloud.aiplatform_v1",
    "google.cloud.storage", "jax", "keras", "kfp", "matplotlib", "pyarrow", "rich", "s3fs", "scipy", "sklearn", "tensorflow", "tensorflow_text",
)  # fmt: skip

# bigbird's modules in reading order: each imports only modules that stand before it, or in its own package.
READING_ORDER = (
    "version", "support", "storage", "manifests", "reports",  # what everything leans on
    "config", "text", "records", "tasks",  # what is learnt from what
    "layers", "models", "data", "optimization", "checkpoints",  # learning it
    "scoring", "serving",  # what comes of it
    "families",  # the folders in tasks, which the registry loads by name
)  # fmt: skip
# The other way round, in a function.
BACK = {
    ("bigbird.config.experiment", "bigbird.tasks.registry"),  # a configuration is checked by its task family
    ("bigbird.models.presets", "bigbird.checkpoints.presets"),  # `from_preset` is a method of what it builds
}
# What is installed -> where it is.
PACKAGES = {"bigbird": "model/bigbird", "bigbird_components": "components", "bigbird_pipelines": "pipelines"}
STAGES = ("check", "preprocess", "train", "evaluate", "export", "register", "serve", "notify", "predict")


def module_files() -> dict[str, Path]:
    found = {}
    for package, folder in PACKAGES.items():
        for file in (ROOT / folder).rglob("*.py"):
            parts = (package, *file.relative_to(ROOT / folder).with_suffix("").parts)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = module_files()


def imports_of(name: str, *, top_level_only: bool = False) -> set[str]:
    """Modules that a module imports, ours resolved to the module and not to a name in it."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    found = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & set(MODULES)) or {node.module}
    return found


def package_of(name: str) -> str:
    """A module's place in the reading order."""
    parts = name.split(".")
    inside_a_family = len(parts) > 2 and (ROOT / "model" / "bigbird" / "tasks" / parts[2]).is_dir()
    return "families" if parts[1] == "tasks" and inside_a_family else parts[1]


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.count(".") and name.startswith("bigbird.")))
def test_bigbird_modules_import_only_what_stands_before_them(name):
    own = package_of(name)
    for imported in imports_of(name):
        if (name, imported) in BACK:
            continue
        if imported.startswith("bigbird."):
            other = package_of(imported)
            assert other == own or READING_ORDER.index(other) < READING_ORDER.index(own), f"{name} imports {imported}"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_packages_depend_one_way(name):
    packages = list(PACKAGES)
    later = packages[packages.index(name.split(".")[0]) + 1 :]
    for imported in imports_of(name):
        # A folder's own name can be imported in a checkout alone.
        assert imported.split(".")[0] not in (*later, "components", "pipelines"), f"{name} imports {imported}"


def test_what_is_installed_has_names_of_its_own(tmp_path):
    from setuptools import find_packages

    assert {name.split(".")[0] for name in find_packages(ROOT / "model")} == set(PACKAGES)
    for package, folder in PACKAGES.items():
        assert (ROOT / "model" / package).samefile(ROOT / folder)
    for name in ("components", "pipelines"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('this module is the user's')")
    for module in ("bigbird_components.export.__main__", "bigbird_pipelines.cli"):
        code = f"import sys; sys.argv = ['x', '--help']; from {module} import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=_environment(), check=False
        )
        assert (done.returncode, done.stderr, done.stdout[:6]) == (0, "", "Usage:")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_no_other_stage(stage):
    others = tuple(f"bigbird_components.{other}" for other in STAGES if other != stage)
    for name in MODULES:
        if name.startswith(f"bigbird_components.{stage}."):
            assert not [imported for imported in imports_of(name) if imported.startswith(others)], name


def test_a_stage_runs_by_its_folders_name_in_a_checkout():
    done = subprocess.run(
        [sys.executable, "-m", "components.train", "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=_environment(),
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout[:6]) == (0, "", "Usage:")


def test_imports_have_no_cycle():
    graph = {name: imports_of(name, top_level_only=True) & set(MODULES) for name in MODULES}
    while leaves := {name for name, imported in graph.items() if not imported}:
        graph = {name: imported - leaves for name, imported in graph.items() if name not in leaves}
    assert graph == {}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_function_gives_an_imported_name_to_something_else(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name.partition(".")[0]
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    for function in (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))):
        own = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
        own |= {
            node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        assert not own & imported, f"{name}.{function.name}"


def test_every_constant_is_used():
    files = [
        *MODULES.values(),
        *(file for folder in ("tests", "docs", "benchmarks") for file in (ROOT / folder).rglob("*.py")),
    ]
    words = Counter(word for file in files for word in re.findall(r"\w+", file.read_text(encoding="utf-8")))
    defined = re.compile(r"^([A-Z_][A-Z0-9_]*)(?:: [^=]+)? = ", re.MULTILINE)
    constants = {name for file in MODULES.values() for name in defined.findall(file.read_text(encoding="utf-8"))}
    assert {name for name in constants if words[name] == 1} == set()


def test_jax_is_imported_by_the_kernels_alone_and_they_only_where_they_are_used():
    """Keras' TensorFlow backend is what ships, without JAX."""
    names = [name for name in MODULES if name.startswith("bigbird.")]
    kernels = {"bigbird.layers.attention.gpu_kernel", "bigbird.layers.attention.tpu_kernel"}
    assert {name for name in names if "jax" in imports_of(name, top_level_only=True)} == kernels
    assert not [name for name in names if kernels & imports_of(name, top_level_only=True)]


def loaded_by(statement: str) -> set[str]:
    """Which heavy packages a fresh process has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=_environment()
    )
    return set(done.stdout.split())


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT / "model")}


LIGHT = (
    "bigbird", "bigbird.manifests",
    "bigbird.support.artifacts", "bigbird.config", "bigbird.support.commands", "bigbird.support.progress", "bigbird.support.tensorflow_start", "bigbird.records.features", "bigbird.support.paths", "bigbird.reports.report", "bigbird.serving.saved_model",
    "bigbird.tasks.classification.dataset", "bigbird.tasks.official_files", "bigbird.tasks.classification.glue.family", "bigbird.tasks.pretraining.family", "bigbird.tasks.registry",
    "bigbird.serving.model_facts", "bigbird.storage", "bigbird.tasks.squad.family", "bigbird.tasks.token_labels.dataset", "bigbird.tasks.token_labels.family", "bigbird.tasks.token_labels.report", "bigbird.tasks.token_labels.scoring", "bigbird.tasks.triviaqa.family", "bigbird.text.vocabulary",
    "bigbird.tasks.classification.baselines", "bigbird.tasks.classification.decisions", "bigbird.tasks.classification.intervals",
    "bigbird.tasks.classification.metrics", "bigbird.tasks.classification.plots", "bigbird.tasks.classification.predictions",
    "bigbird.tasks.classification.report", "bigbird.tasks.shortening",
    "bigbird_components.check.__main__", "bigbird_components.check.check",
    "bigbird_components.evaluate.__main__", "bigbird_components.evaluate.report_charts", "bigbird_components.evaluate.wording", "bigbird_components.export.__main__", "bigbird_components.notify.notify",
    "bigbird_components.beam_options", "bigbird_components.output_files", "bigbird_components.platforms.kubeflow", "bigbird_components.platforms.vertex", "bigbird_components.predict.answering", "bigbird_components.predict.predict", "bigbird_components.preprocess.__main__",
    "bigbird_components.preprocess.inputs", "bigbird_components.preprocess.report_page", "bigbird_components.run_configuration", "bigbird_components.register.__main__", "bigbird_components.register.register",
    "bigbird_components.runs", "bigbird_components.serve.__main__", "bigbird_components.serve.serve", "bigbird_components.stage", "bigbird_components.table_flags", "bigbird_components.train.__main__",
    "bigbird_pipelines.cli", "bigbird_pipelines.cli_cloud", "bigbird_pipelines.cli_local", "bigbird_pipelines.cli_predict", "bigbird_pipelines.doctor", "bigbird_pipelines.files", "bigbird_pipelines.images", "bigbird_pipelines.local_runs.folder", "bigbird_pipelines.local_runs.plan", "bigbird_pipelines.local_runs.planning",
    "bigbird_pipelines.local_runs.record", "bigbird_pipelines.local_runs.run",
    "bigbird_pipelines.machines", "bigbird_pipelines.options", "bigbird_pipelines.own_tables", "bigbird_pipelines.parameters", "bigbird_pipelines.predict", "bigbird_pipelines.preflight.command",
    "bigbird_pipelines.preflight.compiler", "bigbird_pipelines.preflight.lowering", "bigbird_pipelines.recipes", "bigbird_pipelines.remote", "bigbird_pipelines.remote_predict",
    "bigbird_pipelines.local_runs.sample_data", "bigbird_pipelines.schedule", "bigbird_pipelines.team_settings", "bigbird_pipelines.submission", "bigbird_pipelines.submit",
    "bigbird_pipelines.local_runs.summary", "bigbird_pipelines.platforms.docker.containers", "bigbird_pipelines.platforms.docker.platform",
    "bigbird_pipelines.platforms.kubeflow.checks", "bigbird_pipelines.platforms.kubeflow.platform", "bigbird_pipelines.platforms.kubeflow.service",
    "bigbird_pipelines.platforms.local.platform", "bigbird_pipelines.platforms.local.processes", "bigbird_pipelines.platforms.local_steps",
    "bigbird_pipelines.platforms.platform", "bigbird_pipelines.platforms.registry", "bigbird_pipelines.platforms.service", "bigbird_pipelines.platforms.vertex.checks",
    "bigbird_pipelines.platforms.vertex.client", "bigbird_pipelines.platforms.vertex.platform", "bigbird_pipelines.platforms.vertex.prediction", "bigbird_pipelines.platforms.vertex.service",
)  # fmt: skip


def test_light_modules_load_nothing_heavy():
    assert loaded_by("\n".join(f"import {name}" for name in LIGHT)) == set()


def test_compiling_a_pipeline_loads_neither_tensorflow_nor_beam():
    assert loaded_by(
        "from bigbird_pipelines.finetune import build_pipeline; from bigbird_pipelines.images import Images; "
        "from bigbird_pipelines.platforms.target import Target; build_pipeline(Target(Images.named()))"
    ) <= {"kfp", "google.cloud.storage"}


EXTRAS = {
    "build", "component", "dev", "evaluate", "export", "model", "pipelines", "preflight", "preprocess", "register", "serve", "train", "train-gpu",
    "train-jax-gpu", "train-jax-tpu", "train-tpu",
}  # fmt: skip


def test_locks_hold_versions_and_hashes_and_no_address():
    locks = sorted((ROOT / "requirements").glob("*.lock"))
    assert {lock.stem for lock in locks} == EXTRAS
    for lock in locks:
        for line in lock.read_text(encoding="utf-8").splitlines():
            assert re.fullmatch(r"#.*|[\w.-]+==[\w.+!]+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), (
                f"{lock}: {line}"
            )
            assert "://" not in line


def pins(extra: str) -> dict[str, str]:
    """A lock's versions by distribution; one with a version per Python has the first."""
    text = (ROOT / "requirements" / f"{extra}.lock").read_text(encoding="utf-8")
    return dict(reversed(re.findall(r"^([\w.-]+)==(\S+)", text, flags=re.MULTILINE)))


@pytest.mark.parametrize("extra", sorted(EXTRAS - {"dev", *(extra for extra in EXTRAS if extra.startswith("train-"))}))
def test_every_lock_has_the_versions_of_the_local_one(extra):
    assert pins(extra).items() <= pins("dev").items()


# The image that a stage runs in, where it has none of its own.
IMAGES = {"check": "preprocess"}


# Notify is no command, and predict has no image of its own.
@pytest.mark.parametrize("stage", sorted(set(STAGES) - {"notify", "predict"}))
def test_a_stages_command_starts_with_what_its_image_has(stage):
    """Packages that the stage's lock lacks cannot be imported, as in its image."""
    code = f"""
import importlib.metadata, sys
known = importlib.metadata.packages_distributions()
installed = {sorted(pins(IMAGES.get(stage, stage)))!r}
class Missing:
    def find_spec(self, name, path=None, target=None):
        owners = known.get(name.partition(".")[0], ["bigbird-pipelines"])
        if not any(owner.lower().replace("_", "-").replace(".", "-") in (*installed, "bigbird-pipelines") for owner in owners):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from bigbird_pipelines.cli import main
for words in ([{stage!r}, "--help"], ["--help"], ["run"]):
    sys.argv = ["bigbird", *words]
    try:
        main()
    except SystemExit as end:
        print("ended with", end.code or 0)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    own, all_of_them, run = done.stdout.split("ended with ")[:3]
    assert own.startswith(f"Usage: bigbird {stage} ") and all_of_them.startswith("0\nUsage: bigbird [OPTIONS] COMMAND")
    assert f"\n  {stage} " in all_of_them and "\n  run " not in all_of_them
    assert run == "0\n" and done.stdout.endswith("ended with 1\n")
    assert re.match(r"Error: bigbird run needs the package \w+, which is not installed here\.", done.stderr)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("train-gpu", {"nvidia"}),
        ("train-jax-gpu", {"nvidia", "jax-cuda12-pjrt", "jax-cuda12-plugin"}),
        ("train-jax-tpu", {"libtpu"}),
    ],
)
def test_an_accelerators_image_adds_only_its_libraries_to_the_cpu_one(image, expected):
    added = pins(image).keys() - pins("train").keys()
    assert pins("train").items() <= pins(image).items()
    assert {"nvidia" if name.startswith("nvidia-") else name for name in added} == expected


def test_the_tpu_image_has_our_versions_but_for_tensorflow_and_a_libtpu_that_it_can_load():
    tpu, ours = pins("train-tpu"), pins("dev")
    assert pins("component").items() <= tpu.items()
    assert tpu["tensorflow-tpu"].startswith("2.20.")
    assert tuple(map(int, tpu["libtpu"].split("."))) <= (0, 0, 30)  # newer ones abort TensorFlow's import
    for name in ("keras", "numpy", "protobuf", "safetensors", "scikit-learn", "scipy", "sentencepiece"):
        assert tpu[name] == ours[name], name


def test_the_dataflow_worker_gets_beams_boot_program_of_the_locked_version():
    (version,) = re.findall(
        r"ARG BEAM_IMAGE=\S+:(\S+)", (ROOT / "docker/preprocess-dataflow.Dockerfile").read_text("utf-8")
    )
    assert version == pins("preprocess")["apache-beam"]


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_pages_make_targets_and_files_exist(page):
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {*re.findall(r"`make ([a-z-]+)", text), *re.findall(r"^make ([a-z-]+)", text, flags=re.MULTILINE)}
    assert named <= targets
    for path in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", text):
        assert (page.parent / path).exists(), path
    for path in re.findall(r"`((?:model|components|pipelines|benchmarks|docker|docs|tests)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


MAIN_PAGES = {
    "docs/index.md", "docs/quickstart.md", "docs/tutorials/own_documents.md", "docs/tutorials/squad.md", "docs/tutorials/vertex_ai.md",
    "docs/how_to/preflight.md", "docs/how_to/serving.md", "docs/how_to/add_a_task.md", "docs/reference/commands.md",
    "docs/reference/recipe_keys.md", "docs/explanation/architecture.md",
}  # fmt: skip


def test_the_readme_is_short_begins_with_two_commands_and_leads_to_the_main_pages():
    assert readme().count("\n") <= 150
    assert set(re.findall(r"\]\(([\w./-]+)\)", readme())) >= MAIN_PAGES
    assert re.findall(r"^make ([a-z]+)$", readme(), flags=re.MULTILINE)[:2] == ["run", "test"]


BEAM_OPTIONS = {"--direct-running-mode", "--direct-num-workers", "--runner", "--temp-location"}


def test_the_pages_bigbird_commands_and_options_exist():
    from bigbird_pipelines.cli import cli

    schedules = cli.commands["schedule"].commands
    commands = {name: command for name, command in cli.commands.items() if name != "schedule"}
    commands |= {f"schedule {name}": command for name, command in schedules.items()}
    named = "|".join(sorted(commands, key=len, reverse=True))
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    found = re.findall(rf"\bbigbird ({named})\b((?:[^\n`]|\\\n)*)", pages)
    assert set(commands) - {name for name, _ in found} <= {"submission", *(f"schedule {name}" for name in schedules)}
    for command, rest in found:
        known = {option for parameter in commands[command].params for option in parameter.opts} | {"--help"}
        known |= {option for parameter in commands[command].params for option in parameter.secondary_opts}
        found_options = {option.replace("_", "-") for option in re.findall(r"(?<!\S)--[a-z_-]+", rest)}
        assert found_options - BEAM_OPTIONS <= known, f"bigbird {command}{rest}"


def pages_of(entries) -> list[str]:
    """The pages of a part of mkdocs' navigation."""
    if isinstance(entries, str):
        return [entries]
    inner = entries.values() if isinstance(entries, dict) else entries
    return [page for entry in inner for page in pages_of(entry)]


def test_every_page_is_in_the_sites_navigation_once():
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert sorted(pages_of(navigation)) == sorted(pages)


def family_words() -> set[str]:
    """The families' names and their tasks'."""
    from bigbird.tasks.registry import OWN, families

    own = [family for family in families() if type(family).__module__.startswith("bigbird.tasks.")]
    assert len(own) == len(OWN)
    return {word for family in own for word in (family.name, *family.tasks)}


def words_of_code(file: Path) -> set[str]:
    """Identifiers, their parts between underscores, and whole strings of a module; its documentation is left out."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [getattr(node, field, None) for field in ("id", "attr", "arg", "name", "module")]
        names += [node.value] if isinstance(node, ast.Constant) else []
        for name in names:
            if isinstance(name, str) and re.fullmatch(r"[\w.]+", name):
                if name.endswith("ClassificationMetrics"):  # KFP's name of a confusion matrix
                    continue
                found |= {name.lower(), *re.split(r"[._]", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())}
    return found


# The one command that is about a benchmark and not about a stage.
ABOUT_A_FAMILY = ("bigbird_pipelines.submission",)


@pytest.mark.parametrize(
    "name", sorted(name for name in MODULES if not name.startswith("bigbird.") and name not in ABOUT_A_FAMILY)
)
def test_no_stage_and_no_pipeline_knows_a_task_family(name):
    assert words_of_code(MODULES[name]) & family_words() == set()
    # All folders but the one that is no family's: what users' tables of all families are read with.
    folders = {
        f"bigbird.tasks.{path.name}"
        for path in (ROOT / "model/bigbird/tasks").iterdir()
        if path.is_dir() and path.name != "tables"
    }
    assert not [imported for imported in imports_of(name) if imported.startswith(tuple(folders))]


PLATFORMS = ("local", "docker", "vertex", "kubeflow")
# Modules that are about a platform, outside the platforms' folders, and why.
ABOUT_A_PLATFORM = {
    "bigbird_pipelines.team_settings": "the settings of all platforms are one table; its help says which one each is for",
    "bigbird_components.serve.__main__": "the server answers as Vertex AI's custom containers do, wherever it runs",
    "bigbird_components.serve.listening": "a message that tells how to give a container more files",
}


def platform_folder(name: str) -> str | None:
    """The platform whose folder or module it is: all of pipelines/platforms/NAME, and components/platforms/NAME.py."""
    parts = name.split(".")
    return parts[2] if parts[1:2] == ["platforms"] and len(parts) > 2 and parts[2] in PLATFORMS else None


def texts_of_code(file: Path) -> set[str]:
    """Identifiers and strings of a module, in lower case; its documentation is left out."""
    tree, found, documentation = ast.parse(file.read_text(encoding="utf-8")), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first = node.body[0] if node.body else None
            documentation |= {id(first.value)} if isinstance(first, ast.Expr) else set()
        elif isinstance(node, ast.Expr):  # of an attribute
            documentation.add(id(node.value))
    for node in ast.walk(tree):
        names = [getattr(node, field, None) for field in ("id", "attr", "arg", "name", "module")]
        names += [node.value] if isinstance(node, ast.Constant) and id(node) not in documentation else []
        found |= {name.lower() for name in names if isinstance(name, str)}
    return found


def test_the_platforms_are_those_of_the_registry():
    from bigbird_pipelines.platforms.registry import OWN, platforms

    assert OWN == PLATFORMS == tuple(platform.name for platform in platforms())[: len(OWN)]


@pytest.mark.parametrize(
    "name", sorted(name for name in MODULES if not name.startswith("bigbird.") and name not in ABOUT_A_PLATFORM)
)
def test_nothing_but_a_platforms_folder_knows_it(name):
    own = platform_folder(name)
    others = {imported for imported in imports_of(name) if platform_folder(imported) not in (None, own)}
    assert others == set()
    if own is None and name != "bigbird_pipelines.platforms.registry":  # which lists the folders
        texts = "\n".join(texts_of_code(MODULES[name]))
        assert not re.search("vertex|kubeflow|docker", texts)  # "local" is also a word of English
