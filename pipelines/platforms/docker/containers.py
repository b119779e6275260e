"""Steps as containers of the local Docker engine, each in its own image.

Folders have the same paths inside as outside. A step may write the run's folder and a temporary one, and read what the
user named; its root file system is read-only. It runs as the caller, so the caller owns what it leaves.
KFP's own wait asks for the exit code of a container that Docker is already deleting, and takes "not found" for success
(kubeflow/pipelines#13332). Here the container stays until its exit code has been read.
"""

from __future__ import annotations

import codecs
import contextlib
import logging
import os
import re
import signal
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from bigbird.support.errors import InputError
from bigbird.support.log import logging_environment
from bigbird.support.safe_paths import resolved
from bigbird_pipelines.images import Images
from bigbird_pipelines.platforms.local_steps import INTERRUPT_PATIENCE_S, Ended, PipelineSteps, stop_step
from bigbird_pipelines.platforms.platform import Finding

_log = logging.getLogger(__name__)

# How the libraries that reach buckets are told of credentials and services, by the scheme of the buckets' addresses: variables,
# and files that variables name or that lie in the caller's home.
_ACCESS = {
    "gs": (
        re.compile(r"STORAGE_EMULATOR_HOST|GOOGLE_CLOUD_PROJECT"),
        {"GOOGLE_APPLICATION_CREDENTIALS": ".config/gcloud/application_default_credentials.json"},
    ),
    "s3": (
        re.compile(r"AWS_\w+"),
        {
            "AWS_SHARED_CREDENTIALS_FILE": ".aws/credentials",
            "AWS_CONFIG_FILE": ".aws/config",
            "AWS_WEB_IDENTITY_TOKEN_FILE": "",
            "AWS_CA_BUNDLE": "",
        },
    ),
}
RUN_LABEL = "bigbird.run"  # on each container: the run's folder, to find what outlives a killed `bigbird run`


class Containers:
    """`Place` for steps that run in their images.

    Args:
        images: the image of each stage.
        inputs: absolute paths of the files and folders that steps read.
        memory: the most memory of a step, as Docker writes it ("8g"); empty for the machine's.
        gpus: gives the steps all GPUs.

    Raises:
        InputError: an input cannot be read, or `memory` is no size.
    """

    def __init__(self, images: Images, inputs: Iterable[Path] = (), *, memory: str = "", gpus: bool = False):
        if memory and not re.fullmatch(r"[1-9][0-9]*[bkmg]?", memory):
            raise InputError(f"--memory {memory}: expected a number of bytes, or one with k, m or g, such as 8g")
        self._images, self._memory, self._gpus = images, memory, gpus
        try:
            self._readable = sorted({place for path in inputs for place in _reachable(path)})
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from None

    def check(self) -> None:
        """Finds the engine and the images; pulls those that a registry holds.

        Raises:
            InputError: no engine answers, or an image is neither here nor in its registry.
        """
        with _engine() as client:
            for image in dict.fromkeys(self._images.of_a_run_here().values()):
                _find(client, image)

    def runner(self) -> Any:
        from docker.types import DeviceRequest
        from kfp import local

        with _engine() as client:
            options = client.info().get("SecurityOptions") or []
        rootless = any("name=rootless" in option for option in options)  # there the container's root is the caller
        selinux = any("name=selinux" in option for option in options)
        return local.DockerRunner(
            entrypoint=[],  # the image's own starts the stage by hand
            user=None if rootless else f"{os.getuid()}:{os.getgid()}",
            group_add=None if rootless else os.getgroups(),
            init=True,
            stdin_open=True,
            read_only=True,
            security_opt=["no-new-privileges", *(["label=disable"] if selinux else [])],
            device_requests=[DeviceRequest(count=-1, capabilities=[["gpu"]])] if self._gpus else None,
            mem_limit=self._memory or None,
            memswap_limit=self._memory or None,  # memory and swap together: none is swapped
        )

    def begin(self) -> None:
        """A container has nothing ready before its step."""

    def close(self) -> None:
        """Nothing is started for steps to come."""

    def replacements(self, steps: PipelineSteps) -> Sequence[tuple[Any, str, Any]]:
        from kfp.local import docker_task_handler

        ours = {
            "mounts": [
                *(_mount(path, read_only=True) for path in self._readable),
                *(_mount(path, read_only=False) for path in (steps.run.folder, steps.scratch)),
            ],
            "labels": {RUN_LABEL: str(steps.run.folder)},
        }

        def run_docker_container(
            client: Any, image: str, command: list[str], volumes: object = None, **arguments: Any
        ) -> int:
            del volumes  # KFP would mount the folder of all runs
            env_vars = arguments.pop("environment", None)
            return steps.start(command, env_vars, partial(_execute, client, image, arguments | ours), image)

        return ((docker_task_handler, "run_docker_container", run_docker_container),)


@contextlib.contextmanager
def _engine() -> Iterator[Any]:
    """A client of the local engine.

    Raises:
        InputError: the client is not installed, or no engine answers.
    """
    try:
        import docker
        from docker.errors import DockerException
    except ImportError:
        raise InputError("--docker needs the package docker; pip install docker, or `make install`") from None
    try:
        client = docker.from_env()
        client.ping()
    except (DockerException, OSError) as error:
        hint = "your user may not reach it: see `id`, group docker" if "ermission denied" in str(error) else "start it"
        raise InputError(f"--docker: no Docker engine answers ({error}); {hint}, or leave --docker out") from None
    try:
        yield client
    finally:
        client.close()


def engine_findings(images: Mapping[str, str]) -> Iterator[Finding]:
    """Whether an engine answers and has a run's images; none is pulled.

    Args:
        images: stage to image.
    """
    try:
        with _engine() as client:
            yield Finding("Docker engine", True, "answers")
            for stage, image in images.items():
                yield _look_for(client, stage, image)
    except InputError as error:
        yield Finding("Docker engine", False, str(error))


def _look_for(client: Any, stage: str, image: str) -> Finding:
    from docker.errors import DockerException, ImageNotFound

    check = f"image {stage.replace('_', '-')}"
    try:
        client.images.get(image)
    except ImageNotFound:
        if "/" in image:
            return Finding(check, None, f"{image}: not in the local engine", "a run pulls it from its registry")
        return Finding(check, False, f"{image}: not in the local engine", "make images builds those of this code")
    except DockerException as error:
        return Finding(check, False, f"{image}: the engine refuses the name ({_told(error)})")
    return Finding(check, True, image)


def _find(client: Any, image: str) -> None:
    from docker.errors import DockerException, ImageNotFound

    try:
        client.images.get(image)
    except ImageNotFound:
        if "/" not in image:  # no registry to ask
            raise InputError(
                f"image {image}: not in the local engine; `make images` builds those of this code, and "
                'IMAGES="train-gpu" the one for GPUs'
            ) from None
        _log.info(f"pulling {image}")
        try:
            client.images.pull(image)
        except DockerException as error:
            raise InputError(f"image {image}: cannot be pulled ({_told(error)})") from None
    except DockerException as error:
        raise InputError(f"image {image}: the engine refuses the name ({_told(error)})") from None


def _reachable(path: Path) -> Iterator[Path]:
    """What to mount so that a file, or a folder's files, can be read: also where links lead, as in a download cache.

    Raises:
        InputError: links lead in a circle.
    """
    yield path
    for place in path.iterdir() if path.is_dir() else (path,):
        if place.is_symlink():
            resolved(place)  # in a circle the walk below would have no end
        while place.is_symlink():
            target = place.parent.resolve() / place.readlink()
            place = target.parent.resolve() / target.name
            if place.exists():
                yield place


def _mount(path: Path, *, read_only: bool) -> Any:
    """The path itself at the same place inside; unlike `volumes` it may hold a colon, and must exist."""
    from docker.types import Mount

    return Mount(str(path), str(path), type="bind", read_only=read_only)


def _execute(
    client: Any,
    image: str,
    arguments: Mapping[str, Any],
    command: Sequence[str],
    environment: Mapping[str, str],
    log: BinaryIO,
) -> Ended:
    """Runs a step in a container: its stderr goes to the terminal as it comes, all its output into its log."""
    import requests
    from docker.errors import DockerException

    # An interruption reaches all processes of a step, not only the first.
    environment = {**logging_environment(), **environment, "TINI_KILL_PROCESS_GROUP": "1"}
    mounts = list(arguments["mounts"])
    access, files = _access_to_buckets(command)
    environment |= access
    mounts += [_mount(file, read_only=True) for file in files]
    name = f"bigbird-{uuid.uuid4().hex}"  # ours, so that it can be removed whatever the engine answered
    options = {**arguments, "name": name, "environment": environment, "mounts": mounts}
    try:
        with ThreadPoolExecutor(1) as making:  # left only once the engine has answered, also by an interruption
            container = making.submit(client.containers.create, image, _without_shell(command), **options).result()
        return _watch(container, log)
    except (DockerException, requests.exceptions.RequestException) as error:
        hint = f"should its container be left, docker ps --all --filter label={RUN_LABEL} lists it"
        return Ended(1, f"Docker failed: {_told(error)}; {hint}")
    finally:
        with contextlib.suppress(DockerException, requests.exceptions.RequestException):  # there may be none
            client.api.remove_container(name, force=True, v=True)


def _access_to_buckets(command: Sequence[str]) -> tuple[dict[str, str], list[Path]]:
    """What lets a step reach the buckets that its command names as the caller does: variables, and the files that these name, to be mounted.

    The engine is told them in the request that makes the container: they stand in no command line and in no log.
    """
    variables: dict[str, str] = {}
    places: set[Path] = set()
    for scheme, (names, usual_files) in _ACCESS.items():
        if not any(f"{scheme}://" in part for part in command):
            continue
        variables |= {
            name: value
            for name, value in os.environ.items()
            if value and names.fullmatch(name) and name not in usual_files
        }
        for name, usual in usual_files.items():
            given = os.environ.get(name) or (str(Path.home() / usual) if usual else "")
            if given and (file := Path(given).absolute()).is_file():
                variables[name] = str(file)
                places.add(file)
    return variables, sorted(places)


def _watch(container: Any, log: BinaryIO) -> Ended:
    """Starts a container and copies its output until it ends."""
    # The container's input stays open for as long as this process lives: see bigbird_components.lifeline.
    lifeline = container.attach_socket(params={"stdin": 1, "stream": 1})
    output = container.attach(stream=True, demux=True)  # before the start, so that nothing is missed
    copying = threading.Thread(target=_copy, args=(output, log), daemon=True)
    copying.start()
    try:
        container.start()
    except BaseException:
        output.close()
        lifeline.close()
        raise
    try:
        container.wait(timeout=None)
    except (KeyboardInterrupt, SystemExit) as error:
        _stop(container, error)
        raise
    finally:
        copying.join(timeout=INTERRUPT_PATIENCE_S)  # its output ends with the container
        lifeline.close()
    container.reload()
    state = container.attrs["State"]
    if state["OOMKilled"]:
        return Ended(state["ExitCode"] or 137, "its container ran out of memory")
    return Ended(state["ExitCode"], state["Error"])


def _told(error: Exception) -> str:
    """The engine's own words, without the address of its socket."""
    return str(getattr(error, "explanation", None) or error)


def _copy(output: Iterable[tuple[bytes | None, bytes | None]], log: BinaryIO) -> None:
    """Copies a step's output to its end. Where the disk is full or the terminal gone it is read all the same, or the step would wait."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for out, err in output:
        with contextlib.suppress(OSError):
            log.write((out or b"") + (err or b""))
            log.flush()
        with contextlib.suppress(OSError):
            sys.stderr.write(decoder.decode(err or b""))
            sys.stderr.flush()


def _without_shell(command: Sequence[str]) -> list[str]:
    """KFP's command with Python in the place of the shell that starts it, so that signals and exit codes are the step's."""
    command = list(command)
    if "-ec" in command:
        shell_line = command.index("-ec") + 1
        command[shell_line] = command[shell_line].replace("python3 -m", "exec python3 -m")
    return command


def _stop(container: Any, reason: BaseException) -> None:
    """Stops a step."""
    import requests
    from docker.errors import DockerException

    def send(number: signal.Signals) -> None:
        with contextlib.suppress(DockerException, requests.exceptions.RequestException):  # it has ended by itself
            container.kill(signal=number.name)

    def wait(seconds: float | None) -> bool:
        try:
            container.wait(timeout=seconds)
        except (DockerException, requests.exceptions.RequestException):
            return False  # it has not ended, or the engine cannot be asked
        return True

    stop_step(send, wait, reason)
