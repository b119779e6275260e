"""`bigbird run`: checks what the user gave, runs the pipeline here, and says how it went."""

from __future__ import annotations

import datetime
import hashlib
import logging
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from bigbird import storage
from bigbird.checkpoints.beside import whole_folder
from bigbird.checkpoints.native import CHECKPOINTS
from bigbird.config import Experiment
from bigbird.config.overrides import changed_keys
from bigbird.manifests import EvaluationManifest
from bigbird.support import integrity
from bigbird.support.artifacts import read_json, resolved, write_json
from bigbird.support.errors import InputError
from bigbird.support.locks import locked
from bigbird.tasks.raw_input import Inputs
from bigbird.tasks.registry import family_of_task, samples, table_task_names
from bigbird.text.files import place_of
from bigbird.version import provenance
from bigbird_components.preprocess import storage as files_of_tables
from bigbird_components.preprocess.reading import locate_sources
from bigbird_components.run_configuration import resolve_experiment
from bigbird_pipelines.files import LocalFiles, readable_places
from bigbird_pipelines.images import Images
from bigbird_pipelines.options import RUNS
from bigbird_pipelines.own_tables import with_own_tables
from bigbird_pipelines.parameters import PATHS, SPLITS, pipeline_parameters
from bigbird_pipelines.platforms.finished import Finished
from bigbird_pipelines.platforms.local_steps import Place
from bigbird_pipelines.platforms.platform import LocalPlatform

_log = logging.getLogger(__name__)

RECORD = "run.json"


@dataclass(frozen=True)
class RunPlan:
    """A checked run: the pipeline's parameters, its folder, and the sample to write first, if any."""

    arguments: dict[str, Any]
    folder: Path
    experiment: Experiment
    sample: str | None

    @property
    def inputs(self) -> list[Path]:
        """The user's files and folders on this machine that the steps read."""
        family = family_of_task(self.arguments["task"])
        names = (*(f"{kind}_file" for kind in SPLITS), "vocabulary", *(() if self.sample else ("data",)))
        given = {name: self.arguments.get(name) for name in names}
        named = [place_of(path) if name == "vocabulary" else path for name, path in given.items() if path]
        if not any(map(self.arguments.get, PATHS)):  # the configuration names several for a split
            named += [path for paths in family.named_tables(self.experiment.task).values() for path in paths]
        named = [path for path in named if "://" not in path]
        here = [place for path in named for place in (readable_places(path) if family.own_tables else [Path(path)])]
        here += family.further_folders(here)
        checkpoint = self.experiment.task.init_checkpoint
        if checkpoint and "://" not in checkpoint:  # of several files, with its settings beside it or above
            here.append(Path(whole_folder(checkpoint)))
        return here

    def fingerprint(self) -> str:
        """What tells the files that the steps read from their earlier or later selves.

        Of files here the content counts, which is read in less time than preprocessing takes for it; else see `storage.fingerprint`.

        Raises:
            InputError: one of them is not there.
            ServiceError: a bucket cannot be asked.
        """
        digest, files = hashlib.sha256(), self._files()
        for path in files:
            try:
                version = storage.fingerprint([path]) if "://" in path else integrity.facts_of_file(path)["sha256"]
            except OSError as error:
                raise InputError(
                    f"{path}: is read by this run and cannot be read ({error.strerror}); put it back, or "
                    "make it readable"
                ) from None
            digest.update(os.fsencode(f"{path}\0{version}\n"))
        here = [Path(path) for path in files if "://" not in path]
        for folder in family_of_task(self.arguments["task"]).further_folders(here):
            digest.update(storage.fingerprint([str(folder)]).encode())
        if vocabulary := self.arguments["vocabulary"]:
            digest.update((LocalFiles().digest(vocabulary) or storage.fingerprint([vocabulary])).encode())
        if checkpoint := self.experiment.task.init_checkpoint:
            # Of a folder here the files alone, as the runs may lie in it; a model's manifest stands for what is below.
            is_folder = "://" not in checkpoint and Path(checkpoint).is_dir()
            inside = sorted(str(path) for path in Path(checkpoint).iterdir() if path.is_file()) if is_folder else []
            digest.update(storage.fingerprint(inside or [checkpoint]).encode())
        return digest.hexdigest()

    def _files(self) -> list[str]:
        """The files of the user's data, of folders and patterns those that preprocessing reads."""
        if self.sample:
            return []
        family = family_of_task(self.arguments["task"])
        named = {kind: path for kind in SPLITS if (path := self.arguments[f"{kind}_file"])}
        section = family.preprocessing_settings(self.experiment.task).get("section", {})
        inputs = Inputs(self.arguments["data"], named, section)
        if family.reads_tables(inputs):
            return sorted({path for paths in family.find_tables(inputs, files_of_tables).values() for path in paths})
        sources, _ = locate_sources(
            self.arguments["task"], inputs.path or None, {kind: named.get(kind) for kind in SPLITS}
        )
        return [source.path for source in sources]


def run_locally(platform: LocalPlatform, own: Mapping[str, Any], *, resume: bool = False, **options: Any) -> None:
    """Runs the pipeline with the options of `bigbird run`; see its help.

    Args:
        platform: what runs the steps.
        own: its own options.
        resume: whether a run that did not end goes on.
        options: all others.

    Raises:
        InputError: an option cannot be used; nothing was started or written.
        SystemExit: a step failed; the code is the step's.
    """
    if resume:
        plan = resumed_plan(unended_run(options["name"], options["runs"]))
    else:
        plan = make_plan(**options)
    place, images = platform.place(plan.inputs, plan.experiment.runtime.backend, own)
    place.check()
    while True:
        try:
            facts = {"inputs": plan.fingerprint(), **begun_on(platform, own)}
            plan.folder.parent.mkdir(parents=True, exist_ok=True)
            with locked(plan.folder, "bigbird run"):
                if _prepare_folder(plan, overwrite=options["overwrite"], named=resume or options["name"] is not None):
                    _run(plan, images, place, facts)
                    return
        except OSError as error:
            if error.filename is None or not Path(error.filename).is_relative_to(plan.folder.parent):
                raise
            raise InputError(f"{error.filename}: {error.strerror}; give another folder with --runs") from None
        plan = make_plan(**options)  # another run took the name that was free a moment ago


def begun_on(platform: LocalPlatform, own: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's record says of its platform, so that --resume needs no option of it."""
    options = {name: str(value.resolve()) if isinstance(value, Path) else value for name, value in own.items()}
    return {"platform": platform.name, "platform_options": options}


def platform_of_run(folder: Path) -> tuple[str, dict[str, Any]]:
    """The platform that a run was begun on, and its options; of one that an earlier version began, "" and none."""
    record = read_record(folder)
    return record.get("platform", ""), record.get("platform_options", {})


def _run(plan: RunPlan, images: Images | None, place: Place, facts: Mapping[str, Any]) -> None:
    """Runs a plan in its folder, which is locked; `facts` are more for its record: of the inputs and the platform."""
    from bigbird_pipelines.finetune import build_pipeline
    from bigbird_pipelines.platforms import local_steps
    from bigbird_pipelines.platforms.target import Target
    from bigbird_pipelines.run_summary import print_summary

    before = read_record(plan.folder) if (plan.folder / RECORD).exists() else {}
    if before.get("inputs", facts["inputs"]) != facts["inputs"]:
        if any((plan.folder / local_steps.OUTPUTS["model"] / CHECKPOINTS).glob("*")):
            raise InputError(
                f"{plan.folder}: files that this run reads have changed since it began, and its training has left checkpoints, which do "
                "not go with them. Give the whole command again with --overwrite to begin anew, or with another --name to keep what "
                "was trained"
            )
        _log.warning("files that this run reads have changed since it began: all its steps run again")
        Finished(plan.folder).forget(local_steps.OUTPUTS.values())
    record = {
        "arguments": plan.arguments,
        "sample": plan.sample,
        **facts,
        "images": images.of_a_run_here() if images else None,
        **provenance(),
    }
    write_json(plan.folder / RECORD, integrity.sealed(record))
    if plan.sample:
        from bigbird_pipelines.sample_data import write_sample

        write_sample(plan.sample, Path(plan.arguments["data"]))
    _log.info(f"running in {plan.folder}; press Ctrl-C to stop")
    runs = plan.folder.parent
    elsewhere = "" if runs == resolved(RUNS) else f" --runs {shlex.quote(str(runs))}"
    goes_on = f"`bigbird run --resume --name {plan.folder.name}{elsewhere}` goes on from there"
    try:
        target = Target(images or Images.named(tag="none"), checks=plan.arguments.get("fail_on", ""))
        pipeline = build_pipeline(target)
        finished = local_steps.run(pipeline, plan.arguments, plan.folder, place)
    except local_steps.StepFailed as error:
        _log.error(f"{error}\nOnce that is mended, {goes_on}")
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, SystemExit):
        _log.info(f"stopped; {goes_on}")
        raise
    evaluation = EvaluationManifest.read(finished.path("evaluation"))
    outcome = {
        "seconds": {step: round(seconds, 1) for step, seconds in finished.seconds.items()},
        "metric": None if evaluation.primary is None else evaluation.primary.to_json(),
        "exported": "export" in finished.seconds,
    }
    write_json(plan.folder / RECORD, integrity.sealed(record | outcome))
    print_summary(finished, plan.arguments["metric_threshold"])


def unended_run(name: str | None, runs: Path) -> Path:
    """The folder of a run that did not end.

    Args:
        name: of the run; None takes the newest one that did not end.
        runs: where runs are kept.

    Raises:
        InputError: there is no such run.
    """
    runs = runs.resolve()
    if name is None:
        found = sorted(runs.glob(f"*/{RECORD}"), key=lambda file: file.stat().st_mtime, reverse=True)
        folder = next((file.parent for file in found if not _has_ended(read_record(file.parent))), None)
        if folder is None:
            raise InputError(f"{runs}: holds no run that did not end; start one without --resume")
    else:
        folder = runs / _checked_name(name)
        if not (folder / RECORD).exists():
            raise InputError(
                f"{folder}: holds no {RECORD}, so there is no run to go on with; leave --resume out to start one"
            )
    return folder


def resumed_plan(folder: Path) -> RunPlan:
    """The plan of a run that did not end, as its run.json has it.

    Raises:
        InputError: the run has ended, or its record cannot be used.
    """
    record = read_record(folder)
    if _has_ended(record):
        raise InputError(f"{folder}: this run has ended; start a new one, or replace it with --overwrite")
    arguments = record["arguments"]
    try:
        described = {key: arguments[key] for key in ("task", "recipe", "init_checkpoint", "overrides")}
    except KeyError as absent:
        raise InputError(
            f"{folder / RECORD}: has no {absent} among its arguments; expected the record of a run"
        ) from None
    experiment = resolve_experiment(**described)
    return RunPlan(arguments, folder, experiment, record.get("sample"))


def read_record(folder: Path) -> dict[str, Any]:
    """A run's run.json.

    Raises:
        InputError: it is damaged, or is not a run's.
    """
    record = read_json(folder / RECORD, "record of a run")
    if not isinstance(record, dict) or not isinstance(record.get("arguments"), dict):
        raise InputError(f"{folder / RECORD}: holds no arguments; expected the record of a run")
    integrity.check_seal(folder / RECORD, record, "record of the run")
    return record


def _has_ended(record: dict[str, Any]) -> bool:
    return "metric" in record


def make_plan(
    *,
    sample: str | None,
    task: str | None,
    recipe: str | None,
    name: str | None,
    runs: Path,
    overwrite: bool,
    backend: str | None = None,
    **options: Any,
) -> RunPlan:
    """Checks every option against the others and the disk; starts and writes nothing.

    Raises:
        InputError: names the option, what was found and what was expected.
    """
    options = with_own_tables({**options, "task": task, "recipe": recipe}, LocalFiles())
    task = options["task"]
    own_data = any(options[name] for name in PATHS) or task in table_task_names()
    sample, task = _check_sample(sample, task, own_data)
    recipe = recipe or (f"sample_{sample}" if sample else None)
    if backend:
        options["overrides"] = (f"runtime.backend={backend}", *options["overrides"])
    folder = _run_folder(name, runs, _default_name(sample, task))
    arguments, experiment = pipeline_parameters(options, task, recipe, LocalFiles())
    if sample:
        arguments["data"] = str(folder / "sample_data")
    plan = RunPlan(arguments, folder, experiment, sample)
    if name is not None:
        _check_folder(plan, overwrite)
    for path in plan.inputs:
        if path.resolve().is_relative_to(folder):
            raise InputError(
                f"{path}: is read by this run but lies in {folder}, which --overwrite deletes; choose another --name"
            )
    return plan


def _check_sample(sample: str | None, task: str | None, own_data: bool) -> tuple[str | None, str]:
    """The sample to use, None where the user has data; and the task."""
    if own_data:
        if sample:
            raise InputError(
                "--sample is given with your own data (--data, a split's file or an option about tables); expected one of them"
            )
        if not task:
            raise InputError(
                "--task is not given; --data needs it, for example --task sst2, or for your own table the columns: --text, --label"
            )
        return None, task
    tasks = samples()
    if task and sample and tasks[sample] != task:
        raise InputError(f"--sample {sample} is for --task {tasks[sample]}, not {task}")
    if task and not sample:
        matching = [name for name, its_task in tasks.items() if its_task == task]
        if not matching:
            raise InputError(
                f"--task {task} is given without --data; there are samples for {', '.join(tasks.values())} only"
            )
        return matching[0], task
    sample = sample or next(iter(tasks))
    return sample, tasks[sample]


def _default_name(sample: str | None, task: str) -> str:
    now = datetime.datetime.now().astimezone()
    return f"{f'sample-{sample}' if sample else task}-{now:%Y%m%d-%H%M%S}"


def _run_folder(name: str | None, runs: Path, default: str) -> Path:
    """The run's folder: of the name given, else the first of `default`, `default-2`, … that is not there."""
    runs = resolved(runs)
    if name is not None:
        return resolved(runs / _checked_name(name))
    names = (default if number == 1 else f"{default}-{number}" for number in count(1))
    return next(runs / free for free in names if not os.path.lexists(runs / free))


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(
            f"--name {name!r}: expected letters, digits, '.', '_' and '-', starting with a letter or digit"
        )
    return name


def _check_folder(plan: RunPlan, overwrite: bool) -> bool:
    """Whether a plan's folder holds the same run, begun and not ended, to go on with.

    Raises:
        InputError: it holds another run, or something else.
    """
    folder = plan.folder
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; expected a new folder. Choose another --name")
    if not folder.exists() or not any(folder.iterdir()):
        return False
    if not (folder / RECORD).exists():
        raise InputError(f"{folder}: holds files but no {RECORD}, so it is not a run; choose another --name")
    if overwrite:
        return False
    exists = f"{folder}: a run of this name exists"
    remedy = "choose another --name, or pass --overwrite to replace it"
    try:
        record = read_record(folder)
    except InputError as error:
        raise InputError(f"{exists}, and {error}; {remedy}") from None
    if _has_ended(record):
        raise InputError(f"{exists}; {remedy}")
    before, now = record["arguments"], plan.arguments
    different = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if "overrides" in different:
        different.remove("overrides")
        different += changed_keys(before.get("overrides", ""), now["overrides"])
    if different:
        raise InputError(
            f"{exists}, begun with other options ({', '.join(different)}); --resume goes on with its own. Else {remedy}"
        )
    return True


def _prepare_folder(plan: RunPlan, *, overwrite: bool, named: bool) -> bool:
    """Makes the run's folder ready; its lock is held.

    Args:
        plan: the run.
        overwrite: whether a run that is there is to be deleted.
        named: whether the user gave the run its name.

    Returns:
        Whether the run may begin: not where another one took a default name.

    Raises:
        InputError: the folder holds another run, or something else.
    """
    folder = plan.folder
    if not named and folder.exists():
        return False
    if _check_folder(plan, overwrite):
        _log.info(f"going on with the run in {folder}, which did not end")
    elif overwrite and folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return True
