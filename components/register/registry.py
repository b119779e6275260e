"""The Vertex AI Model Registry: the model of a name, its versions, and uploading one more."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from typing import Any

from bigbird.support.errors import InputError
from bigbird_components.register.api_errors import explained, retried
from bigbird_components.register.labels import OURS, OURS_VALUE

DEFAULT = "default"
CANDIDATE = "candidate"
ROLE = "roles/aiplatform.user"

# The API's address, where it is not the location's own; one of http:// gets no credentials.
ENDPOINT = "BIGBIRD_API_ENDPOINT"


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes:
        model: the model's resource name, projects/…/models/….
        version: the version's number.
        aliases: its names; `default` is one of them where it is the one that is served.
        labels: what was recorded about it.
        uri: the folder of its SavedModel.
    """

    model: str
    version: str
    aliases: tuple[str, ...]
    labels: dict[str, str]
    uri: str

    def __str__(self) -> str:
        return f"{self.model}@{self.version}"

    @property
    def is_default(self) -> bool:
        """Whether it is the one that the model's name stands for."""
        return DEFAULT in self.aliases


@dataclass(frozen=True)
class Upload:
    """What is uploaded.

    Attributes:
        name: display name of the model.
        parent: resource name of the model that gets one more version; None makes the model.
        default: whether the version becomes the default, or else the candidate.
        labels: of the version; `run` among them.
    """

    name: str
    parent: str | None
    default: bool
    artifact_uri: str
    serving_image: str
    description: str
    labels: dict[str, str] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Arguments of `aiplatform.Model.upload`."""
        return {
            "display_name": self.name,
            "parent_model": self.parent,
            "is_default_version": self.default,
            "version_aliases": [DEFAULT if self.default else CANDIDATE],
            "version_description": self.description,
            "labels": dict(self.labels),
            "artifact_uri": self.artifact_uri,
            "serving_container_image_uri": self.serving_image,
            "serving_container_predict_route": "/predict",
            "serving_container_health_route": "/health",
            "serving_container_ports": [8080],
        }


class Registry:
    """A project's models in one location.

    Args:
        project: id of the project.
        location: as us-central1.

    Raises:
        InputError: there is no such location.
    """

    def __init__(self, project: str, location: str):
        from google.cloud import aiplatform

        logging.getLogger("google.cloud.aiplatform.models").setLevel(logging.WARNING)  # what is done is told here
        self.where = f"projects/{project}/locations/{location}"
        try:
            aiplatform.init(project=project, location=location, **_client_settings())
        except ValueError as error:
            raise InputError(f"{self.where}: {error}") from None
        self._aiplatform = aiplatform

    def find_model(self, name: str) -> str | None:
        """The resource name of the model that was registered here under a display name; None where there is none.

        Raises:
            InputError: there are several.
            ServiceError: the API refuses.
        """
        with explained(f"{self.where}/models", ROLE):
            found = retried(lambda: self._aiplatform.Model.list(filter=f'display_name="{name}"'))
        ours = [model.resource_name for model in found if model.labels.get(OURS) == OURS_VALUE]
        if len(ours) > 1:
            raise InputError(
                f"{self.where}: has {len(ours)} models {name!r}: {', '.join(sorted(ours))}; delete or rename all but one, "
                "or register under another name"
            )
        return ours[0] if ours else None

    def get(self, model: str, version: str) -> Version:
        """A version by its number or alias.

        Raises:
            ServiceError: there is none, or the API refuses.
        """
        with explained(f"{model}@{version}", ROLE):
            return _version(retried(lambda: self._aiplatform.Model(model_name=model, version=version)))

    def find_run(self, model: str, run: str) -> Version | None:
        """The version that a run registered, None where it has not yet."""
        with explained(model, ROLE):
            registry = self._aiplatform.ModelRegistry(model)
            found = retried(lambda: registry.list_versions(filter=f'labels.run="{run}"'))
        return self.get(model, found[0].version_id) if found else None

    def upload(self, upload: Upload) -> Version:
        """Uploads a version; one whose answer got lost is found again and not uploaded twice.

        Raises:
            InputError: another run made the model meanwhile.
            ServiceError: the API refuses.
        """

        def attempt() -> Version:
            parent = upload.parent or self.find_model(upload.name)
            done = self.find_run(parent, upload.labels["run"]) if parent else None
            if done:
                return done
            if parent != upload.parent:
                raise InputError(f"{parent}: was registered by another run meanwhile; run this step again")
            return _version(self._aiplatform.Model.upload(**upload.arguments()))

        with explained(f"{upload.parent or self.where + '/models'}, uploading {upload.artifact_uri}", ROLE):
            return retried(attempt)


def _client_settings() -> dict[str, Any]:
    """How the client reaches the API, from the environment."""
    from google.auth.credentials import AnonymousCredentials

    endpoint = os.environ.get(ENDPOINT)
    if endpoint and endpoint.startswith("http://"):
        return {"api_endpoint": endpoint, "api_transport": "rest", "credentials": AnonymousCredentials()}
    return {"api_endpoint": endpoint} if endpoint else {}


def _version(model: Any) -> Version:
    return Version(
        model.resource_name, model.version_id, tuple(model.version_aliases), dict(model.labels), model.uri or ""
    )
