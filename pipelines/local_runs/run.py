"""Runs the pipeline on this machine, and says how it went."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bigbird.checkpoints.native import CHECKPOINTS
from bigbird.manifests import EvaluationManifest
from bigbird.support import integrity
from bigbird.support.artifacts import RUN_RECORD, write_json
from bigbird.support.errors import InputError
from bigbird.support.locks import locked
from bigbird.support.safe_paths import resolved
from bigbird.version import provenance
from bigbird_pipelines.images import Images
from bigbird_pipelines.local_runs.folder import prepare_folder, unended_run
from bigbird_pipelines.local_runs.plan import RunPlan
from bigbird_pipelines.local_runs.planning import make_plan, resumed_plan
from bigbird_pipelines.local_runs.record import begun_on, read_record
from bigbird_pipelines.options import RUNS
from bigbird_pipelines.platforms.finished import Finished
from bigbird_pipelines.platforms.local_steps import Place
from bigbird_pipelines.platforms.platform import LocalPlatform

_log = logging.getLogger(__name__)


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
    try:
        if not resume:  # its first steps may be done
            place.begin()
        while True:
            try:
                facts = {"inputs": plan.fingerprint(), **begun_on(platform, own)}
                plan.folder.parent.mkdir(parents=True, exist_ok=True)
                with locked(plan.folder, "bigbird run") as held:
                    if prepare_folder(
                        plan, overwrite=options["overwrite"], named=resume or options["name"] is not None
                    ):
                        _run(plan, images, place, facts, held.check)
                        return
            except OSError as error:
                if error.filename is None or not Path(error.filename).is_relative_to(plan.folder.parent):
                    raise
                raise InputError(f"{error.filename}: {error.strerror}; give another folder with --runs") from None
            plan = make_plan(**options)  # another run took the name that was free a moment ago
    finally:
        place.close()


def _run(
    plan: RunPlan, images: Images | None, place: Place, facts: Mapping[str, Any], check_lock: Callable[[], None]
) -> None:
    """Runs a plan in its folder, which is locked.

    Args:
        plan: the plan.
        images: of its steps.
        place: where they run.
        facts: more for its record: of the inputs and the platform.
        check_lock: raises `LockLost` where another process runs it by now.
    """
    from bigbird_pipelines.finetune import build_pipeline
    from bigbird_pipelines.local_runs.summary import print_summary
    from bigbird_pipelines.platforms import local_steps
    from bigbird_pipelines.platforms.target import Target

    before = read_record(plan.folder) if (plan.folder / RUN_RECORD).exists() else {}
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
    write_json(plan.folder / RUN_RECORD, integrity.sealed(record))
    if plan.sample:
        from bigbird_pipelines.local_runs.sample_data import write_sample

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
        _log.error(f"{error}\nOnce that is fixed, {goes_on}")
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
    check_lock()
    write_json(plan.folder / RUN_RECORD, integrity.sealed(record | outcome))
    print_summary(finished, plan.arguments["metric_threshold"])
