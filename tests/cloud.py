"""Vertex AI and Cloud Storage as far as this project speaks to them, on this machine, with their own messages."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

from google.cloud import aiplatform_v1
from google.protobuf import json_format

from bigbird_pipelines.machines import MACHINES
from tests.loopback import Answer, LoopbackServer, Request

PROJECT, REGION = "my-project", "europe-west4"
PARENT = f"projects/{PROJECT}/locations/{REGION}"
# Every machine with every backend that trains on it.
TRAINERS = [(name, backend) for name, machine in MACHINES.items() for backend in machine.backends]


def parsed(kind: Any, body: Any) -> Any:
    """A body as the API's own message; fields that it does not have are an error."""
    return kind(json_format.ParseDict(body, kind.pb(kind())))


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Cloud(LoopbackServer):
    """A project.

    Attributes:
        jobs: pipeline job id -> resource, as JSON.
        schedules: schedule id -> resource, as JSON.
        objects: gs:// address -> content.
        models: names of the models that runs registered.
        versions: of registered models, as JSON, besides those of `models`.
        batch_jobs: batch prediction job id -> resource, as JSON.
        predictions: what `GET` of a batch prediction gives, one after the other, the last for good: (state, what it says besides).
        progress: what `GET` of a job gives, one after the other, the last for good: (state, task details).
    """

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.schedules: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, bytes] = {}
        self.progress: list[tuple[str, list[dict[str, Any]]]] = [("PIPELINE_STATE_RUNNING", [])]
        self.models: set[str] = set()
        self.versions: list[dict[str, Any]] = []
        self.batch_jobs: dict[str, dict[str, Any]] = {}
        self.predictions: list[tuple[str, dict[str, Any]]] = [("JOB_STATE_RUNNING", {})]
        self.logs: list[dict[str, Any]] = []
        self._ids = itertools.count(1)
        path = rf"/v1/{PARENT}"
        super().__init__(
            routes=[
                (rf"POST {path}/pipelineJobs", self._create_job),
                (rf"GET {path}/pipelineJobs", self._list_jobs),
                (rf"GET {path}/pipelineJobs/([^/:]+)", self._get_job),
                (rf"GET {path}/models", self._list_models),
                (rf"GET {path}/models/(\d+)@(\w+)", self._get_version),
                (rf"POST {path}/batchPredictionJobs", self._create_prediction),
                (rf"GET {path}/batchPredictionJobs", self._list_predictions),
                (rf"GET {path}/batchPredictionJobs/(\d+)", self._get_prediction),
                (rf"POST {path}/schedules", self._create_schedule),
                (rf"GET {path}/schedules", lambda *_: {"schedules": list(self.schedules.values())}),
                (rf"GET {path}/schedules/([^/:]+)", lambda match, _: self._schedule(match[1])),
                (rf"PATCH {path}/schedules/([^/:]+)", self._patch_schedule),
                (rf"DELETE {path}/schedules/([^/:]+)", self._delete_schedule),
                (rf"POST {path}/schedules/([^/:]+):(pause|resume)", self._switch_schedule),
                (r"POST /v2/entries:list", lambda *_: {"entries": self.logs}),
                (r"GET /storage/v1/b/([^/]+)/o", self._list_objects),
                (r"GET /storage/v1/b/([^/]+)/o/(.+)", self._get_object),
                (r"GET /download/storage/v1/b/([^/]+)/o/(.+)", self._download),
            ]
        )

    # ------------------------------------------------------------------------------------------------- jobs

    def _create_job(self, _: Any, request: Request) -> Any:
        identifier = request.query["pipelineJobId"]
        if identifier in self.jobs:
            raise Answer(409, {"error": {"code": 409, "message": "already exists", "status": "ALREADY_EXISTS"}})
        parsed(aiplatform_v1.PipelineJob, request.body)
        name = f"{PARENT}/pipelineJobs/{identifier}"
        self.jobs[identifier] = {**request.body, "name": name, "state": "PIPELINE_STATE_PENDING", "createTime": now()}
        return self.jobs[identifier]

    def _get_job(self, match: Any, _: Request) -> Any:
        if match[1] not in self.jobs:
            raise Answer(404, {"error": {"code": 404, "message": "not found", "status": "NOT_FOUND"}})
        state, tasks = self.progress[0] if len(self.progress) == 1 else self.progress.pop(0)
        return {**self.jobs[match[1]], "state": state, "jobDetail": {"taskDetails": tasks}}

    def _list_models(self, _: Any, request: Request) -> Any:
        wanted = request.query.get("filter", "").partition('display_name="')[2].rstrip('"')
        found = [one for one in self.versions if one["displayName"] == wanted and "default" in one["versionAliases"]]
        if wanted in self.models:
            found.append({"name": f"{PARENT}/models/7", "displayName": wanted, "labels": {"bigbird": "register"}})
        return {"models": found}

    def _get_version(self, match: Any, _: Request) -> Any:
        for version in self.versions:
            if version["name"].endswith(f"/{match[1]}") and match[2] in (
                version["versionId"],
                *version["versionAliases"],
            ):
                return version
        raise Answer(404, {"error": {"code": 404, "message": "The Model does not exist.", "status": "NOT_FOUND"}})

    def _create_prediction(self, _: Any, request: Request) -> Any:
        message = parsed(aiplatform_v1.BatchPredictionJob, request.body)
        assert message.display_name and message.model and message.input_config.instances_format, "required by the API"
        identifier = str(next(self._ids))
        name = f"{PARENT}/batchPredictionJobs/{identifier}"
        self.batch_jobs[identifier] = {**request.body, "name": name, "state": "JOB_STATE_PENDING", "createTime": now()}
        return self.batch_jobs[identifier]

    def _list_predictions(self, _: Any, request: Request) -> Any:
        name, _, value = request.query["filter"].removeprefix("labels.").partition("=")
        found = [job for job in self.batch_jobs.values() if job["labels"].get(name) == value.strip('"')]
        return {"batchPredictionJobs": found}

    def _get_prediction(self, match: Any, _: Request) -> Any:
        if match[1] not in self.batch_jobs:
            raise Answer(404, {"error": {"code": 404, "message": "not found", "status": "NOT_FOUND"}})
        state, more = self.predictions[0] if len(self.predictions) == 1 else self.predictions.pop(0)
        return {**self.batch_jobs[match[1]], "state": state, **more}

    def _list_jobs(self, _: Any, request: Request) -> Any:
        schedule = request.query.get("filter", "").partition('schedule_name="')[2].rstrip('"')
        return {"pipelineJobs": [job for job in self.jobs.values() if job.get("scheduleName", "") == schedule]}

    # -------------------------------------------------------------------------------------------- schedules

    def _create_schedule(self, _: Any, request: Request) -> Any:
        message = parsed(aiplatform_v1.Schedule, request.body)
        assert message.max_concurrent_run_count, "required by the API"
        identifier = str(next(self._ids))
        self.schedules[identifier] = {
            **request.body, "name": f"{PARENT}/schedules/{identifier}", "state": "ACTIVE", "createTime": now(),
            "nextRunTime": "2030-01-07T02:00:00Z", "startTime": request.body.get("startTime", now()),
        }  # fmt: skip
        return self.schedules[identifier]

    def _schedule(self, identifier: str) -> dict[str, Any]:
        if identifier not in self.schedules:
            raise Answer(404, {"error": {"code": 404, "message": "not found", "status": "NOT_FOUND"}})
        return self.schedules[identifier]

    def _patch_schedule(self, match: Any, request: Request) -> Any:
        stored = self._schedule(match[1])
        for field in request.query["updateMask"].split(","):
            camel = field.split("_")[0] + "".join(part.title() for part in field.split("_")[1:])
            stored[camel] = request.body[camel]
        return stored

    def _delete_schedule(self, match: Any, _: Request) -> Any:
        self._schedule(match[1])
        del self.schedules[match[1]]
        return {
            "name": f"{PARENT}/operations/1",
            "done": True,
            "response": {"@type": "type.googleapis.com/google.protobuf.Empty"},
        }

    def _switch_schedule(self, match: Any, request: Request) -> Any:
        stored = self._schedule(match[1])
        stored["state"] = "PAUSED" if match[2] == "pause" else "ACTIVE"
        if match[2] == "resume":
            stored["catchUp"] = (request.body or {}).get("catchUp", False)
        return {}

    # ---------------------------------------------------------------------------------------------- storage

    def _list_objects(self, match: Any, request: Request) -> Any:
        bucket, prefix, delimiter = match[1], request.query.get("prefix", ""), request.query.get("delimiter")
        names = [
            address.removeprefix(f"gs://{bucket}/") for address in self.objects if address.startswith(f"gs://{bucket}/")
        ]
        if not names:
            raise Answer(404, {"error": {"code": 404, "message": "The specified bucket does not exist."}})
        inside = [name for name in sorted(names) if name.startswith(prefix)]
        rest = {name: name[len(prefix) :] for name in inside}
        folders = {prefix + tail.partition("/")[0] + "/" for tail in rest.values() if delimiter and "/" in tail}
        items = [name for name, tail in rest.items() if not (delimiter and "/" in tail)]
        described = [self._object(bucket, name) for name in items]
        return {"kind": "storage#objects", "items": described, "prefixes": sorted(folders)}

    def _object(self, bucket: str, name: str) -> dict[str, Any]:
        content = self.objects[f"gs://{bucket}/{name}"]
        return {"kind": "storage#object", "bucket": bucket, "name": name, "size": str(len(content)), "updated": now()}

    def _get_object(self, match: Any, request: Request) -> Any:
        if f"gs://{match[1]}/{match[2]}" not in self.objects:
            raise Answer(404, {"error": {"code": 404, "message": "no such object"}})
        if request.query.get("alt") == "media":
            return self._download(match, request)
        return self._object(match[1], match[2])

    def _download(self, match: Any, _: Request) -> Answer:
        address = f"gs://{match[1]}/{match[2]}"
        if address not in self.objects:
            raise Answer(404, {"error": {"code": 404, "message": "no such object"}})
        return Answer(200, self.objects[address])


def task(number: int, name: str, state: str, *, parent: int = 0, error: str = "", **more: Any) -> dict[str, Any]:
    """A task of a pipeline job, as the API tells it."""
    detail = {"taskId": str(number), "taskName": name, "state": state, "createTime": f"2026-01-05T03:{number:02d}:00Z"}
    if parent:
        detail["parentTaskId"] = str(parent)
    if error:
        detail["error"] = {"code": 9, "message": error}
    return {**detail, **more}
