"""Vertex AI's Model Registry as far as the stage speaks to it: models with versions, aliases and labels."""

from __future__ import annotations

import re
from typing import Any

from google.cloud import aiplatform_v1

from tests.cloud import PARENT, Cloud, parsed
from tests.loopback import Answer, Request


class FakeRegistry(Cloud):
    """A project with models, and with buckets.

    Attributes:
        models: model id -> its versions, as JSON, the first one first.
        uploads: what was uploaded, as the API's own messages.
        pending: how often an upload's operation is asked after before it is done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, list[dict[str, Any]]] = {}
        self.uploads: list[aiplatform_v1.UploadModelRequest] = []
        self.pending = 0
        self._operations: list[dict[str, Any]] = []
        path = rf"/v1/{PARENT}/models"
        self.routes[:0] = [
            (rf"POST {path}:upload", self._upload),
            (rf"GET {path}", self._list),
            (rf"GET {path}/(\d+):listVersions", self._list_versions),
            (rf"GET {path}/(\d+)(?:@(\w+))?", self._get),
            (rf"GET /(?:ui|v1)/{PARENT}/operations/(\d+)", lambda match, _: self._operation(int(match[1]))),
        ]

    def version(self, model: str, alias: str) -> dict[str, Any]:
        """A version by number or alias."""
        for version in self.models.get(model, []):
            if alias == version["versionId"] or alias in version["versionAliases"]:
                return version
        raise Answer(404, {"error": {"code": 404, "message": "The Model does not exist.", "status": "NOT_FOUND"}})

    def _upload(self, _: Any, request: Request) -> Any:
        message = parsed(aiplatform_v1.UploadModelRequest, {**request.body, "parent": PARENT})
        self.uploads.append(message)
        for text in [*message.model.labels, *message.model.labels.values()]:
            assert re.fullmatch(r"[a-z0-9_-]{0,63}", text), text
        if message.parent_model:
            identifier = message.parent_model.removeprefix(f"{PARENT}/models/")
            versions = self.models[identifier]
        else:
            identifier = str(len(self.models) + 7)
            versions = self.models[identifier] = []
        aliases = set(message.model.version_aliases) | (set() if versions else {"default"})
        for other in versions:  # an alias belongs to one version at a time
            other["versionAliases"] = [alias for alias in other["versionAliases"] if alias not in aliases]
        number = str(len(versions) + 1)
        versions.append(
            {
                **request.body["model"],
                "name": f"{PARENT}/models/{identifier}",
                "versionId": number,
                "versionAliases": sorted(aliases),
            }
        )
        kind = "type.googleapis.com/google.cloud.aiplatform.v1.UploadModelResponse"
        name = f"{PARENT}/operations/{len(self._operations)}"
        response = {"@type": kind, "model": f"{PARENT}/models/{identifier}", "modelVersionId": number}
        self._operations.append({"name": name, "done": True, "response": response})
        return self._operation(len(self._operations) - 1)

    def _operation(self, number: int) -> dict[str, Any]:
        operation = self._operations[number]
        if not self.pending:
            return operation
        self.pending -= 1
        return {"name": operation["name"], "done": False}

    def _list(self, _: Any, request: Request) -> Any:
        wanted = re.fullmatch('display_name="(.*)"', request.query["filter"])
        assert wanted
        found = [self.version(model, "default") for model in self.models]
        return {"models": [version for version in found if version["displayName"] == wanted[1]]}

    def _list_versions(self, match: Any, request: Request) -> Any:
        wanted = re.fullmatch('labels.run="(.*)"', request.query["filter"])
        assert wanted
        return {"models": [v for v in self.models[match[1]] if v.get("labels", {}).get("run") == wanted[1]]}

    def _get(self, match: Any, _: Request) -> Any:
        return self.version(match[1], match[2] or "default")
