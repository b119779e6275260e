"""The recipes that come with the project, and finding the one a run is to use."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bigbird.config import TREE, RuntimeConfig, Task, TrainerConfig, load_experiment, read_yaml
from bigbird.config.overrides import merge
from bigbird.support.errors import InputError
from bigbird.support.text_files import read_text
from bigbird.support.yaml_files import dump_yaml, parse_yaml_mapping, quoted
from bigbird.tasks.registry import experiment_types, families, family_of_task

FOLDER = Path(__file__).parent / "experiments"


LARGE = FOLDER / "size" / "large.yaml"
BASE = FOLDER / "base" / "base.yaml"
"""Every key of a recipe with its default; what `base_text` gives."""
_SUFFIX = "_large"
_OF_ONE_SIZE = ("small_", "sample_", "bert_")  # how the names begin of recipes that are for no published weights


def recipe_names() -> list[str]:
    """Names that `recipe_text` takes, besides paths; the published recipes also with `_large`."""
    names = sorted(file.stem for file in FOLDER.glob("*.yaml"))
    return [*names, *(f"{name}{_SUFFIX}" for name in names if not name.startswith(_OF_ONE_SIZE))]


def recipe_text(name_or_file: str) -> str:
    """A recipe's YAML, given by its name here (`small_sst2`, `squad_v1_large`) or by a path.

    Raises:
        InputError: there is no such recipe or file, or it is not a YAML mapping.
    """
    if name_or_file not in recipe_names() or not name_or_file.endswith(_SUFFIX):
        return read_text(recipe_file(name_or_file), "a recipe in YAML")
    base = FOLDER / f"{name_or_file.removesuffix(_SUFFIX)}.yaml"
    return dump_yaml(merge(read_yaml(base), read_yaml(LARGE)))


def recipe_file(name_or_file: str) -> Path:
    """The file of a recipe, given by its name here or by a path; those of the base size.

    Raises:
        InputError: there is no such recipe or file, or it is not a YAML mapping.
    """
    own = FOLDER / f"{name_or_file}.yaml"
    file = own if own.exists() else Path(name_or_file)
    if not file.is_file():
        raise InputError(
            f"recipe {name_or_file!r}: no such file, nor one of the recipes here; expected a YAML file or one of "
            f"{', '.join(recipe_names())}"
        )
    read_yaml(file)
    return file


def default_recipe(task: str, *, published: bool) -> str:
    """The published recipe where training starts from published weights, else one small enough for a laptop."""
    return family_of_task(task).recipe(task, published=published)


# ------------------------------------------------------------------------------------------- every key, commented


def resolved_text(name_or_file: str) -> str:
    """A whole recipe to read or to copy: what it sets, and between that all other keys, commented out, with their defaults.

    Args:
        name_or_file: as `recipe_text` takes it.

    Raises:
        InputError: there is no such recipe, or it cannot be used.
    """
    text = recipe_text(name_or_file)
    tree = parse_yaml_mapping(text, f"recipe {name_or_file}", TREE)
    kind = tree.get("type") or _kind_of(name_or_file, tree)
    experiment = load_experiment(kind, overrides=[tree])
    head = [line for line in text.splitlines() if line.startswith("#")]
    values = experiment.model_dump(mode="json")
    lines = [f"type: {kind}"]
    for name, section in (("task", type(experiment.task)), ("trainer", TrainerConfig), ("runtime", RuntimeConfig)):
        lines += _section(name, section, values[name], tree.get(name), "")
    return "\n".join([*head, *lines]) + "\n"


def base_text() -> str:
    """What base.yaml holds: every key with its default and what it means; the common ones, then those that a family adds."""
    head = [
        "# What all recipes stand on: every key of a recipe, with its default and what it means. A recipe holds what differs; yours",
        '# may too. `bigbird recipes NAME` prints one whole. A line is set by removing its first "# ", and those of the sections',
        "# that it is in. Some defaults depend on whether a key is set, so nothing is set here.",
    ]
    experiment = load_experiment(experiment_types()[0])
    values = experiment.model_dump(mode="json")
    common = _known(Task, values["task"]) | {"model": {"encoder": values["task"]["model"]["encoder"]}}
    lines = [*head, *_section("task", Task, common, None, "")]
    lines += _section("model", _inner(experiment.task, "model"), common["model"], None, "  ")
    for name, section in (("trainer", TrainerConfig), ("runtime", RuntimeConfig)):
        lines += _section(name, section, values[name], None, "")
    for family in families():
        own = load_experiment(family.experiment_type).task.model_dump(mode="json")
        lines += ["#", f"# type: {family.experiment_type}"]
        lines += _section("task", family.config, _differing(own, common), None, "")
    return "\n".join(lines) + "\n"


def _kind_of(name: str, tree: Mapping[str, Any]) -> str:
    """The experiment type of a recipe that does not state it: its default task's or sample's, else the first that takes its keys."""
    name = name.removesuffix(_SUFFIX)
    for family in families():
        names = {family.recipe(task, published=published) for task in family.tasks for published in (True, False)}
        if name in names | {f"sample_{sample}" for sample in family.samples}:
            return family.experiment_type
    for kind in experiment_types():
        try:
            load_experiment(kind, overrides=[dict(tree)])
        except InputError:
            continue
        return kind
    return experiment_types()[0]


def _known(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Of a tree the keys that a model has itself, also in its sections."""
    found = {}
    for name in model.model_fields:
        section = _inner(model, name)
        found[name] = values[name] if section is None else _known(section, values[name])
    return found


def _differing(value: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a tree that another one lacks, or has with another value."""
    found: dict[str, Any] = {}
    for name, inner in value.items():
        before = other.get(name)
        if isinstance(inner, dict) and isinstance(before, dict):
            inner = _differing(inner, before)
            if not inner:
                continue
        elif name in other and inner == before:
            continue
        found[name] = inner
    return found


def _inner(model: type[BaseModel] | BaseModel, name: str) -> Any:
    """The model that a field holds; None where it holds a value."""
    owner = model if isinstance(model, type) else type(model)
    annotation = owner.model_fields[name].annotation
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return next((each for each in options if isinstance(each, type) and issubclass(each, BaseModel)), None)


def _section(
    name: str, model: type[BaseModel], values: Mapping[str, Any], given: Mapping[str, Any] | None, indent: str
) -> list[str]:
    """A section's lines: what was given as it is, the rest of `values` commented out."""
    return [f"{_mark(given is not None, indent)}{name}:", *_lines(model, values, given or {}, f"{indent}  ")]


def _lines(model: type[BaseModel], values: Mapping[str, Any], given: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name not in values:
            continue
        section = _inner(model, name)
        if section is not None and isinstance(values[name], dict):
            yield from _section(name, section, values[name], given.get(name), indent)
        else:
            yield f"{_mark(name in given, indent)}{name}: {_inline(values[name])}  # {field.description}"


def _inline(value: Any) -> str:
    """A value of JSON as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(name)}: {_inline(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, str):
        return quoted(value)
    return dump_yaml({"value": value}).removeprefix("value: ").strip()


def _mark(given: bool, indent: str) -> str:
    return indent if given else f"{indent}# "
