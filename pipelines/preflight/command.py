"""`bigbird preflight`: checks its options, compiles, and tells what was found."""

from __future__ import annotations

import importlib.util
import json
import platform
import sys
from pathlib import Path
from typing import Any

from bigbird.config import PLACEHOLDER, Experiment, replace, with_sections
from bigbird.config.overrides import join_overrides
from bigbird.support.commands import EXIT_DOES_NOT_FIT
from bigbird.support.errors import InputError
from bigbird.support.tensorflow_start import load_tensorflow
from bigbird_components.model_names import REGISTRY
from bigbird_components.run_configuration import resolve_experiment
from bigbird_pipelines.files import LocalFiles
from bigbird_pipelines.images import Backend
from bigbird_pipelines.machines import GIB, MACHINES, Machine, check_backend, check_batch
from bigbird_pipelines.own_tables import with_own_tables
from bigbird_pipelines.preflight.job import count_steps, padded_length, plan, with_classes, with_manifest
from bigbird_pipelines.preflight.programs import Compiler, Program
from bigbird_pipelines.preflight.report import Findings, as_json, print_report
from bigbird_pipelines.preflight.search import largest_batch
from bigbird_pipelines.recipes import default_recipe, recipe_text
from bigbird_pipelines.shortcuts import shortcut_overrides

# What a step is compiled with, and the distribution to name where one is absent.
REQUIRED = {"jax": "jax", "keras": "keras", "libtpu": "libtpu", "tensorflow": "tensorflow"}


def preflight_command(
    *,
    task: str | None,
    machine: str,
    backend: Backend | None,
    recipe: str | None,
    init_checkpoint: str,
    overrides: tuple[str, ...],
    dataset: Path | None,
    examples: int | None,
    price: float | None,
    search: bool,
    as_json_text: bool,
    **options: Any,
) -> None:
    """Compiles a training step and prints what the compiler says; see `bigbird preflight --help`.

    Raises:
        InputError: an option cannot be used, or what compiling needs is not installed.
        SystemExit: with `EXIT_DOES_NOT_FIT` where the step does not fit the machine's memory.
    """
    profile = _tpu(machine)
    given = with_own_tables({**options, "task": task, "recipe": recipe, "overrides": overrides}, LocalFiles())
    task, overrides = given["task"], given["overrides"]
    if not task:
        raise InputError(
            "--task is not given; expected what is to be learned, or for your own table a column: --text, --label"
        )
    text = recipe_text(recipe or default_recipe(task, published=True))
    overrides = (*shortcut_overrides(options, task, text), profile.runtime(backend), *overrides)
    experiment = resolve_experiment(task, text, init_checkpoint=init_checkpoint, overrides=join_overrides(overrides))
    experiment = _with_start(experiment)
    if dataset is not None:
        experiment, found = with_manifest(experiment, dataset)
        examples = examples or found
    experiment = with_classes(experiment, task)
    check_backend(machine, experiment.runtime.backend)
    check_batch(machine, experiment)
    check_installed()
    findings = examine(task, machine, experiment, examples=examples, price=price, search=search)
    if as_json_text:
        print(json.dumps(as_json(findings), indent=2))
    else:
        print_report(findings)
    if not findings.fits:
        sys.exit(EXIT_DOES_NOT_FIT)


def _with_start(experiment: Experiment) -> Experiment:
    """The experiment with the sizes of the weights that it starts from, as training takes them over."""
    checkpoint = experiment.task.init_checkpoint
    if checkpoint in ("", PLACEHOLDER):
        return experiment
    if checkpoint.startswith(REGISTRY):
        raise InputError(
            f"init_checkpoint {checkpoint}: names a registered model, which preflight does not look up; expected its folder, "
            "on this computer or in a bucket, or sizes by --override"
        )
    load_tensorflow()  # reads its checkpoints, and the steps are compiled in other processes
    from bigbird_components.train.start import with_start

    return with_start(experiment, None)[0]


def examine(
    task: str, machine: str, experiment: Experiment, *, examples: int | None, price: float | None, search: bool
) -> Findings:
    """Compiles the steps that are needed.

    Args:
        task: its name.
        machine: a TPU's name in `MACHINES`.
        experiment: whole.
        examples: of the training split, where that is known.
        price: USD for a chip-hour.
        search: whether to look for the largest batch.
    """
    profile, length = MACHINES[machine], padded_length(experiment)
    batch = experiment.task.train_data.batch_size_at(length)
    rows, limit, checkpointed = (
        batch // profile.chips,
        round((profile.chip_memory_gib - profile.reserved_gib) * GIB),
        _checkpointed(experiment),
    )
    steps = count_steps(experiment, examples)
    with Compiler(experiment, profile, length, limit) as compiler:
        program = compiler(rows)
        job = None
        if program.fits:
            job = plan(
                program.cycles,
                clock_hz=profile.clock_hz,
                batch=batch,
                length=length,
                chips=profile.chips,
                steps=steps,
                price_per_chip_hour=price,
            )
        other = None if program.fits or checkpointed else _with_checkpointing(experiment, profile, length, limit, rows)
        largest = largest_batch(compiler, rows, limit) if search else None
    return Findings(
        task=task,
        machine=machine,
        encoder=experiment.task.encoder,
        chips=profile.chips,
        clock_hz=profile.clock_hz,
        chip_memory=profile.chip_memory_gib * GIB,
        usable=limit,
        dtype=experiment.runtime.mixed_precision_dtype,
        checkpointed=checkpointed,
        batch=batch,
        length=length,
        lengths=sum(bucket <= length for bucket in experiment.task.buckets),
        program=program,
        fits=program.fits,
        job=job,
        largest=largest,
        with_checkpointing=other,
        programs=compiler.programs,
    )


def _with_checkpointing(experiment: Experiment, machine: Machine, length: int, limit: int, rows: int) -> Program:
    """The step with gradient checkpointing."""
    changes = {"encoder": {"bigbird": {"use_gradient_checkpointing": True}}}
    changed = with_sections(experiment, task=replace(experiment.task, model=changes))
    with Compiler(changed, machine, length, limit, "with gradient checkpointing") as compiler:
        return compiler(rows)


def _checkpointed(experiment: Experiment) -> bool:
    return experiment.task.encoder.use_gradient_checkpointing


def _tpu(name: str) -> Machine:
    machine = MACHINES[name]
    if not machine.is_tpu:
        tpus = ", ".join(other for other in MACHINES if MACHINES[other].is_tpu)
        raise InputError(
            f"--machine {name}: is no TPU, and preflight has a TPU's compiler only; expected one of {tpus}"
        )
    return machine


def check_installed() -> None:
    """Raises `InputError` unless a step can be compiled on this computer."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise InputError(
            f"preflight: this is {sys.platform} on {platform.machine()}; the TPU's compiler is made for linux on x86_64"
        )
    absent = [name for module, name in REQUIRED.items() if importlib.util.find_spec(module) is None]
    if absent:
        raise InputError(
            f"preflight: not installed in this environment: {', '.join(absent)}; expected what "
            "`pip install 'bigbird-pipelines[preflight]'` installs"
        )
