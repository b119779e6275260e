"""The checks of `bigbird doctor` for Vertex AI: settings, credentials, APIs, roles, bucket, images and quota."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from bigbird.support.errors import InputError, ServiceError
from bigbird_pipelines.images import images_from, push_command
from bigbird_pipelines.machines import check_strategy
from bigbird_pipelines.platforms.platform import Finding, Placement
from bigbird_pipelines.platforms.vertex.client import address, session
from bigbird_pipelines.team_settings import TeamSettings, require

_TIMEOUT_S = 30.0
# What a user who submits, schedules and registers does there; roles/aiplatform.user has all of them.
_PERMISSIONS = (
    "aiplatform.pipelineJobs.create", "aiplatform.pipelineJobs.get", "aiplatform.schedules.create", "aiplatform.schedules.update",
    "aiplatform.schedules.delete", "aiplatform.customJobs.create", "aiplatform.models.upload",
)  # fmt: skip
_OBJECT_PERMISSIONS = (
    "storage.objects.create",
    "storage.objects.delete",
    "storage.objects.get",
    "storage.objects.list",
)
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"
)


def checks(placement: Placement, settings: TeamSettings) -> Iterator[Finding]:
    """What a run would need, one by one."""
    try:
        require(settings, "project", "region", "bucket")
    except InputError as error:
        yield Finding("settings", False, str(error), "bigbird.toml holds them for good: [bigbird], then project = …")
        return
    yield Finding("settings", True, f"project {settings.project}, region {settings.region}, bucket {settings.bucket}")
    try:
        cloud = _Cloud(settings)
    except ServiceError as error:
        yield Finding("credentials", False, str(error), "gcloud auth application-default login")
        return
    yield Finding("credentials", True, "found")
    checks: list[Callable[[], Iterator[Finding]]] = [
        lambda: _apis(cloud, settings, placement),
        lambda: _roles(cloud, settings),
        lambda: _service_account(cloud, settings),
        lambda: _bucket(cloud, settings),
        lambda: _images(cloud, settings, placement),
        lambda: _quota(cloud, settings, placement),
    ]
    for check in checks:
        yield from check()


class _Cloud:
    """Google's REST services, without an exception for a refusal."""

    def __init__(self, settings: TeamSettings):
        from google.auth.exceptions import GoogleAuthError

        self._settings = settings
        try:
            self._session = session(settings)
        except GoogleAuthError as error:
            raise ServiceError(str(error)) from None

    def __call__(self, service: str, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Asks a service; (status, JSON or text), status 0 where it cannot be reached."""
        import requests
        from google.auth.exceptions import GoogleAuthError

        base = service if "://" in service else address(self._settings, service)
        try:
            answer = self._session.request(method, f"{base}{path}", timeout=_TIMEOUT_S, **more)
        except (requests.RequestException, GoogleAuthError) as error:
            return 0, f"cannot be reached ({type(error).__name__}: {error})"
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, answer.text[:200]


def _said(status: int, answer: Any) -> str:
    """A refusal in words."""
    message = answer.get("error", {}).get("message", "") if isinstance(answer, dict) else str(answer)
    return f"{status} {message}".strip() if status else str(message)


def _apis(cloud: _Cloud, settings: TeamSettings, placement: Placement) -> Iterator[Finding]:
    wanted = ["aiplatform", "storage", "artifactregistry", *(["dataflow"] if placement.options["dataflow"] else [])]
    if settings.notify_webhook:
        wanted.append("secretmanager")
    names = [f"projects/{settings.project}/services/{name}.googleapis.com" for name in wanted]
    status, answer = cloud(
        "serviceusage", "GET", f"/v1/projects/{settings.project}/services:batchGet", params={"names": names}
    )
    if status != 200:
        yield Finding(
            "APIs", None, _said(status, answer), "ask for roles/serviceusage.serviceUsageViewer to have this checked"
        )
        return
    states = {service["name"].rpartition("/")[2]: service.get("state") for service in answer.get("services", [])}
    off = [f"{name}.googleapis.com" for name in wanted if states.get(f"{name}.googleapis.com") != "ENABLED"]
    yield Finding(
        "APIs",
        not off,
        f"off: {', '.join(off)}" if off else f"{', '.join(wanted)} are on",
        f"gcloud services enable {' '.join(off)} --project {settings.project}",
    )


def _roles(cloud: _Cloud, settings: TeamSettings) -> Iterator[Finding]:
    status, answer = cloud(
        "cloudresourcemanager",
        "POST",
        f"/v1/projects/{settings.project}:testIamPermissions",
        json={"permissions": list(_PERMISSIONS)},
    )
    if status != 200:
        yield Finding(
            "your roles", None if status in (0, 403) else False, _said(status, answer), "is the project's id right?"
        )
        return
    absent = sorted(set(_PERMISSIONS) - set(answer.get("permissions", [])))
    yield Finding(
        "your roles",
        not absent,
        f"you lack {', '.join(absent)}" if absent else "you may submit, schedule and register",
        f"gcloud projects add-iam-policy-binding {settings.project} --member user:YOU --role roles/aiplatform.user",
    )


def _service_account(cloud: _Cloud, settings: TeamSettings) -> Iterator[Finding]:
    account = settings.service_account
    if not account:
        yield Finding(
            "service account",
            None,
            "none is set, so steps run as Compute Engine's default service account, which may have more rights than they need",
            "create one with the roles in docs/reference/cloud.md and set service_account",
        )
        return
    path = f"/v1/projects/-/serviceAccounts/{account}:testIamPermissions"
    status, answer = cloud("iam", "POST", path, json={"permissions": ["iam.serviceAccounts.actAs"]})
    allowed = status == 200 and "iam.serviceAccounts.actAs" in answer.get("permissions", [])
    detail = f"you may let steps run as {account}" if allowed else f"you may not let steps run as {account}"
    yield Finding(
        "service account",
        allowed,
        detail if status == 200 else f"{account}: {_said(status, answer)}",
        f"gcloud iam service-accounts add-iam-policy-binding {account} --member user:YOU --role roles/iam.serviceAccountUser",
    )


def _bucket(cloud: _Cloud, settings: TeamSettings) -> Iterator[Finding]:
    name = settings.bucket.split("/")[2]
    storage = _storage_address(settings)
    status, answer = cloud(
        storage, "GET", f"/storage/v1/b/{name}/iam/testPermissions", params={"permissions": list(_OBJECT_PERMISSIONS)}
    )
    if status == 404:
        remedy = f"gcloud storage buckets create gs://{name} --location {settings.region} --project {settings.project}"
        yield Finding("bucket", False, f"gs://{name}: there is none", remedy)
        return
    if status != 200:
        yield Finding(
            "bucket", False if status == 403 else None, f"gs://{name}: {_said(status, answer)}", "is its name right?"
        )
        return
    absent = sorted(set(_OBJECT_PERMISSIONS) - set(answer.get("permissions", [])))
    yield Finding(
        "bucket",
        not absent,
        f"gs://{name}: you lack {', '.join(absent)}" if absent else f"gs://{name}: you may read and write",
        f"gcloud storage buckets add-iam-policy-binding gs://{name} --member user:YOU --role roles/storage.objectUser",
    )
    status, answer = cloud(storage, "GET", f"/storage/v1/b/{name}", params={"fields": "location"})
    if status == 200:
        location = str(answer.get("location", "")).lower()
        good = location == settings.region or "-" not in location  # a multi-region, as eu
        yield Finding(
            "bucket's place",
            True if good else None,
            f"{location}; runs are in {settings.region}",
            "reading across regions costs time and money; use a bucket in the region",
        )


def _storage_address(settings: TeamSettings) -> str:
    plain = settings.api_endpoint.startswith("http://")
    return (
        settings.api_endpoint if plain else os.environ.get("STORAGE_EMULATOR_HOST") or "https://storage.googleapis.com"
    )


def _images(cloud: _Cloud, settings: TeamSettings, placement: Placement) -> Iterator[Finding]:
    without = () if placement.options["dataflow"] else ("preprocess_dataflow",)
    push = f"{push_command(placement.train_image, without=without)}, then --images build/images.json"
    try:
        images = images_from(settings, placement.train_image)
    except InputError as error:
        yield Finding("images", False, str(error), push)
        return
    for stage, image in images.as_dict().items():
        if stage not in without:
            yield _image(cloud, settings, stage, image, push)


def _image(cloud: _Cloud, settings: TeamSettings, stage: str, image: str, push: str) -> Finding:
    check = f"image {stage.replace('_', '-')}"
    if not image:
        return Finding(check, False, "is not named in the file of images", push)
    if "/" not in image:
        return Finding(check, False, f"{image}: lies on this machine, where Vertex AI cannot see it", push)
    host, _, path = image.partition("/")
    if not host.endswith("-docker.pkg.dev"):
        return Finding(check, None, f"{image}: lies in no Artifact Registry, so it is not looked up", push)
    tagged, _, digest = path.partition("@")
    name, _, tag = tagged.partition(":")
    reference = digest or tag
    if not reference:
        return Finding(check, False, f"{image}: names no tag or digest, so it may be other code tomorrow", push)
    base = settings.api_endpoint if settings.api_endpoint.startswith("http://") else f"https://{host}"
    status, answer = cloud(
        base, "GET", f"/v2/{name}/manifests/{quote(reference, safe=':')}", headers={"Accept": _MANIFESTS}
    )
    if status == 200:
        return Finding(check, True, image)
    if status == 404:
        return Finding(check, False, f"{image}: is not there", push)
    return Finding(
        check,
        False if status in (401, 403) else None,
        f"{image}: {_said(status, answer)}",
        "roles/artifactregistry.reader on the repository",
    )


def _quota(cloud: _Cloud, settings: TeamSettings, placement: Placement) -> Iterator[Finding]:
    machine = placement.profile
    metric = machine.quota_metric(
        check_strategy(placement.machine_name, placement.strategy, placement.platform.machines)
    )
    path = f"/v1beta1/projects/{settings.project}/services/aiplatform.googleapis.com/consumerQuotaMetrics/{quote(metric, safe='')}"
    status, answer = cloud("serviceusage", "GET", path, params={"view": "FULL"})
    check, ask = (
        f"quota for {placement.machine_name}",
        "ask for more at https://console.cloud.google.com/iam-admin/quotas",
    )
    if status != 200:
        yield Finding(check, None, f"{metric}: {_said(status, answer)}", f"look for it at {ask.rpartition(' ')[2]}")
        return
    limit = _limit(answer, settings.region)
    if limit is None:
        yield Finding(
            check,
            None,
            f"{metric}: has no limit that names {settings.region}",
            f"look for it at {ask.rpartition(' ')[2]}",
        )
        return
    enough = limit < 0 or limit >= machine.quota_units
    shown = "no limit" if limit < 0 else f"{limit} in {settings.region}"
    yield Finding(
        check,
        enough,
        f"{metric}: {shown}; a run takes {machine.quota_units}",
        f"{ask}, or take another --machine or --strategy",
    )


def _limit(answer: Any, region: str) -> int | None:
    """The limit for a region: its own bucket's, else the one for all; -1 is none."""
    general = None
    for limit in answer.get("consumerQuotaLimits", []):
        for bucket in limit.get("quotaBuckets", []):
            dimensions = bucket.get("dimensions") or {}
            value = int(bucket.get("effectiveLimit", 0))
            if dimensions.get("region") == region:
                return value
            if not dimensions:
                general = value
    return general
