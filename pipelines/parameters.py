"""From a command's options to the pipeline's parameters, checked against each other and against the files they name."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from bigbird.checkpoints.beside import Carried
from bigbird.config import PLACEHOLDER, Experiment
from bigbird.config.overrides import assignment, join_overrides, parse_override
from bigbird.support.errors import InputError
from bigbird.tasks.raw_input import Inputs
from bigbird.tasks.registry import checked_task_names, family_of_task
from bigbird_components.gate import NO_THRESHOLD
from bigbird_components.model_names import REGISTRY
from bigbird_components.run_configuration import epochs_to_train, resolve_experiment
from bigbird_pipelines.images import Backend
from bigbird_pipelines.recipes import default_recipe, recipe_text
from bigbird_pipelines.shortcuts import shortcut_overrides

_log = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
PATHS = ("data", *(f"{kind}_file" for kind in SPLITS))


class Files(Protocol):
    """Where a run's files lie. Each method returns the path as the steps are to see it, "" for "".

    Raises:
        InputError: there is no such file; names the option.
    """

    def folder(self, option: str, path: str, task: str, named: Collection[str]) -> str:
        """A folder with a task's official files, but for the splits whose files are named one by one."""

    def file(self, option: str, path: str) -> str:
        """A file."""

    def tables(self, task: str, inputs: Inputs) -> Inputs:
        """A user's own tables; the section's paths count where no others are given."""

    def vocabulary(self, option: str, path: str) -> str:
        """A vocabulary: a file, or a folder that holds one."""

    def checkpoint(self, option: str, path: str) -> str:
        """Weights of any kind that training starts from."""

    def check_weights(self, experiment: Experiment) -> int:
        """Refuses weights that the experiment's model cannot start from.

        Returns:
            Rows of their word embeddings; 0 where there are no weights, or they are not looked at before training.

        Raises:
            InputError: says what does not fit.
        """

    def count_pieces(self, vocabulary: str) -> int:
        """The pieces of a vocabulary; 0 where it cannot be seen, or there is none."""

    def carried(self, checkpoint: str) -> Carried | None:
        """The vocabulary that such weights bring along; None where there is none, or none that can be seen."""

    def digest(self, vocabulary: str) -> str:
        """A checked vocabulary's SHA-256; "" where it cannot be seen."""


def pipeline_parameters(
    options: Mapping[str, Any], task: str, recipe: str | None, files: Files, runtime: str = ""
) -> tuple[dict[str, Any], Experiment]:
    """Checks a command's options and turns them into the pipeline's parameters.

    Args:
        options: those of `data_options` and `training_options` in options.py; None and "" were not given.
        task: what to learn.
        recipe: a recipe's name or file; the task's default where None.
        files: where the files lie.
        runtime: overrides that the machine asks for, under the user's.

    Returns:
        The parameters, and the experiment that they describe.

    Raises:
        InputError: names the option, what was found and what was expected.
    """
    recipe = recipe or default_recipe(task, published=bool(options["init_checkpoint"]))
    own_tables = family_of_task(task).own_tables
    parameters: dict[str, Any] = {
        "task": task,
        **(dict.fromkeys(PATHS, "") if own_tables else _official_files(options, task, files)),
        "vocabulary": files.vocabulary("--vocabulary", options["vocabulary"]),
        "vocabulary_size": options["vocabulary_size"] or 8000,
        "max_bad_records": options["max_bad_records"],
        "beam_options": options["beam_options"],
        **_configuration(options, task, recipe),
        "init_checkpoint": files.checkpoint("--init-checkpoint", options["init_checkpoint"]),
        "metric_threshold": NO_THRESHOLD if options["metric_threshold"] is None else options["metric_threshold"],
    }
    experiment = _resolve(parameters, runtime)
    checks = checks_of(options)
    if checks and task not in checked_task_names():
        raise InputError(
            f"--check is given with --task {task}; it is for your own tables of the tasks {', '.join(checked_task_names())}"
        )
    if checks:
        parameters["fail_on"] = checks
    if own_tables:
        parameters |= _tables(options, task, experiment, files)
        parameters["overrides"] = join_overrides([parameters["overrides"], *parameters.pop("section")])
        experiment = _resolve(parameters, runtime)
    checkpoint = experiment.task.init_checkpoint
    if checkpoint != parameters["init_checkpoint"]:  # the recipe or an override names it
        if checkpoint == PLACEHOLDER:
            raise InputError(
                f"recipe {recipe}: its task.init_checkpoint is {PLACEHOLDER!r}; name the weights with --init-checkpoint, "
                "or start from scratch with --override task.init_checkpoint="
            )
        named = files.checkpoint("task.init_checkpoint", checkpoint)
        if "init_checkpoint" in overridden_task(options["overrides"]):
            parameters["overrides"] = join_overrides(
                [parameters["overrides"], assignment("task.init_checkpoint", named)]
            )
        else:
            parameters["init_checkpoint"] = named
        experiment = _resolve(parameters, runtime)
    epochs_to_train(experiment)  # refuses where nothing says how long to train
    rows = files.check_weights(experiment)
    parameters["vocabulary"] = _vocabulary(parameters["vocabulary"], experiment, files)
    pieces = files.count_pieces(parameters["vocabulary"]) if rows else 0
    if pieces > rows:
        raise InputError(
            f"{parameters['vocabulary']}: has {pieces:,} pieces, but {experiment.task.init_checkpoint} {rows:,} rows of word embeddings; "
            "expected the vocabulary that these weights were trained with"
        )
    return parameters, experiment


def checks_of(options: Mapping[str, Any]) -> str:
    """The checks of `--check`, with commas between; empty where the tables are not to be checked.

    Raises:
        InputError: one is no check.
    """
    from bigbird_components.check.check import NONE, parse_fail_on

    given = options.get("check") or ""
    return given and (",".join(parse_fail_on(given, "--check")) or NONE)


def _official_files(options: Mapping[str, Any], task: str, files: Files) -> dict[str, str]:
    """The parameters that name a task's official files."""
    named = {f"{kind}_file": files.file(f"--{kind}-file", options[f"{kind}_file"]) for kind in SPLITS}
    return {"data": files.folder("--data", options["data"] or "", task, _named_splits(options)), **named}


def _tables(options: Mapping[str, Any], task: str, experiment: Experiment, files: Files) -> dict[str, Any]:
    """The parameters that name a user's own tables, and in "section" overrides with the paths that no parameter holds.

    The configuration's own paths become parameters where each split has one, so that a run in the cloud fills in dates
    and sees that files have changed.
    """
    family = family_of_task(task)
    section = family.preprocessing_settings(experiment.task)["section"]
    given = Inputs(options["data"] or "", {kind: options[f"{kind}_file"] for kind in _named_splits(options)}, section)
    named = {} if given.path or given.files else family.named_tables(experiment.task)
    if named and all(len(paths) == 1 for paths in named.values()):
        one = {key: path for key, (path,) in named.items()}
        given, named = Inputs(one.pop("files", ""), one, section), {}
    found = files.tables(task, given)
    return {
        "data": found.path,
        **{f"{kind}_file": found.files.get(kind, "") for kind in SPLITS},
        "section": [assignment(f"task.data.{key}", found.section[key]) for key in named],
    }


def _vocabulary(given: str, experiment: Experiment, files: Files) -> str:
    """The vocabulary of a run: that of the weights it starts from, whose embeddings mean nothing under another.

    Args:
        given: as the user gave it, or "".
        experiment: the run's.
        files: where the files lie.

    Raises:
        InputError: it is not the weights', or neither is known.
    """
    checkpoint = experiment.task.init_checkpoint
    if not checkpoint or checkpoint.startswith(REGISTRY):  # the run's first step takes a registered model's
        return given
    carried = files.carried(checkpoint)
    if carried is None or not (given or carried.file):
        if given:
            return given
        raise InputError(
            f"--vocabulary is not given, and beside --init-checkpoint {checkpoint} there is none that can be read from here; expected the "
            "one that the weights were trained with, there or as --vocabulary"
        )
    lower_case = getattr(experiment.task.validation_data, "do_lower_case", None)
    lower_case = carried.own_lower_case if lower_case is None else lower_case
    if carried.lower_case not in (None, lower_case):
        raise InputError(
            f"--init-checkpoint {checkpoint}: was trained on text {'' if carried.lower_case else 'not '}lower-cased, which "
            f"this run's is{'' if lower_case else ' not'}; set task.validation_data.do_lower_case={str(carried.lower_case).lower()}, "
            "or where the task has no such key, preprocess and train with the stages' own commands"
        )
    if not given:
        _log.info(f"the vocabulary is that of the weights: {carried.file}")
        return carried.file
    digest = files.digest(given)
    if digest not in ("", carried.sha256):
        raise InputError(
            f"--vocabulary {given}: has SHA-256 {digest}, but --init-checkpoint {checkpoint} was trained with another, of "
            f"SHA-256 {carried.sha256} in {carried.folder}; leave --vocabulary out to take that"
        )
    return given


def wanted_backend(options: Mapping[str, Any], task: str, runtime: str) -> Backend:
    """What a run trains with, which decides its image: `runtime.backend` of its options, as `pipeline_parameters` resolves it."""
    recipe = options["recipe"] or default_recipe(task, published=bool(options["init_checkpoint"]))
    described = {"task": task, "init_checkpoint": options["init_checkpoint"], **_configuration(options, task, recipe)}
    return _resolve(described, runtime).runtime.backend


def _named_splits(options: Mapping[str, Any]) -> list[str]:
    """The kinds of splits whose file the user names."""
    return [kind for kind in SPLITS if options[f"{kind}_file"]]


def _configuration(options: Mapping[str, Any], task: str, recipe: str) -> dict[str, str]:
    """The parameters that describe the configuration."""
    text = recipe_text(recipe)
    return {
        "recipe": text,
        "overrides": join_overrides([*shortcut_overrides(options, task, text), *options["overrides"]]),
    }


def overridden_task(overrides: Iterable[str]) -> dict[str, Any]:
    """What overrides say of the experiment's `task`."""
    task = parse_override(join_overrides(overrides)).get("task")
    return task if isinstance(task, dict) else {}


def _resolve(parameters: dict[str, Any], runtime: str) -> Experiment:
    """The experiment that the parameters describe, as the steps resolve it."""
    return resolve_experiment(
        parameters["task"],
        parameters["recipe"],
        init_checkpoint=parameters["init_checkpoint"],
        overrides=join_overrides((runtime, parameters["overrides"])),
    )
