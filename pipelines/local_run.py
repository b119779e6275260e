"""`bigbird run`: checks what the user gave, runs the pipeline here, and says how it went."""

from __future__ import annotations

import datetime
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bigbird.artifacts import read_manifest, write_json
from bigbird.checkpoints.beside import whole_folder
from bigbird.config import Experiment
from bigbird.errors import InputError
from bigbird.tasks.families import family
from bigbird.version import provenance
from pipelines.files import LocalFiles
from pipelines.images import TRAINING_IMAGES, Images, choose_images
from pipelines.parameters import pipeline_parameters

Sample = Literal["glue", "squad"]

SAMPLE_TASKS: dict[Sample, str] = {"glue": "sst2", "squad": "squad_v1"}


@dataclass(frozen=True)
class Plan:
    """A checked run: the pipeline's parameters, its folder, and the sample to write first, if any."""

    arguments: dict[str, Any]
    folder: Path
    experiment: Experiment
    sample: Sample | None

    @property
    def inputs(self) -> list[Path]:
        """The user's files and folders on this machine that the steps read."""
        names = ("train_file", "validation_file", "test_file", "vocabulary", *(() if self.sample else ("data",)))
        here = [Path(path) for path in map(self.arguments.get, names) if path and "://" not in path]
        if family(self.arguments["task"]) == "triviaqa":  # its files name documents in a folder there or beside them
            folders = [path if path.is_dir() else path.parent for path in here]
            documents = [place / "evidence" for folder in folders for place in (folder, folder.parent)]
            here += [folder for folder in documents if folder.is_dir()]
        checkpoint = self.experiment.task.init_checkpoint
        if checkpoint and "://" not in checkpoint:  # of several files, with its settings beside it or above
            here.append(Path(whole_folder(checkpoint)))
        return here


def run_locally(
    *,
    docker: bool,
    memory: str,
    gpus: bool,
    image_prefix: str,
    image_tag: str,
    images: Path | None,
    **options: Any,
) -> None:
    """Runs the pipeline with the options of `bigbird run`; see its help.

    Raises:
        InputError: an option cannot be used; nothing was started or written.
        SystemExit: a step failed; the code is the step's.
    """
    from pipelines.summary import print_summary
    from pipelines.targets import local
    from pipelines.targets.containers import Containers
    from pipelines.targets.processes import Processes

    plan = make_plan(**options)
    place: local.Place
    if docker:
        train = TRAINING_IMAGES["gpu" if gpus else "cpu"][plan.experiment.runtime.backend]
        chosen = choose_images(image_prefix, image_tag, images, train)
        place = Containers(chosen, plan.inputs, memory=memory, gpus=gpus)
    else:
        for option, value in (("--memory", memory), ("--gpus", gpus), ("--image-tag", image_tag), ("--images", images)):
            if value:
                raise InputError(f"{option} is given without --docker; it is about containers")
        chosen, place = Images.named(tag="none"), Processes()
    place.check()
    _prepare_folder(plan.folder, options["overwrite"])
    if plan.sample:
        from pipelines.sample_data import write_sample

        write_sample(plan.sample, Path(plan.arguments["data"]))
    record = {
        "format": 1,
        "arguments": plan.arguments,
        "images": chosen.of_a_run_here() if docker else None,
        **provenance(),
    }
    write_json(plan.folder / "run.json", record)
    print(f"running in {plan.folder}; press Ctrl-C to stop", file=sys.stderr)

    from pipelines.finetune import build_pipeline
    from pipelines.targets.target import Target

    try:
        finished = local.run(build_pipeline(Target(chosen)), plan.arguments, plan.folder, place)
    except local.StepFailed as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    evaluation = read_manifest(finished.path("evaluation"), "evaluation")
    outcome = {
        "seconds": {step: round(seconds, 1) for step, seconds in finished.seconds.items()},
        "metric": evaluation["primary"],
        "exported": "export" in finished.seconds,
    }
    write_json(plan.folder / "run.json", record | outcome)
    print_summary(finished, plan.arguments["metric_threshold"])


def make_plan(
    *,
    sample: Sample | None,
    task: str | None,
    recipe: str | None,
    name: str | None,
    runs: Path,
    overwrite: bool,
    backend: str | None = None,
    **options: Any,
) -> Plan:
    """Checks every option against the others and the disk; starts and writes nothing.

    Raises:
        InputError: names the option, what was found and what was expected.
    """
    own_data = any(options[name] for name in ("data", "train_file", "validation_file", "test_file"))
    sample, task = _check_sample(sample, task, own_data)
    recipe = recipe or (f"sample_{sample}" if sample else None)
    if backend:
        options["overrides"] = (f"runtime.backend={backend}", *options["overrides"])
    folder = _run_folder(name or _default_name(sample, task), runs, overwrite)
    arguments, experiment = pipeline_parameters(options, task, recipe, LocalFiles())
    if sample:
        arguments["data"] = str(folder / "sample_data")
    plan = Plan(arguments, folder, experiment, sample)
    for path in plan.inputs:
        if path.resolve().is_relative_to(folder):
            raise InputError(
                f"{path}: is read by this run but lies in {folder}, which --overwrite deletes; choose another --name"
            )
    return plan


def _check_sample(sample: Sample | None, task: str | None, own_data: bool) -> tuple[Sample | None, str]:
    """The sample to use, None where the user has data; and the task."""
    if own_data:
        if sample:
            raise InputError("--sample and --data are both given; expected one of them")
        if not task:
            raise InputError("--task is not given; --data needs it, for example --task sst2")
        return None, task
    if task and sample and SAMPLE_TASKS[sample] != task:
        raise InputError(f"--sample {sample} is for --task {SAMPLE_TASKS[sample]}, not {task}")
    if task and not sample:
        matching = [kind for kind, its_task in SAMPLE_TASKS.items() if its_task == task]
        if not matching:
            raise InputError(
                f"--task {task} is given without --data; there are samples for {', '.join(SAMPLE_TASKS.values())} only"
            )
        return matching[0], task
    sample = sample or "glue"
    return sample, SAMPLE_TASKS[sample]


def _default_name(sample: str | None, task: str) -> str:
    now = datetime.datetime.now().astimezone()
    return f"{f'sample-{sample}' if sample else task}-{now:%Y%m%d-%H%M%S}"


def _run_folder(name: str, runs: Path, overwrite: bool) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(
            f"--name {name!r}: expected letters, digits, '.', '_' and '-', starting with a letter or digit"
        )
    folder = runs.resolve() / name
    if folder.exists():
        if not folder.is_dir():
            raise InputError(f"{folder}: is a file; expected a new folder. Choose another --name")
        if any(folder.iterdir()) and not overwrite:
            raise InputError(
                f"{folder}: a run of this name exists; choose another --name, or pass --overwrite to replace it"
            )
        if any(folder.iterdir()) and not (folder / "run.json").exists():
            raise InputError(f"{folder}: holds files but no run.json, so it is not a run; choose another --name")
    return folder


def _prepare_folder(folder: Path, overwrite: bool) -> None:
    if overwrite and folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
