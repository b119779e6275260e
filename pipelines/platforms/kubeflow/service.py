"""Kubeflow Pipelines' runs and recurring runs, spoken to by its own client."""

from __future__ import annotations

import contextlib
import datetime
import functools
import io
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from bigbird.support.addresses import without_password
from bigbird.support.errors import InputError, ServiceError, ServiceUnreachable
from bigbird_components.platforms.kubeflow import kubeflow_run
from bigbird_components.runs import Run, Step, run_link
from bigbird_pipelines.platforms.service import DIGEST_LABEL, Request, Schedule, Timing, patiently, spec_with_caching
from bigbird_pipelines.team_settings import TeamSettings, require

TOKEN = "BIGBIRD_KUBEFLOW_TOKEN"  # noqa: S105 - the name of the variable that holds it
EXPERIMENT = "bigbird"
_PAGE = 100
_STATES = {"ENABLED": "ACTIVE", "DISABLED": "PAUSED"}
Result = TypeVar("Result")


class KubeflowService:
    """An installation's runs and recurring runs, in the experiment "bigbird".

    Args:
        settings: needs host; namespace where the installation has many users.
    """

    def __init__(self, settings: TeamSettings):
        require(settings, "host")
        self._settings = settings

    # ------------------------------------------------------------------------------------------------- runs

    def described(self, request: Request) -> dict[str, Any]:
        """The body of a run as JSON; the experiment's id is looked up when it is sent."""
        return self._plain(self._run_body(request, f"<id of experiment {EXPERIMENT}>"))

    def submit(self, request: Request) -> str:
        """Sends a run; returns its id. After an answer that was lost, a run of the same name and work is taken for it."""
        with self._explained(f"submitting {request.name}"):
            experiment = self._experiment()
            body = self._run_body(request, experiment)

            def lost() -> str | None:
                runs = (
                    self._client.list_runs(page_size=_PAGE, sort_by="created_at desc", experiment_id=experiment).runs
                    or []
                )
                return next(
                    (run.run_id for run in runs if run.display_name == request.name and _digest(run) == request.digest),
                    None,
                )

            return str(patiently(lambda: self._runs.run_service_create_run(run=body).run_id, _transient, lost))

    def link(self, identifier: str) -> str:
        """The page of a run in Kubeflow's user interface."""
        return run_link(self._settings.host, identifier)

    def run(self, identifier: str) -> Run:
        """How a run stands."""
        with self._explained(f"run {identifier}"):
            return kubeflow_run(patiently(lambda: self._client.get_run(identifier), _transient), self._settings.host)

    def errors_of(self, step: Step) -> list[str]:
        """None: the pod's own words are the step's error already."""
        return []

    # -------------------------------------------------------------------------------------------- schedules

    def described_schedule(self, name: str, request: Request, timing: Timing) -> dict[str, Any]:
        """The body of a recurring run as JSON."""
        return self._plain(self._recurring_body(name, request, timing, f"<id of experiment {EXPERIMENT}>"))

    def create_schedule(self, name: str, request: Request, timing: Timing) -> Schedule:
        """Makes a recurring run. After an answer that was lost, a new one of the same name and digest is taken for it."""
        with self._explained(f"creating schedule {name}"):
            body = self._recurring_body(name, request, timing, self._experiment())
            before = {found.recurring_run_id for found in self._all()}

            def lost() -> Any:
                new = (found for found in self._all() if found.recurring_run_id not in before)
                return next(
                    (found for found in new if found.display_name == name and _digest(found) == request.digest), None
                )

            created = patiently(
                lambda: self._recurring.recurring_run_service_create_recurring_run(recurring_run=body), _transient, lost
            )
        return self._read(created)

    def retime_schedule(self, schedule: Schedule, timing: Timing) -> Schedule | None:
        """None: the API can only switch a recurring run on and off."""
        return None

    def delete_schedule(self, schedule: Schedule) -> None:
        """Deletes it."""
        with self._explained(f"deleting schedule {schedule.name} ({schedule.id})"):
            patiently(lambda: self._unless_gone(lambda: self._client.delete_recurring_run(schedule.id)), _transient)

    def pause_schedule(self, schedule: Schedule) -> None:
        """Switches it off."""
        with self._explained(f"pausing schedule {schedule.name}"):
            patiently(lambda: self._client.disable_recurring_run(schedule.id), _transient)

    def resume_schedule(self, schedule: Schedule, catch_up: bool) -> None:
        """Switches it on; whether it catches up was fixed when it was created."""
        if catch_up and not schedule.timing.catch_up:
            raise InputError(
                f"schedule {schedule.name}: was created without --catch-up, which Kubeflow cannot change; create it again with it"
            )
        with self._explained(f"resuming schedule {schedule.name}"):
            patiently(lambda: self._client.enable_recurring_run(schedule.id), _transient)

    def trigger_schedule(self, schedule: Schedule) -> str:
        """Sends its run now."""
        import kfp_server_api

        now = datetime.datetime.now(datetime.UTC)
        name = f"{schedule.name}-{now:%Y%m%d-%H%M%S}"
        with self._explained(f"triggering schedule {schedule.name}"):
            stored = patiently(lambda: self._client.get_recurring_run(schedule.id), _transient)
            body = kfp_server_api.V2beta1Run(
                display_name=name,
                description=stored.description,
                experiment_id=stored.experiment_id,
                pipeline_spec=stored.pipeline_spec,
                runtime_config=stored.runtime_config,
                service_account=stored.service_account,
            )

            def lost() -> str | None:
                runs = (
                    self._client.list_runs(
                        page_size=_PAGE, sort_by="created_at desc", experiment_id=stored.experiment_id
                    ).runs
                    or []
                )
                return next((run.run_id for run in runs if run.display_name == name), None)

            return str(patiently(lambda: self._runs.run_service_create_run(run=body).run_id, _transient, lost))

    def schedules(self, runs: int = 0) -> list[Schedule]:
        """All recurring runs of the namespace."""
        with self._explained("listing schedules"):
            return [
                self._read(found, self._last_runs(found.recurring_run_id, runs) if runs else ())
                for found in self._all()
            ]

    def _last_runs(self, identifier: str, count: int) -> tuple[Run, ...]:
        condition = {"predicates": [{"operation": "EQUALS", "key": "recurring_run_id", "string_value": identifier}]}
        found = patiently(
            lambda: self._runs.run_service_list_runs(
                page_size=count,
                sort_by="created_at desc",
                filter=json.dumps(condition),
                namespace=self._settings.namespace or None,
            ),
            _transient,
        )
        return tuple(kubeflow_run(run, self._settings.host) for run in (found.runs or [])[:count])

    def _all(self) -> list[Any]:
        found: list[Any] = []
        token = ""
        while True:
            page = patiently(
                lambda token=token: self._recurring.recurring_run_service_list_recurring_runs(  # type: ignore[misc]
                    page_token=token, page_size=_PAGE, namespace=self._settings.namespace or None
                ),
                _transient,
            )
            found += page.recurring_runs or []
            token = page.next_page_token or ""
            if not token:
                return found

    # --------------------------------------------------------------------------------------------- messages

    def _run_body(self, request: Request, experiment: str) -> Any:
        import kfp_server_api

        return kfp_server_api.V2beta1Run(
            display_name=request.name,
            description=_description(request),
            experiment_id=experiment,
            pipeline_spec=_spec(request),
            runtime_config=_runtime(request),
            service_account=request.service_account or None,
        )

    def _recurring_body(self, name: str, request: Request, timing: Timing, experiment: str) -> Any:
        import kfp_server_api

        if timing.time_zone != "UTC":
            raise InputError(
                f"--time-zone {timing.time_zone}: Kubeflow reads every schedule in the time zone of its controller, UTC unless "
                "CRON_SCHEDULE_TIMEZONE says otherwise there; expected UTC, and the hours in it"
            )
        ranges = re.sub(r"/\d+", "", timing.cron.split()[4])  # a step may be larger than a day's number
        if any(int(day) > 6 for day in re.findall(r"\d+", ranges)):
            raise InputError(
                f"--cron {timing.cron!r}: Kubeflow counts the days of the week from 0 to 6; write Sunday as 0"
            )
        return kfp_server_api.V2beta1RecurringRun(
            display_name=name,
            description=_description(request),
            experiment_id=experiment,
            pipeline_spec=_spec(request),
            runtime_config=_runtime(request),
            service_account=request.service_account or None,
            mode=kfp_server_api.RecurringRunMode.ENABLE,
            max_concurrency="1",
            no_catchup=not timing.catch_up,
            trigger=kfp_server_api.V2beta1Trigger(
                cron_schedule=kfp_server_api.V2beta1CronSchedule(
                    cron=f"0 {timing.cron}", start_time=timing.start, end_time=timing.end
                )
            ),
        )

    def _read(self, found: Any, runs: tuple[Run, ...] = ()) -> Schedule:
        cron = found.trigger.cron_schedule if found.trigger else None
        fields = cron.cron.split() if cron and cron.cron else []
        return Schedule(
            id=found.recurring_run_id,
            name=found.display_name,
            state=_STATES.get(str(found.status), str(found.status)),
            timing=Timing(
                " ".join(fields[1:] if len(fields) == 6 else fields),
                start=cron.start_time if cron else None,
                end=cron.end_time if cron else None,
                catch_up=not found.no_catchup,
            ),
            digest=_digest(found),
            created=found.created_at,
            link=f"{without_password(self._settings.host).rstrip('/')}/#/recurringrun/details/{found.recurring_run_id}",
            last_runs=runs,
        )

    def _plain(self, body: Any) -> dict[str, Any]:
        import kfp_server_api

        result: dict[str, Any] = kfp_server_api.ApiClient().sanitize_for_serialization(body)
        return result

    # ----------------------------------------------------------------------------------------------- client

    @functools.cached_property
    def _client(self) -> Any:
        import kfp

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return kfp.Client(
                host=self._settings.host,
                namespace=self._settings.namespace or "kubeflow",
                existing_token=os.environ.get(TOKEN, "").strip() or None,
            )

    @property
    def _runs(self) -> Any:
        return self._client._run_api  # noqa: SLF001 - the client has no other way to send a body as it is

    @property
    def _recurring(self) -> Any:
        return self._client._recurring_run_api  # noqa: SLF001

    def _experiment(self) -> str:
        """The id of our experiment, made where it is not there."""
        namespace = self._settings.namespace or None

        def create() -> str:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints a link
                return str(self._client.create_experiment(EXPERIMENT, namespace=namespace).experiment_id)

        return patiently(create, _transient)

    def _unless_gone(self, call: Callable[[], Result]) -> Result | None:
        from kfp_server_api.exceptions import ApiException

        try:
            return call()
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    @contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        import urllib3
        from kfp_server_api.exceptions import ApiException

        where = self._settings.host
        try:
            yield
        except ApiException as error:
            remedy = _REMEDIES.get(error.status, "see the logs of the ml-pipeline deployment")
            kind = ServiceUnreachable if _transient(error) else ServiceError
            raise kind(f"{action} ({where}): {error.status} {_reason(error)}; {remedy}") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ServiceUnreachable(
                f"{action} ({where}): cannot be reached ({type(error).__name__}); is the address right, and the port forwarded?"
            ) from None


_REMEDIES = {
    400: "what was sent is not accepted; `--dry-run` prints it",
    401: f"set {TOKEN} to a token that the installation takes",
    403: f"you may not do that in this namespace; set {TOKEN}, or --namespace to yours",
    404: "is the address, namespace or id right?",
    429: "too many requests in a short time, or the namespace's quota is used up; wait a minute and run it again",
}


def _spec(request: Request) -> dict[str, Any]:
    """The specification as the API takes it; with the Kubernetes part beside the pipeline where there is one."""
    pipeline = spec_with_caching(request.spec["pipelineSpec"], request.caching)
    platforms = request.spec.get("platforms")
    return {"pipeline_spec": pipeline, "platform_spec": {"platforms": platforms}} if platforms else pipeline


def _runtime(request: Request) -> Any:
    import kfp_server_api

    return kfp_server_api.V2beta1RuntimeConfig(
        parameters=dict(request.parameters), pipeline_root=request.pipeline_root or None
    )


def _description(request: Request) -> str:
    """Labels as text, as Kubeflow has none; the digest last."""
    return " ".join(f"{name}={value}" for name, value in {**request.labels, DIGEST_LABEL: request.digest}.items())


def _digest(found: Any) -> str:
    words = (found.description or "").split()
    return next((word.partition("=")[2] for word in words if word.startswith(f"{DIGEST_LABEL}=")), "")


def _reason(error: Any) -> str:
    """The message in the body, or the status line."""
    try:
        body = json.loads(error.body or "{}")
        return str(body.get("message") or body.get("error") or error.reason)
    except (ValueError, AttributeError):
        return str(error.reason)


def _transient(error: Exception) -> bool:
    """Whether a call may succeed the next time."""
    import urllib3
    from kfp_server_api.exceptions import ApiException

    if isinstance(error, ApiException):
        return error.status in (502, 503, 504)
    return isinstance(error, urllib3.exceptions.HTTPError | ConnectionError)
