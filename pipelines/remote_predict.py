"""`bigbird predict --target`: answers a table in a bucket with a registered model, on the platform that has it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bigbird import storage
from bigbird.support.addresses import without_passwords
from bigbird.support.errors import InputError, ServiceError, ServiceUnreachable
from bigbird.support.progress import format_duration
from bigbird.tasks.tables.files import TableStorage, find_tables
from bigbird.tasks.tables.section import TableFormat
from bigbird_components.model_names import REGISTRY
from bigbird_pipelines.platforms.platform import RemotePlatform
from bigbird_pipelines.platforms.prediction import PredictionJob, PredictionRequest, PredictionService
from bigbird_pipelines.remote import HEARTBEAT_S, PATIENCE_S, sending, settings_from

_log = logging.getLogger(__name__)

FORMAT = "jsonl"
"""What the platform gives to a model as objects with names. Rows of CSV it gives as lists, which no model of ours takes."""
_BUCKETS = TableStorage(storage.open_file, storage.list_names, storage.is_file)


def predict_remotely(
    platform: RemotePlatform,
    model: str,
    table: str,
    output: str,
    *,
    id_column: str | None,
    machine_type: str,
    replicas: int,
    poll_s: float,
    dry_run: bool,
    options: Mapping[str, Any],
) -> None:
    """Sends the job, tells its states until it has ended, and where the answers are.

    Args:
        platform: where.
        model: registry:NAME, or registry:NAME@VERSION.
        table: a file, a folder or a pattern in a bucket.
        output: a folder in a bucket.
        id_column: column of the rows' names.
        machine_type, replicas: what answers.
        poll_s: seconds between looks.
        dry_run: prints what would be sent, and sends nothing.
        options: the command's, with those of the settings.

    Raises:
        InputError: an argument cannot be used; nothing was sent.
        ServiceError: the service refused or cannot be reached, or the job failed.
    """
    settings, _ = settings_from(options)
    name, version = _named(model)
    files, form = _files(table)
    if not output.startswith("gs://"):
        raise InputError(f"--output {output}: expected a folder in a bucket of Cloud Storage, gs://BUCKET/FOLDER")
    request = PredictionRequest(
        name=f"{name}-{time.strftime('%Y%m%d-%H%M%S')}",
        model=name,
        version=version,
        files=files,
        format=form,
        output=output,
        id_column=id_column or "",
        machine_type=machine_type,
        replicas=replicas,
    )
    service = platform.prediction(settings)
    if dry_run:
        print(without_passwords(json.dumps(service.described(request), indent=2, ensure_ascii=False)))
        return
    with sending(
        f"batch prediction {request.name} may have been sent; look for it on {platform.title} before sending another"
    ):
        identifier = service.submit(request)
    print(f"submitted {request.name}\n{service.link(identifier)}", flush=True)
    try:
        _finish(_watch(service, identifier, poll_s), service.link(identifier))
    except KeyboardInterrupt:
        _log.info(f"no longer waiting; the job goes on: {service.link(identifier)}")
        raise


def _named(model: str) -> tuple[str, str]:
    """Name and version of registry:NAME@VERSION; the version is empty where none is named."""
    if not model.startswith(REGISTRY):
        raise InputError(f"--model {model}: expected {REGISTRY}NAME or {REGISTRY}NAME@VERSION with --target")
    name, mark, version = model.removeprefix(REGISTRY).rpartition("@")
    if not mark:
        name, version = version, ""
    if not name or (mark and not version):
        raise InputError(f"--model {model}: expected {REGISTRY}NAME or {REGISTRY}NAME@VERSION")
    return name, version


def _files(table: str) -> tuple[Sequence[str], str]:
    """The files, and their format."""
    if not table.startswith("gs://"):
        raise InputError(
            f"{table}: expected a file, a folder or a pattern in a bucket of Cloud Storage, gs://BUCKET/FILE"
        )
    tables = find_tables([table], TableFormat(), _BUCKETS).tables
    for each in tables:
        if each.format != FORMAT or each.path.endswith(".gz"):
            raise InputError(
                f"{each.path}: expected uncompressed JSON Lines (.jsonl): from tables of other formats the platform gives a model values without their columns' names. "
                "Write the table as JSON Lines, or answer it without --target"
            )
    return [each.path for each in tables], FORMAT


def _watch(service: PredictionService, identifier: str, poll_s: float) -> PredictionJob:
    """Tells every change of state until the job has ended."""
    shown = ""
    started = reached = last = time.monotonic()
    while True:
        now = time.monotonic()
        try:
            job = service.job(identifier)
        except ServiceUnreachable as error:
            if now - reached > PATIENCE_S:
                raise
            _log.info(f"{error}; trying again")
            time.sleep(poll_s)
            continue
        reached = now
        if job.state != shown or now - last >= HEARTBEAT_S:
            rows = f", {job.answered:,} rows answered" if job.answered else ""
            after = f" after {format_duration(now - started)}" if now - started >= 1 else ""
            _log.info(f"{time.strftime('%H:%M:%S')}  {job.state.lower().replace('_', ' ')}{after}{rows}")
            shown, last = job.state, now
        if job.ended:
            return job
        time.sleep(poll_s)


def _finish(job: PredictionJob, link: str) -> None:
    """Says how a job ended; `ServiceError` where it is not a success."""
    if job.state == "SUCCEEDED" and not job.failed:
        print(f"{job.answered:,} rows: {job.output}")
        return
    words = {"SUCCEEDED": "ended", "PARTIALLY_SUCCEEDED": "succeeded in part"}.get(job.state, job.state.lower())
    counts = f": {job.answered:,} rows answered, {job.failed:,} failed" if job.answered or job.failed else ""
    lines = [f"the batch prediction {words}{counts}", *(f"  {error}" for error in job.errors[:5])]
    if job.output:
        lines.append(f"answers, and the errors of rows, are in {job.output}")
    lines.append(
        f"rows that cannot be answered have an empty text, or no text of a field; logs of the model's server: {link}"
    )
    raise ServiceError("\n".join(lines))
