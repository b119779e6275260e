"""Experiment configuration: the Model Garden's tree, typed and validated, from YAML files and dotted overrides.

Every key the Model Garden's BigBird recipes use is accepted under its name; our own settings are further keys of
the same tree. A key that means nothing here is refused, never ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field, SerializeAsAny, ValidationError

from bigbird.config.model import ENCODER_KEY
from bigbird.config.overrides import merge, parse_override
from bigbird.config.section import Section
from bigbird.config.task import Task
from bigbird.config.training import RuntimeConfig, TrainerConfig
from bigbird.support.errors import InputError
from bigbird.support.text_files import MOST_PROBLEMS, problem_list, read_text, shown
from bigbird.support.validation import problem_words, unknown_key
from bigbird.support.yaml_files import dump_yaml, parse_yaml_mapping

TREE = "a mapping with task, trainer, runtime"  # a configuration's top level, for messages
PLACEHOLDER = "TODO"  # what the Model Garden's recipes hold where a path is to be filled in


class Experiment(Section):
    """A whole run. `type` is the Model Garden's experiment_type."""

    type: str = Field(description="of a task family: bigbird/glue, ...")
    task: SerializeAsAny[Task]
    trainer: TrainerConfig = TrainerConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    def to_yaml(self) -> str:
        """The resolved configuration, loadable with `load_experiment`."""
        return dump_yaml(self.model_dump(mode="json"))


def load_experiment(
    experiment_type: str | None = None,
    config_files: Iterable[str | Path] = (),
    overrides: Iterable[str | dict[str, Any]] = (),
) -> Experiment:
    """Builds an experiment: defaults, then each file, then each override; the later wins key by key.

    Args:
        experiment_type: of a task family; None where a file states `type`.
        config_files: YAML files whose top level is `task`, `trainer`, `runtime` (and optionally `type`).
        overrides: `task.model.num_classes=3,trainer.train_steps=10` or nested dicts.

    Raises:
        InputError: a file that cannot be read, an unknown key, a wrong type or an impossible combination;
            every problem is listed with its full path, the value found and what is allowed.
    """
    from bigbird.tasks.registry import (  # each family's configuration is built on this module
        experiment_types,
        family_of_type,
    )

    tree: dict[str, Any] = {}
    for file in config_files:
        tree = merge(tree, read_yaml(file))
    for override in overrides:
        tree = merge(tree, parse_override(override) if isinstance(override, str) else override)
    stated = tree.pop("type", None)
    chosen = experiment_type or stated
    if chosen is None:
        raise InputError(
            f"the experiment's type is not given; pass --experiment-type, one of {', '.join(experiment_types())}"
        )
    if not isinstance(chosen, str) or chosen not in experiment_types():
        raise InputError(
            f"experiment type {shown(chosen)} is not known; expected one of {', '.join(experiment_types())}"
        )
    if stated is not None and stated != chosen:
        raise InputError(f"--experiment-type is {chosen!r} but the configuration file says type: {shown(stated)}")
    unknown = sorted(set(tree) - {"task", "trainer", "runtime"}, key=str)
    if unknown:
        told = [unknown_key((key,), Experiment, hidden=("type",)) for key in unknown[:MOST_PROBLEMS]]
        raise InputError(problem_list(told, more=len(unknown) - len(told)))
    sections: dict[str, type[Section]] = {
        "task": family_of_type(chosen).config,
        "trainer": TrainerConfig,
        "runtime": RuntimeConfig,
    }
    built: dict[str, Any] = {}
    problems: list[tuple[Any, str, type[Section]]] = []
    for name, section in sections.items():
        try:
            given = tree.get(name)  # a heading with nothing under it is None in YAML
            built[name] = section.model_validate({} if given is None else given)
        except ValidationError as error:
            problems += [(problem, name, section) for problem in error.errors(include_url=False)]
    if problems:
        told = [problem_words(problem, section, (name,)) for problem, name, section in problems[:MOST_PROBLEMS]]
        raise InputError(problem_list(told, more=len(problems) - len(told)))
    if built["task"].encoder.attention.implementation == "pallas" and built["runtime"].backend != "jax":
        raise InputError(
            f"{ENCODER_KEY}.attention.implementation is pallas, which is written in JAX, but runtime.backend is "
            f"{built['runtime'].backend}; set it to auto or xla, or runtime.backend to jax"
        )
    layers, frozen = built["task"].encoder.num_layers, built["trainer"].freeze_layers
    if frozen > layers:
        raise InputError(
            f"trainer.freeze_layers is {frozen}, but the encoder has {layers} layers; expected at most as many"
        )
    return Experiment.model_validate({"type": chosen, **built})


def replace(section: Any, **changes: Any) -> Any:
    """A copy of a section with `changes` (nested dicts allowed), validated like the original."""
    return type(section).model_validate(merge(section.model_dump(exclude_unset=True), changes))


def with_sections(experiment: Experiment, **sections: Section) -> Experiment:
    """A copy with other sections (`task`, `trainer`, `runtime`), validated like the original."""
    return Experiment.model_validate({**dict(experiment), **sections})


def read_yaml(file: str | Path) -> dict[str, Any]:
    """Reads one YAML file whose top level is a mapping; `InputError` names the line of a syntax error."""
    return parse_yaml_mapping(read_text(file, "a YAML configuration in UTF-8"), str(file), TREE)
