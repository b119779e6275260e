"""Vertex AI's pipeline and schedule services, spoken to in REST by Google's own client."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from bigbird.support.addresses import without_passwords
from bigbird.support.errors import InputError, ServiceUnreachable
from bigbird_components.platforms.vertex import vertex_link, vertex_run
from bigbird_components.runs import Run, Step
from bigbird_pipelines.platforms.service import DIGEST_LABEL, Request, Schedule, Timing, patiently, spec_with_caching
from bigbird_pipelines.platforms.vertex.client import (
    address,
    client_options,
    explained,
    session,
    transient,
    transient_for_reading,
)
from bigbird_pipelines.team_settings import TeamSettings, require

_TIMEOUT_S = 60.0
_LOG_LINES = 5
_TIME_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+) +(.*)")
Result = TypeVar("Result")


class VertexService:
    """A project's pipelines and schedules in a region.

    Args:
        settings: needs project and region. An `api_endpoint` of http:// gets no credentials.
    """

    def __init__(self, settings: TeamSettings):
        require(settings, "project", "region")
        self._settings = settings
        self._parent = f"projects/{settings.project}/locations/{settings.region}"

    # ------------------------------------------------------------------------------------------------- runs

    def described(self, request: Request) -> dict[str, Any]:
        """The request of a run as JSON: its id and the pipeline job."""
        return {
            "parent": self._parent,
            "pipelineJobId": self._job_id(request),
            "pipelineJob": self._as_json(self._pipeline_job(request)),
        }

    def submit(self, request: Request) -> str:
        """Sends a run; returns its resource name. Trying again sends no second one, since it has the same id."""
        from google.cloud.aiplatform_v1.types import CreatePipelineJobRequest

        identifier = self._job_id(request)
        name = f"{self._parent}/pipelineJobs/{identifier}"
        body = CreatePipelineJobRequest(
            parent=self._parent, pipeline_job=self._pipeline_job(request), pipeline_job_id=identifier
        )

        def lost() -> str | None:
            job = self._exists(lambda: self._pipelines().get_pipeline_job(name=name, timeout=_TIMEOUT_S))
            ours = job is not None and job.labels.get(DIGEST_LABEL) == request.digest
            return name if ours else None  # another's is told as one that exists

        with self._explained(f"submitting {identifier}"):
            return str(
                patiently(lambda: self._pipelines().create_pipeline_job(body, timeout=_TIMEOUT_S).name, transient, lost)
            )

    def link(self, identifier: str) -> str:
        """The page of a run in the console."""
        return vertex_link(identifier)

    def run(self, identifier: str) -> Run:
        """How a run stands; of its resource name or its last part."""
        name = identifier if "/" in identifier else f"{self._parent}/pipelineJobs/{identifier}"
        with explained(f"run {identifier}", self._settings, transient_for_reading):
            job = patiently(
                lambda: self._pipelines().get_pipeline_job(name=name, timeout=_TIMEOUT_S), transient_for_reading
            )
        return vertex_run(job)

    def errors_of(self, step: Step) -> list[str]:
        """The last errors in the log of a step's job. The run's own state matters more: where they cannot be read, none."""
        import requests
        from google.auth.exceptions import GoogleAuthError

        if not step.job:
            return []
        body = {
            "resourceNames": [f"projects/{self._settings.project}"],
            "filter": f'resource.type="ml_job" AND resource.labels.job_id="{step.job}" AND severity>=ERROR',
            "orderBy": "timestamp desc",
            "pageSize": _LOG_LINES,
        }
        try:
            answer = session(self._settings).post(
                f"{address(self._settings, 'logging')}/v2/entries:list", json=body, timeout=_TIMEOUT_S
            )
            entries = answer.json().get("entries", []) if answer.ok else []
        except (requests.RequestException, GoogleAuthError, ValueError):
            return []
        texts = [entry.get("textPayload") or (entry.get("jsonPayload") or {}).get("message") for entry in entries]
        return [without_passwords(str(text)).rstrip() for text in reversed(texts) if text]

    # -------------------------------------------------------------------------------------------- schedules

    def described_schedule(self, name: str, request: Request, timing: Timing) -> dict[str, Any]:
        """The request of a schedule as JSON."""
        return {"parent": self._parent, "schedule": self._as_json(self._schedule(name, request, timing))}

    def create_schedule(self, name: str, request: Request, timing: Timing) -> Schedule:
        """Makes a schedule. After an answer that was lost, one of the same name and digest that is new is taken for it."""
        body = self._schedule(name, request, timing)
        with self._explained(f"creating schedule {name}"):
            before = {schedule.name for schedule in self._all()}

            def lost() -> Any:
                wanted = body.create_pipeline_job_request.pipeline_job.labels[DIGEST_LABEL]
                return next(
                    (found for found in self._all() if found.name not in before and _digest(found) == wanted), None
                )

            created = patiently(
                lambda: self._client_schedules().create_schedule(
                    parent=self._parent, schedule=body, timeout=_TIMEOUT_S
                ),
                transient,
                lost,
            )
        return self._read(created)

    def retime_schedule(self, schedule: Schedule, timing: Timing) -> Schedule:
        """Changes cron, start and end in place."""
        from google.cloud.aiplatform_v1.types import Schedule as Message
        from google.protobuf.field_mask_pb2 import FieldMask

        body = Message(name=schedule.id, cron=_cron(timing))
        paths = ["cron"]
        for field in ("start", "end"):
            moment = getattr(timing, field)
            if moment is not None:
                setattr(body, f"{field}_time", moment)
                paths.append(f"{field}_time")
        with self._explained(f"changing schedule {schedule.name}"):
            changed = patiently(
                lambda: self._client_schedules().update_schedule(
                    schedule=body, update_mask=FieldMask(paths=paths), timeout=_TIMEOUT_S
                ),
                transient,
            )
        return self._read(changed)

    def delete_schedule(self, schedule: Schedule) -> None:
        """Deletes it."""

        def delete() -> None:
            operation = self._client_schedules().delete_schedule(name=schedule.id, timeout=_TIMEOUT_S)
            try:
                operation.result(_TIMEOUT_S)
            except TimeoutError:
                raise ServiceUnreachable(f"{schedule.id}: its deletion takes longer than {_TIMEOUT_S:.0f} s") from None

        with self._explained(f"deleting schedule {schedule.name} ({schedule.id})"):
            patiently(lambda: self._exists(delete), transient)

    def pause_schedule(self, schedule: Schedule) -> None:
        """Stops it from sending runs."""
        with self._explained(f"pausing schedule {schedule.name}"):
            patiently(lambda: self._client_schedules().pause_schedule(name=schedule.id, timeout=_TIMEOUT_S), transient)

    def resume_schedule(self, schedule: Schedule, catch_up: bool) -> None:
        """Lets it send runs again, those it missed too where asked to."""
        from google.cloud.aiplatform_v1.types import ResumeScheduleRequest

        body = ResumeScheduleRequest(name=schedule.id, catch_up=catch_up)
        with self._explained(f"resuming schedule {schedule.name}"):
            patiently(lambda: self._client_schedules().resume_schedule(body, timeout=_TIMEOUT_S), transient)

    def trigger_schedule(self, schedule: Schedule) -> str:
        """Sends its run now."""
        now = datetime.datetime.now(datetime.UTC)
        with self._explained(f"triggering schedule {schedule.name}"):
            stored = patiently(
                lambda: self._client_schedules().get_schedule(name=schedule.id, timeout=_TIMEOUT_S), transient
            )
            job = stored.create_pipeline_job_request.pipeline_job
            identifier = _identifier(f"{job.display_name or schedule.name}-{now:%Y%m%d-%H%M%S}")
            name = f"{self._parent}/pipelineJobs/{identifier}"
            return str(
                patiently(
                    lambda: (
                        self._pipelines()
                        .create_pipeline_job(
                            parent=self._parent, pipeline_job=job, pipeline_job_id=identifier, timeout=_TIMEOUT_S
                        )
                        .name
                    ),
                    transient,
                    lambda: self._exists(
                        lambda: self._pipelines().get_pipeline_job(name=name, timeout=_TIMEOUT_S).name
                    ),
                )
            )

    def schedules(self, runs: int = 0) -> list[Schedule]:
        """All schedules of pipelines in the region."""
        with self._explained("listing schedules"):
            found = self._all()
            return [self._read(message, self._last_runs(message.name, runs) if runs else ()) for message in found]

    def _last_runs(self, schedule: str, count: int) -> tuple[Run, ...]:
        from itertools import islice

        from google.cloud.aiplatform_v1.types import ListPipelineJobsRequest

        request = ListPipelineJobsRequest(
            parent=self._parent, filter=f'schedule_name="{schedule}"', order_by="create_time desc", page_size=count
        )
        jobs = patiently(
            lambda: list(islice(self._pipelines().list_pipeline_jobs(request, timeout=_TIMEOUT_S), count)), transient
        )
        return tuple(vertex_run(job) for job in jobs)

    def _all(self) -> list[Any]:
        listed = patiently(
            lambda: list(self._client_schedules().list_schedules(parent=self._parent, timeout=_TIMEOUT_S)), transient
        )
        return [message for message in listed if "create_pipeline_job_request" in message]

    # --------------------------------------------------------------------------------------------- messages

    def _pipeline_job(self, request: Request) -> Any:
        from google.cloud.aiplatform_v1.types import PipelineJob
        from google.protobuf import json_format

        if not request.pipeline_root.startswith("gs://"):
            raise InputError(f"bucket is {request.pipeline_root!r}; expected gs://bucket/folder on Vertex AI")
        job = {
            "displayName": request.name,
            "pipelineSpec": spec_with_caching(request.spec["pipelineSpec"], request.caching),
            "runtimeConfig": {
                "gcsOutputDirectory": request.pipeline_root,
                "parameterValues": dict(request.parameters),
                "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST",
            },
            "labels": {**request.labels, DIGEST_LABEL: request.digest},
            "serviceAccount": request.service_account,
            "network": request.network,
        }
        return PipelineJob(json_format.ParseDict(job, PipelineJob.pb(PipelineJob())))

    def _schedule(self, name: str, request: Request, timing: Timing) -> Any:
        from google.cloud.aiplatform_v1.types import CreatePipelineJobRequest, Schedule

        return Schedule(
            display_name=name,
            cron=_cron(timing),
            start_time=timing.start,
            end_time=timing.end,
            create_pipeline_job_request=CreatePipelineJobRequest(
                parent=self._parent, pipeline_job=self._pipeline_job(request)
            ),
            # The first limits how many are being started, the second how many run.
            max_concurrent_run_count=1,
            max_concurrent_active_run_count=1,
        )

    def _read(self, message: Any, runs: tuple[Run, ...] = ()) -> Schedule:
        zoned = _TIME_ZONE.fullmatch(message.cron)
        timing = Timing(
            cron=zoned[2] if zoned else message.cron,
            time_zone=zoned[1] if zoned else "UTC",
            start=_moment(message.start_time),
            end=_moment(message.end_time),
        )
        project, location, identifier = (message.name.split("/")[i] for i in (1, 3, 5))
        return Schedule(
            id=message.name,
            name=message.display_name,
            state=message.state.name,
            timing=timing,
            digest=_digest(message),
            next_run=_moment(message.next_run_time),
            created=_moment(message.create_time),
            link=f"https://console.cloud.google.com/vertex-ai/pipelines/locations/{location}/schedules/{identifier}?project={project}",
            last_runs=runs,
        )

    def _as_json(self, message: Any) -> dict[str, Any]:
        from google.protobuf import json_format

        result: dict[str, Any] = json_format.MessageToDict(type(message).pb(message), use_integers_for_enums=True)
        return result

    def _job_id(self, request: Request) -> str:
        return _identifier(request.name)

    # ----------------------------------------------------------------------------------------------- client

    def _pipelines(self) -> Any:
        from google.cloud.aiplatform_v1 import PipelineServiceClient

        return self._client(PipelineServiceClient)

    def _client_schedules(self) -> Any:
        from google.cloud.aiplatform_v1 import ScheduleServiceClient

        return self._client(ScheduleServiceClient)

    def _client(self, kind: Any) -> Any:
        clients: dict[Any, Any] = self.__dict__.setdefault("_clients", {})
        if kind not in clients:
            clients[kind] = kind(**client_options(self._settings))
        return clients[kind]

    def _exists(self, get: Callable[[], Result]) -> Result | None:
        """What a call gives; None where the thing is not there."""
        from google.api_core.exceptions import NotFound

        try:
            return get()
        except NotFound:
            return None

    @contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        with explained(action, self._settings):
            yield


def _cron(timing: Timing) -> str:
    return timing.cron if timing.time_zone == "UTC" else f"TZ={timing.time_zone} {timing.cron}"


def _digest(message: Any) -> str:
    return str(message.create_pipeline_job_request.pipeline_job.labels.get(DIGEST_LABEL, ""))


def _moment(value: Any) -> datetime.datetime | None:
    return datetime.datetime.fromtimestamp(value.timestamp(), datetime.UTC) if value else None


def _identifier(name: str) -> str:
    """A name as the API's ids are: lower case, digits and dashes, a letter first, at most 128."""
    return re.sub(r"[^a-z0-9-]+", "-", f"bigbird-{name}".lower())[:128].strip("-")
