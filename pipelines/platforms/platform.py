"""What a platform answers: everything about a run that depends on where it runs. Commands and pipeline ask it, and know none by name.

A `LocalPlatform` runs the steps on this machine, for `bigbird run`. A `RemotePlatform` takes a compiled pipeline, for
`bigbird compile`, `submit` and `schedule`. `bigbird doctor` checks either.
"""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from bigbird.support.errors import InputError
from bigbird_pipelines.files import RemoteFiles
from bigbird_pipelines.images import Backend, Images
from bigbird_pipelines.machines import MACHINES, Machine, Strategy, check_backend
from bigbird_pipelines.own_tables import Names
from bigbird_pipelines.parameters import Files
from bigbird_pipelines.team_settings import TeamSettings

if TYPE_CHECKING:
    from bigbird_pipelines.platforms.local_steps import Place
    from bigbird_pipelines.platforms.prediction import PredictionService
    from bigbird_pipelines.platforms.service import PipelineService
    from bigbird_pipelines.platforms.target import Target


@dataclass(frozen=True)
class Finding:
    """The outcome of a check of `bigbird doctor`.

    Attributes:
        check: what was looked at.
        good: whether it is as it should be; None where it could not be found out.
        detail: what was found.
        remedy: what to do, where it is not good.
    """

    check: str
    good: bool | None
    detail: str
    remedy: str = ""


class Platform(ABC):
    """A place where pipelines run.

    Attributes:
        name: what `--target` takes.
        title: what people call it, inside a sentence.
        requirements: distributions that must be installed to speak to it, by the names that pip takes.
        options: options of its own, by the names of their parameters: click's decorators. Empty where they are not given.
        examples: command -> lines for the end of its help.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    requirements: ClassVar[Sequence[str]] = ()
    options: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    examples: ClassVar[Mapping[str, Sequence[str]]] = {}

    def check_installed(self) -> None:
        """Raises `InputError` unless `requirements` are installed in this environment."""
        absent = [name for name in self.requirements if not _is_installed(name)]
        if absent:
            raise InputError(
                f"--target {self.name}: not installed in this environment: {', '.join(absent)}; pip install {' '.join(absent)}"
            )


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


class LocalPlatform(Platform):
    """Runs the steps on this machine: `bigbird run --NAME`, the first of them without a flag.

    Attributes:
        flag_help: what the flag does.
        about: what `options` are about, as in "it is about containers".
    """

    flag_help: ClassVar[str] = ""
    about: ClassVar[str] = ""

    @abstractmethod
    def place(
        self, inputs: Sequence[Path], backend: Backend, options: Mapping[str, Any]
    ) -> tuple[Place, Images | None]:
        """Where the steps of a run run.

        Args:
            inputs: absolute paths of the files and folders that steps read.
            backend: what trains.
            options: this platform's own, as its decorators give them; of a run that goes on as JSON keeps them, a path as text.

        Returns:
            The place, and the images that steps run in; None where they run in this Python environment.

        Raises:
            InputError: an option cannot be used.
        """

    @abstractmethod
    def checks(self, settings: TeamSettings) -> Iterator[Finding]:
        """What `bigbird doctor` finds, one by one. What cannot be looked at is a finding too: nothing is raised."""


class RunFiles(Files, Names, Protocol):
    """A run's files where a platform's steps can read them."""

    @property
    def warnings(self) -> Sequence[str]:
        """About what was not there yet."""


class RemotePlatform(Platform):
    """Takes a compiled pipeline and runs it there.

    Attributes:
        machines: what training may run on there, by the names of `--machine`.
        default_machine: one of them.
        registers: whether it has a registry of models.
        recurring: what schedules are called there, inside a sentence.
        time_zones: whether a schedule may have a time zone of its own.
        catches_up: the command at which is chosen whether a schedule makes up for missed runs.
        elsewhere: own option -> what to do where it is given for another platform, whose title follows.
        predicts: whether it answers tables with registered models.
        no_registry: why `registry:NAME` names no weights there, where it has no registry.
    """

    machines: ClassVar[Mapping[str, Machine]] = MACHINES
    default_machine: ClassVar[str]
    registers: ClassVar[bool] = False
    predicts: ClassVar[bool] = False
    recurring: ClassVar[str]
    time_zones: ClassVar[bool] = True
    catches_up: ClassVar[Literal["create", "resume"]] = "create"
    elsewhere: ClassVar[Mapping[str, str]] = {}
    no_registry: ClassVar[str] = "there is no registry of models on this target; expected a path"

    @abstractmethod
    def target(self, placement: Placement, images: Images, settings: TeamSettings) -> Target:
        """What running there adds to the pipeline.

        Args:
            placement: with a platform that is this one.
            images: what the steps run in.
            settings: of the team.

        Raises:
            InputError: settings are missing, or options contradict each other.
        """

    @abstractmethod
    def service(self, settings: TeamSettings) -> PipelineService:
        """What runs and schedules are sent to and asked of.

        Raises:
            InputError: settings are missing.
        """

    @abstractmethod
    def checks(self, placement: Placement, settings: TeamSettings) -> Iterator[Finding]:
        """What `bigbird doctor` finds, one by one. What cannot be looked at is a finding too: nothing is raised.

        Args:
            placement: where a run is to go; its platform is this one.
            settings: of the team.
        """

    def prediction(self, settings: TeamSettings) -> PredictionService:
        """What answers tables with registered models; where `predicts` is set.

        Raises:
            InputError: settings are missing, or the platform answers none.
        """
        raise InputError(f"--target {self.name}: answers no tables; answer here, without --target")

    def request_fields(self, settings: TeamSettings) -> dict[str, Any]:
        """Which `pipeline_root`, `service_account` and `network` a `Request` has, of the settings.

        Raises:
            InputError: settings are missing.
        """
        del settings
        return {}

    def warnings(self, settings: TeamSettings) -> list[str]:
        """What the settings ask for and is not done there."""
        del settings
        return []

    def files(self, settings: TeamSettings, day: datetime.datetime, later: bool) -> RunFiles:
        """Looks up the files that a run names; in Cloud Storage, unless steps there see others.

        Args:
            settings: of the team.
            day: for which `{date}` in a path is looked up.
            later: whether runs start later, as a schedule's do.
        """
        registered = (lambda name: self.has_model(name, settings)) if self.registers else None
        return RemoteFiles(settings, day, registered, later, self.no_registry)

    def has_model(self, name: str, settings: TeamSettings) -> bool:
        """Whether the registry holds a model of a name that a run of this project registered; where `registers` is set.

        Raises:
            InputError: the platform cannot tell.
        """
        raise InputError(
            f"registry:{name}: --target {self.name} registers models and cannot look one up, as it has no has_model; expected a path"
        )


@dataclass(frozen=True)
class Placement:
    """Where a pipeline is to run.

    Attributes:
        platform: where.
        machine: what training runs on; the platform's default where None.
        backend: what trains; the machine's default where None.
        strategy: how it is lent; its usual way where None.
        timeout_hours: after which training is stopped.
        max_wait_hours: for a machine to become free, with flex-start.
        options: the platform's own.
    """

    platform: RemotePlatform
    machine: str | None = None
    backend: Backend | None = None
    strategy: Strategy | None = None
    timeout_hours: float = 24.0
    max_wait_hours: float = 24.0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def machine_name(self) -> str:
        """The machine's name."""
        return self.machine or self.platform.default_machine

    @property
    def profile(self) -> Machine:
        """The machine."""
        return self.platform.machines[self.machine_name]

    @property
    def train_image(self) -> str:
        """The training image's name.

        Raises:
            InputError: the backend cannot train on the machine.
        """
        return self.profile.image(check_backend(self.machine_name, self.backend, self.platform.machines))
