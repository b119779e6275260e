"""Parts of pages that the code itself knows: commands from click, keys of recipes from pydantic, settings, machines."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

import click
from pydantic import BaseModel


def escaped(text: str) -> str:
    """Text as Markdown shows it, but for what stands in backticks; options are shown as code."""
    text = re.sub(r"(?<![\w`-])--[a-z][\w-]*", r"`\g<0>`", text)
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*_<>\[\]|{}])", r"\\\1", part) for part in parts)


def cell(text: str) -> str:
    """Text for a table's cell, where an upright line would end it."""
    return escaped(text).replace("\\|", "&#124;").replace("\n", " ")


# ------------------------------------------------------------------------------------------------ commands


def commands() -> str:
    """Every command with its usage, options and examples."""
    from bigbird_pipelines.cli import STAGES, cli

    def of(names: list[str]) -> str:
        return "\n\n".join(_command(["bigbird", name], cli.commands[name]) for name in names)

    others = sorted(set(cli.commands) - set(STAGES), key=lambda name: (name != "run", name))
    return f"## The pipeline\n\n{of(others)}\n\n## The stages\n\n{of(list(STAGES))}"


def _command(path: list[str], command: click.Command) -> str:
    name = " ".join(path)
    context = click.Context(command, info_name=name)
    lines = [f"### {name} {{ #{'-'.join(path)} }}", escaped(cleandoc(command.help or "")).replace("\b\n", "")]
    if isinstance(command, click.Group):
        inner = [_command([*path, each], command.commands[each]) for each in sorted(command.commands)]
        return "\n\n".join([*lines, *(part.replace("### ", "#### ", 1) for part in inner)])
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    lines.append(f"```text\n{usage}\n```")
    options = [option for option in command.params if isinstance(option, click.Option)]
    if options:
        lines.append("\n\n".join(_option(option) for option in options))
    if command.epilog:
        lines.append(f"Examples:\n\n```bash\n{cleandoc(command.epilog)}\n```")
    return "\n\n".join(lines)


def _option(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    told, _, default = (option.help or "").partition("[default: ")
    default = default.rstrip("] ")
    words = [escaped(told.strip())]
    if isinstance(option.type, click.Choice):
        words.append(f"One of {', '.join(f'`{choice}`' for choice in option.type.choices)}.")
    if option.required:
        words.append("Required.")
    elif default:
        words.append(f"Default: {escaped(default)}.")
    elif option.show_default and option.default not in (None, ()) and not option.is_flag:
        words.append(f"Default: `{option.default}`.")
    if option.multiple and "epeatable" not in told:
        words.append("Repeatable.")
    takes = "" if option.is_flag or isinstance(option.type, click.Choice) else _takes(option)
    return f"{names}{takes}\n:   {' '.join(filter(None, words))}"


def _takes(option: click.Option) -> str:
    name = option.type.name.replace(" range", "").upper()
    return f" {'NUMBER' if name == 'FLOAT' else name}"


# --------------------------------------------------------------------------------------------- recipe keys


@dataclass(frozen=True)
class Key:
    """A key of a recipe: its path, what it takes, its default, what it says."""

    path: str
    takes: str
    default: str
    meaning: str


def recipe_keys() -> str:
    """Every key: of the trainer, the machine, the encoder, all tasks, and each family."""
    from bigbird.config import ENCODER_KEY, BigBirdEncoderConfig, DataConfig, RuntimeConfig, TrainerConfig
    from bigbird.tasks.registry import families

    data = list(keys(DataConfig(), "task.train_data"))
    shared = [*_own_keys_of_task(), *data]
    encoder = ENCODER_KEY
    parts = [
        ("`trainer`: how long, how often", list(keys(TrainerConfig(), "trainer"))),
        ("`runtime`: the machine", list(keys(RuntimeConfig(), "runtime"))),
        ("`task`: of every task", shared),
        (f"`{encoder}`: the encoder", list(keys(BigBirdEncoderConfig(), encoder))),
    ]
    for family in families():
        if not type(family).__module__.startswith("bigbird.tasks."):
            continue  # of an installed package, which this page does not document
        known = {*shared, *map(_moved, data)}
        own = [key for key in keys(family.config.model_validate({}), "task", leave_out=(encoder,)) if key not in known]
        again = {_moved(key) for key in own if key.path.startswith("task.train_data.")}  # validation has it too
        parts.append((f"`task`: family `{family.name}`", [key for key in own if key not in again]))
    return "\n\n".join(f"## {title}\n\n{_table(rows)}" for title, rows in parts)


def _moved(key: Key) -> Key:
    """A key of the training data as validation has it."""
    return Key(key.path.replace("task.train_data.", "task.validation_data."), key.takes, key.default, key.meaning)


def _own_keys_of_task() -> Iterator[Key]:
    from bigbird.config import Task

    for name in Task.model_fields:
        if name not in ("train_data", "validation_data"):
            yield _key(Task, name, f"task.{name}", Task.model_fields[name].default)


def keys(section: BaseModel, path: str, leave_out: tuple[str, ...] = ()) -> Iterator[Key]:
    """The keys below a section, with the values it has as their defaults; depth first."""
    for name in type(section).model_fields:
        inner, value = f"{path}.{name}", getattr(section, name)
        if inner in leave_out:
            continue
        if isinstance(value, BaseModel):
            yield from keys(value, inner, leave_out)
        else:
            yield _key(type(section), name, inner, value)


def _key(model: type[BaseModel], name: str, path: str, default: Any) -> Key:
    schema, field = model.model_json_schema()["properties"][name], model.model_fields[name]
    takes = _takes_of(schema)
    if limits := _limits(field.annotation, field.metadata):
        takes = re.sub(r"integer|number", lambda kind: f"{kind[0]} {limits}", takes, count=1)
    return Key(path, takes, json.dumps(default), field.description or "")


_KINDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "`true` or `false`", "null": "`null`"}


def _takes_of(schema: dict[str, Any]) -> str:
    """What a JSON schema allows, in words, but for limits: our validators hide them from the schema."""
    if "anyOf" in schema:
        return " or ".join(_takes_of(option) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(f"`{value}`" if value != "" else "empty" for value in values)
    if schema.get("type") == "array":
        return f"list of {_takes_of(schema['items'])}"
    if schema.get("type") == "object":
        return f"mapping of text to {_takes_of(schema['additionalProperties'])}"
    return _KINDS[schema["type"]]


_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def _limits(annotation: Any, metadata: Any) -> str:
    """The limits of a number, of the annotation itself or of what it is built of."""
    flat = [inner for part in metadata for inner in getattr(part, "metadata", [part])]
    found = [f"{sign} {getattr(part, name):g}" for part in flat for name, sign in _SIGNS.items() if hasattr(part, name)]
    if found:
        return ", ".join(found)
    inner = [_limits(None, getattr(part, "__metadata__", ())) for part in typing.get_args(annotation)]
    return next(filter(None, inner), "")


def _table(rows: list[Key]) -> str:
    lines = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    for key in rows:
        # A long path may be broken at its dots.
        path = "<code>" + key.path.replace(".", ".<wbr>") + "</code>"
        lines.append(f"| {path} | {cell(key.takes)} | `{key.default}` | {cell(key.meaning)} |")
    return "\n".join(lines)


# ------------------------------------------------------------------------------------- settings, machines


def settings() -> str:
    """The keys of bigbird.toml."""
    from bigbird_pipelines.team_settings import TeamSettings

    rows = [f"| `{name}` | {cell(field.description or '')} |" for name, field in TeamSettings.model_fields.items()]
    return "\n".join(["| key | meaning |", "|---|---|", *rows])


def machines() -> str:
    """The profiles of `--machine`."""
    from bigbird_pipelines.machines import MACHINES

    lines = ["| `--machine` | Vertex AI | CPUs, memory | chips | trains with | lent as |", "|---|---|---|---|---|---|"]
    for name, machine in MACHINES.items():
        chips = f"{machine.chips} x {machine.chip_memory_gib} GiB" if machine.chip_memory_gib else "none"
        size = f"{machine.cpus}, {machine.memory_gib} GiB"
        lines.append(
            f"| `{name}` | `{machine.machine_type}` | {size} | {chips} | {', '.join(machine.backends)} | "
            f"{', '.join(machine.strategies)} |"
        )
    return "\n".join(lines)


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "recipe_keys": recipe_keys,
    "settings": settings,
    "machines": machines,
}
"""Name in a page's comment -> what makes the text."""
