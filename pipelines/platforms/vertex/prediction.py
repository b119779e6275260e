"""Vertex AI's batch predictions, of models that a run registered."""

from __future__ import annotations

import uuid
from typing import Any

from bigbird import storage
from bigbird.manifests import SavedModelManifest
from bigbird.serving.model_facts import SIGNATURE
from bigbird.support.addresses import without_passwords
from bigbird.support.artifacts import MANIFESTS
from bigbird.support.errors import InputError, ServiceError
from bigbird.support.text_files import decode, parse_json
from bigbird_components.model_names import LABEL, REGISTRY, check_model_name
from bigbird_pipelines.platforms.prediction import PredictionJob, PredictionRequest
from bigbird_pipelines.platforms.service import patiently
from bigbird_pipelines.platforms.vertex.client import client_options, explained, transient, transient_for_reading
from bigbird_pipelines.team_settings import TeamSettings, require

REQUEST_LABEL = "bigbird-request"
"""Holds what tells one submission from another, so that one whose answer was lost is found again."""

ROWS_AT_ONCE = 16  # of a request to our server; it takes no more than 1.5 MB at once
_TIMEOUT_S = 60.0


class VertexPrediction:
    """A project's batch predictions in a region.

    Args:
        settings: needs project and region.
    """

    def __init__(self, settings: TeamSettings):
        require(settings, "project", "region")
        self._settings = settings
        self._parent = f"projects/{settings.project}/locations/{settings.region}"
        self._clients: dict[str, Any] = {}

    def described(self, request: PredictionRequest) -> dict[str, Any]:
        """The request as JSON."""
        from google.protobuf import json_format

        message = self._message(request)
        body: dict[str, Any] = json_format.MessageToDict(type(message).pb(message))
        return {"parent": self._parent, "batchPredictionJob": body}

    def submit(self, request: PredictionRequest) -> str:
        """Sends a job; returns its resource name."""
        message = self._message(request)
        wanted = message.labels[REQUEST_LABEL]

        def lost() -> str | None:
            found = self._jobs().list_batch_prediction_jobs(
                {"parent": self._parent, "filter": f'labels.{REQUEST_LABEL}="{wanted}"'}, timeout=_TIMEOUT_S
            )
            return next((job.name for job in found if job.labels.get(REQUEST_LABEL) == wanted), None)

        with explained(f"submitting {request.name}", self._settings):
            return str(
                patiently(
                    lambda: (
                        self._jobs()
                        .create_batch_prediction_job(
                            parent=self._parent, batch_prediction_job=message, timeout=_TIMEOUT_S
                        )
                        .name
                    ),
                    transient,
                    lost,
                )
            )

    def link(self, identifier: str) -> str:
        """The page of a job in the console."""
        project, location, number = (identifier.split("/")[i] for i in (1, 3, 5))
        return f"https://console.cloud.google.com/vertex-ai/locations/{location}/batch-predictions/{number}?project={project}"

    def job(self, identifier: str) -> PredictionJob:
        """How a job stands."""
        with explained(f"batch prediction {identifier}", self._settings, transient_for_reading):
            found = patiently(
                lambda: self._jobs().get_batch_prediction_job(name=identifier, timeout=_TIMEOUT_S),
                transient_for_reading,
            )
        statuses = [*([found.error] if found.error and found.error.message else []), *found.partial_failures]
        return PredictionJob(
            state=found.state.name.removeprefix("JOB_STATE_"),
            answered=found.completion_stats.successful_count if found.completion_stats else 0,
            failed=found.completion_stats.failed_count if found.completion_stats else 0,
            errors=[without_passwords(status.message) for status in statuses],
            output=found.output_info.gcs_output_directory if found.output_info else "",
        )

    def _message(self, request: PredictionRequest) -> Any:
        from google.cloud.aiplatform_v1.types import BatchPredictionJob
        from google.protobuf import json_format

        model, fields = self._model(request)
        job = {
            "displayName": request.name,
            "model": model,
            "inputConfig": {"instancesFormat": request.format, "gcsSource": {"uris": list(request.files)}},
            # Our server refuses a field that is not the model's, so that other columns stay behind.
            "instanceConfig": {"instanceType": "object", "includedFields": fields},
            "outputConfig": {
                "predictionsFormat": "jsonl",
                "gcsDestination": {"outputUriPrefix": request.output.rstrip("/")},
            },
            "dedicatedResources": {
                "machineSpec": {"machineType": request.machine_type},
                "startingReplicaCount": 1,
                "maxReplicaCount": request.replicas,
            },
            "manualBatchTuningParameters": {"batchSize": ROWS_AT_ONCE},
            "labels": {"bigbird": "predict", REQUEST_LABEL: uuid.uuid4().hex[:16]},
            "serviceAccount": self._settings.service_account,
        }
        if request.id_column:
            job["instanceConfig"]["keyField"] = request.id_column  # type: ignore[index]
        return BatchPredictionJob(json_format.ParseDict(job, BatchPredictionJob.pb(BatchPredictionJob())))

    def _model(self, request: PredictionRequest) -> tuple[str, list[str]]:
        """The version's resource name, and its inputs.

        Raises:
            InputError: no run registered a model of this name, or several did.
            ServiceError: it has no such version, or the registry or the bucket cannot be read.
        """
        name = check_model_name(request.model, REGISTRY)
        shown = f"{REGISTRY}{name}"
        where = f"project {self._settings.project} in {self._settings.region}"
        with explained(f"looking for the registered model {name}", self._settings):
            query = {"parent": self._parent, "filter": f'display_name="{name}"'}
            found = patiently(lambda: list(self._registry().list_models(query, timeout=_TIMEOUT_S)), transient)
        models = [model for model in found if model.labels.get(LABEL[0]) == LABEL[1]]
        if len(models) != 1:
            count = f"{len(models)} models" if models else "no model"
            raise InputError(f"{shown}: {where} has {count} of this name that a run registered; expected one")
        resource = f"{models[0].name.partition('@')[0]}@{request.version or 'default'}"
        with explained(f"version {request.version or 'default'} of {shown}", self._settings):
            model = patiently(lambda: self._registry().get_model(name=resource, timeout=_TIMEOUT_S), transient)
        if not model.artifact_uri:
            raise InputError(f"{shown}@{model.version_id}: was registered without a folder; register it again")
        file, what = (
            storage.join(model.artifact_uri.rstrip("/"), MANIFESTS["saved_model"]),
            "manifest of the registered model",
        )
        try:
            content = storage.read_bytes(file)
        except InputError as error:
            raise ServiceError(
                f"{shown}@{model.version_id}: {error}; its files were deleted, register a model again"
            ) from None
        manifest = SavedModelManifest.checked(parse_json(decode(content, file, what), file, what), file)
        if SIGNATURE not in manifest.signatures:
            raise InputError(f"{file}: names no function {SIGNATURE}; export and register the model again")
        return f"{model.name.partition('@')[0]}@{model.version_id}", sorted(manifest.signatures[SIGNATURE].inputs)

    def _jobs(self) -> Any:
        from google.cloud.aiplatform_v1 import JobServiceClient

        return self._client(JobServiceClient)

    def _registry(self) -> Any:
        from google.cloud.aiplatform_v1 import ModelServiceClient

        return self._client(ModelServiceClient)

    def _client(self, kind: Any) -> Any:
        name = kind.__name__
        if name not in self._clients:
            self._clients[name] = kind(**client_options(self._settings))
        return self._clients[name]
