"""Where `bigbird` finds the cloud: from flags, else environment variables, else a file, bigbird.toml.

[bigbird]
project = "my-project"
region = "europe-west4"
bucket = "gs://my-bucket/bigbird"
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict, TomlConfigSettingsSource

from bigbird.support.addresses import never_an_address
from bigbird.support.errors import InputError
from bigbird.support.text_files import cut, problem_list, read_text, shown
from bigbird_components.command_line import flag

FILE = Path("bigbird.toml")
_PREFIX = "BIGBIRD_"
_NO_SPACES = r'^[^\s"]*$'
ADDRESSES = ("host", "api_endpoint", "bucket", "pipeline_root")
"""The settings that may hold a name and a password before an @; shown without."""


class TeamSettings(BaseModel):
    """What is the same for all of a team's runs. Empty where nobody set it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: str = Field(
        "", pattern=r"^([a-z][a-z0-9:.-]{4,}[a-z0-9])?$", description="Id of a Google Cloud project, as my-project-123."
    )
    region: str = Field("", pattern=r"^([a-z]+-[a-z]+\d+)?$", description="Region of Vertex AI, as europe-west4.")
    bucket: str = Field(
        "",
        pattern=r'^([a-z][a-z0-9+.-]*://[^/\s"]+(/[^\s"]*)?)?$',
        description="Where runs keep their files, as gs://bucket/folder.",
    )
    service_account: str = Field("", description="Google Cloud's account that the steps run as.")
    kubernetes_service_account: str = Field("", description="Kubernetes' account that the steps run as, on Kubeflow.")
    pipeline_root: str = Field(
        "", pattern=_NO_SPACES, description="Where Kubeflow keeps a run's files; the installation's place by default."
    )
    network: str = Field(
        "",
        pattern=r"^(projects/[^/]+/global/networks/[^/]+)?$",
        description="VPC to peer with, as projects/NUMBER/global/networks/NAME.",
    )
    subnetwork: str = Field("", description="Subnetwork of Dataflow's workers, as regions/REGION/subnetworks/NAME.")
    images: str = Field("", description="File of `make push`: the images by digest.")
    image_prefix: str = Field("", description="Images are PREFIX-preprocess and so on, in place of a file.")
    image_tag: str = Field("", description="Tag of those images.")
    api_endpoint: str = Field(
        "", pattern=_NO_SPACES, description="Another address of Vertex AI's API, as Private Service Connect's."
    )
    host: str = Field(
        "", pattern=r'^(https?://[^\s"]+)?$', description="Address of Kubeflow Pipelines, as http://localhost:8080."
    )
    namespace: str = Field("", description="Kubernetes namespace, where Kubeflow has many users.")
    notify_emails: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Who gets a mail when a run ends; Vertex AI only."
    )
    notify_webhook: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_.-]*$",
        description="Secret that holds a webhook's address: of Secret Manager, or Kubernetes' (key: url).",
    )

    @field_validator("notify_emails", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """Flags and variables hold several addresses in one text."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value


class _Read(TeamSettings, BaseSettings):
    """The settings as pydantic-settings' sources look for them; never made itself."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True)


class _Environment(EnvSettingsSource):
    """Variables, spelled as we tell people to: in capitals."""

    def __init__(self, environment: Mapping[str, str]):
        self._environment = environment
        super().__init__(_Read)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        names = [name for name in map(environment_name, TeamSettings.model_fields) if name in self._environment]
        return {name.lower(): self._environment[name] for name in names}


class _File(TomlConfigSettingsSource):
    """bigbird.toml, whose one table is [bigbird]."""

    def _read_files(self, files: Any, deep_merge: bool = False) -> dict[str, Any]:
        """As it is, the source skips what is no plain file; a pipe may be named too, and a folder is a mistake."""
        return self._read_file(Path(files)) if Path(files).exists() else {}

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        text = read_text(file_path, "TOML in UTF-8 with a table [bigbird]")
        try:
            tree = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, lists in lists without end
            raise InputError(f"{file_path}: not TOML ({cut(error, 200)}); expected a table [bigbird]") from None
        table = tree.get("bigbird")
        if not isinstance(table, dict) or set(tree) != {"bigbird"}:
            found = cut(", ".join(tree), 200) or "nothing"
            raise InputError(f"{file_path}: holds {found}; expected one table, [bigbird]")
        return table


def environment_name(name: str) -> str:
    """The environment variable of a setting."""
    return f"{_PREFIX}{name.upper()}"


def load_settings(
    flags: Mapping[str, Any], *, file: Path | None = None, environment: Mapping[str, str] | None = None
) -> tuple[TeamSettings, dict[str, str]]:
    """Lays flags over environment variables over the file.

    Args:
        flags: setting -> value; None was not given, "" takes a setting back.
        file: in place of ./bigbird.toml, which may be absent.
        environment: in place of the process's.

    Returns:
        The settings, and for each that was given where from: `--region`, `BIGBIRD_REGION`, `bigbird.toml`.

    Raises:
        InputError: a value is not usable, or the file is not TOML or holds something else; names the source.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    if file is not None and not file.exists():
        raise InputError(f"--settings {file}: no such file")
    in_file = {name: value for name, value in _File(_Read, file or FILE)().items() if value}
    from_environment = _Environment(environment)()
    from_flags = {name: value for name, value in flags.items() if value is not None}
    # Laid over each other here: where a setting comes from is told, and naming the images in one way ends the other.
    for layer, source in (
        (in_file, dict.fromkeys(in_file, str(file or FILE))),
        (from_environment, {name: environment_name(name) for name in from_environment}),
        (from_flags, {name: flag(name) for name in from_flags}),
    ):
        if layer.keys() & {"image_prefix", "image_tag"}:  # another way to name the images
            values.pop("images", None)
        if layer.get("images"):
            values.pop("image_prefix", None)
            values.pop("image_tag", None)
        values |= layer
        sources |= {name: source[name] for name in layer}
    sources = {name: source for name, source in sources.items() if values.get(name)}
    try:
        return TeamSettings(**values), sources
    except ValidationError as error:
        problems = [_explain(problem, sources) for problem in error.errors()]
        raise InputError(problem_list(problems, "; ")) from None


def _explain(problem: Any, sources: Mapping[str, str]) -> str:
    name = cut(problem["loc"][0], 100)
    where = sources.get(name, name)
    if problem["type"] == "extra_forbidden":
        return f"{where}: {name}: no such setting; expected {', '.join(TeamSettings.model_fields)}"
    found = never_an_address(str(problem["input"])) if name in ADDRESSES else problem["input"]
    # A webhook's address is as good as a password.
    told = "no secret's name" if name == "notify_webhook" else shown(found)
    what = f"{where}: {name} is {told}"
    if problem["type"] == "string_pattern_mismatch":
        return f"{what}; expected: {_meaning(name)}"
    return f"{what}; {problem['msg']}"


def _meaning(name: str) -> str:
    """A setting's description, to stand inside a sentence."""
    return (TeamSettings.model_fields[name].description or "").removesuffix(".")


def require(settings: TeamSettings, *names: str) -> None:
    """Raises `InputError` where settings that a command needs were not given, and says how to give them."""
    absent = [name for name in names if not getattr(settings, name)]
    if absent:
        ways = "; ".join(
            f"{name} ({flag(name)}, {environment_name(name)}, or {name} in {FILE}): {_meaning(name)}" for name in absent
        )
        raise InputError(f"not set: {ways}")
