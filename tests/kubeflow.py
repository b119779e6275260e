"""Kubeflow Pipelines' REST as far as this project speaks it, on this machine."""

from __future__ import annotations

import itertools
import json
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.cloud import now
from tests.loopback import Answer, LoopbackServer, Request


class Kubeflow(LoopbackServer):
    """An installation.

    Attributes:
        runs, recurring: id -> resource, as JSON.
        progress: what `GET` of a run gives, one after the other, the last for good: (state, task details).
    """

    def __init__(self) -> None:
        self.experiments: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.recurring: dict[str, dict[str, Any]] = {}
        self.progress: list[tuple[str, list[dict[str, Any]]]] = [("RUNNING", [])]
        self._ids = itertools.count(1)
        path = "/apis/v2beta1"
        super().__init__(
            routes=[
                (rf"GET {path}/healthz", lambda *_: {"multi_user": False}),
                (rf"GET {path}/experiments", self._list_experiments),
                (rf"POST {path}/experiments", self._create_experiment),
                (rf"POST {path}/runs", self._create_run),
                (rf"GET {path}/runs", self._list_runs),
                (rf"GET {path}/runs/([^/:]+)", self._get_run),
                (rf"POST {path}/recurringruns", self._create_recurring),
                (rf"GET {path}/recurringruns", lambda *_: {"recurringRuns": list(self.recurring.values())}),
                (rf"GET {path}/recurringruns/([^/:]+)", lambda match, _: self._one(self.recurring, match[1])),
                (rf"DELETE {path}/recurringruns/([^/:]+)", self._delete_recurring),
                (rf"POST {path}/recurringruns/([^/:]+):(enable|disable)", self._switch_recurring),
            ]
        )

    def _one(self, things: dict[str, dict[str, Any]], identifier: str) -> dict[str, Any]:
        if identifier not in things:
            raise Answer(404, {"code": 5, "message": f"{identifier} not found"})
        return things[identifier]

    def _list_experiments(self, _: Any, request: Request) -> Any:
        (wanted,) = json.loads(request.query["filter"])["predicates"]
        named = [one for one in self.experiments.values() if one["display_name"] == wanted["stringValue"]]
        return {"experiments": named}

    def _create_experiment(self, _: Any, request: Request) -> Any:
        identifier = f"experiment-{next(self._ids)}"
        self.experiments[identifier] = {**request.body, "experiment_id": identifier}
        return self.experiments[identifier]

    def _check(self, body: dict[str, Any]) -> None:
        assert body["experiment_id"] in self.experiments
        spec = body["pipeline_spec"]
        json_format.ParseDict(spec.get("pipeline_spec", spec), pipeline_spec_pb2.PipelineSpec())
        if "platform_spec" in spec:
            json_format.ParseDict(spec["platform_spec"], pipeline_spec_pb2.PlatformSpec())

    def _create_run(self, _: Any, request: Request) -> Any:
        self._check(request.body)
        identifier = f"run-{next(self._ids)}"
        self.runs[identifier] = {**request.body, "run_id": identifier, "state": "PENDING", "created_at": now()}
        return self.runs[identifier]

    def _get_run(self, match: Any, _: Request) -> Any:
        state, tasks = self.progress[0] if len(self.progress) == 1 else self.progress.pop(0)
        return {**self._one(self.runs, match[1]), "state": state, "run_details": {"task_details": tasks}}

    def _list_runs(self, _: Any, request: Request) -> Any:
        found = list(self.runs.values())
        if "filter" in request.query:
            (wanted,) = json.loads(request.query["filter"])["predicates"]
            found = [run for run in found if run.get("recurring_run_id") == wanted["string_value"]]
        return {"runs": found}

    def _create_recurring(self, _: Any, request: Request) -> Any:
        self._check(request.body)
        identifier = f"recurring-{next(self._ids)}"
        status = "ENABLED" if request.body["mode"] == "ENABLE" else "DISABLED"
        self.recurring[identifier] = {
            **request.body,
            "recurring_run_id": identifier,
            "status": status,
            "created_at": now(),
        }
        return self.recurring[identifier]

    def _delete_recurring(self, match: Any, _: Request) -> Any:
        self._one(self.recurring, match[1])
        del self.recurring[match[1]]
        return {}

    def _switch_recurring(self, match: Any, _: Request) -> Any:
        self._one(self.recurring, match[1])["status"] = "ENABLED" if match[2] == "enable" else "DISABLED"
        return {}
