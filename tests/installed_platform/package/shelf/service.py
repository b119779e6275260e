"""Runs and schedules as JSON files in a folder."""

import datetime
import json
from dataclasses import asdict

from bigbird_components.runs import Run, Step
from bigbird_pipelines.platforms.service import Schedule, Timing

STATES = ("PENDING", "RUNNING", "SUCCEEDED")  # one for each look


class ShelfService:
    def __init__(self, folder):
        self._runs, self._schedules = folder / "runs", folder / "schedules"

    def described(self, request):
        return {"name": request.name, "labels": dict(request.labels), "parameters": dict(request.parameters)}

    def submit(self, request):
        return self._keep_run(request.name, self.described(request) | {"spec": request.spec})

    def link(self, identifier):
        return (self._runs / f"{identifier}.json").as_uri()

    def run(self, identifier):
        file = self._runs / f"{identifier}.json"
        stored = json.loads(file.read_text())
        state = STATES[min(stored["looks"], len(STATES) - 1)]
        if state == "SUCCEEDED" and stored["parameters"]["task"] == "cola":
            state = "FAILED"
        file.write_text(json.dumps(stored | {"looks": stored["looks"] + 1}))
        step = Step("train", state, error="it fell off: exit code 3" if state == "FAILED" else "")
        return Run(identifier, state, (step,), step if step.error else None, {"accuracy": 0.5}, self.link(identifier))

    def errors_of(self, step):
        return [f"the last line of {step.name}"]

    def described_schedule(self, name, request, timing):
        return {"name": name, "cron": timing.cron, "digest": request.digest, "run": self.described(request)}

    def create_schedule(self, name, request, timing):
        self._schedules.mkdir(parents=True, exist_ok=True)
        stored = {"name": name, "state": "ACTIVE", "digest": request.digest, "run": self.described(request)}
        return self._write(stored | {"timing": {key: value for key, value in asdict(timing).items() if value}})

    def retime_schedule(self, schedule, timing):
        return None

    def delete_schedule(self, schedule):
        self._file(schedule.id).unlink()

    def pause_schedule(self, schedule):
        self._write(self._stored(schedule.id) | {"state": "PAUSED"})

    def resume_schedule(self, schedule, catch_up):
        self._write(self._stored(schedule.id) | {"state": "ACTIVE"})

    def trigger_schedule(self, schedule):
        return self._keep_run(f"{schedule.name}-now", self._stored(schedule.id)["run"])

    def schedules(self, runs=0):
        return [self._read(json.loads(file.read_text())) for file in self._schedules.glob("*.json")]

    def _keep_run(self, name, content):
        self._runs.mkdir(parents=True, exist_ok=True)
        (self._runs / f"{name}.json").write_text(json.dumps({**content, "looks": 0}))
        return name

    def _file(self, name):
        return self._schedules / f"{name}.json"

    def _stored(self, name):
        return json.loads(self._file(name).read_text())

    def _write(self, stored):
        self._file(stored["name"]).write_text(json.dumps(stored, default=str))
        return self._read(stored)

    def _read(self, stored):
        timing, created = Timing(stored["timing"]["cron"]), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        link = self._file(stored["name"]).as_uri()
        return Schedule(stored["name"], stored["name"], stored["state"], timing, stored["digest"], None, created, link)
