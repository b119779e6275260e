"""Steps as containers of the local Docker engine, each in its own image.

Folders have the same paths inside as outside. A step may write the run's folder and a temporary one, and read what the
user named; its root file system is read-only. It runs as the caller, so the caller owns what it leaves.
KFP's own wait asks for the exit code of a container that Docker is already deleting, and takes "not found" for success
(kubeflow/pipelines#13332). Here the container stays until its exit code has been read.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from bigbird.errors import InputError
from pipelines.images import Images
from pipelines.targets.local import INTERRUPT_PATIENCE_S, Ended, Steps

# Google's libraries read the caller's credentials from the file that this variable names.
CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"


class Containers:
    """`Place` for steps that run in their images.

    Args:
        images: the image of each stage.
        inputs: files and folders that steps read; a checkpoint may be the beginning of its files' names.
        memory: the most memory of a step, as Docker writes it ("8g"); empty for the machine's.
        gpus: gives the steps all GPUs.
    """

    def __init__(self, images: Images, inputs: Iterable[Path] = (), *, memory: str = "", gpus: bool = False):
        self._images = images
        self._readable = sorted(set(_reachable(inputs)))
        self._memory, self._gpus = memory, gpus

    def check(self) -> None:
        """Finds the engine and the images; pulls those that a registry holds.

        Raises:
            InputError: no engine answers, an image is neither here nor in its registry, or `memory` is no size.
        """
        if self._memory and not re.fullmatch(r"[1-9][0-9]*[bkmg]?", self._memory):
            raise InputError(f"--memory {self._memory}: expected a number of bytes, or one with k, m or g, such as 8g")
        with _engine() as client:
            for image in dict.fromkeys(self._images.as_dict().values()):
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
            init=True,
            read_only=True,
            security_opt=["no-new-privileges", *(["label=disable"] if selinux else [])],
            device_requests=[DeviceRequest(count=-1, capabilities=[["gpu"]])] if self._gpus else None,
            mem_limit=self._memory or None,
            memswap_limit=self._memory or None,  # memory and swap together: none is swapped
        )

    def replacements(self, steps: Steps) -> Sequence[tuple[Any, str, Any]]:
        from kfp.local import docker_task_handler

        mounts = {str(path): {"bind": str(path), "mode": "ro"} for path in self._readable}
        mounts |= {str(path): {"bind": str(path), "mode": "rw"} for path in (steps.run.folder, steps.scratch)}

        def run_docker_container(client: Any, image: str, command: list[str], **arguments: Any) -> int:
            env_vars = arguments.pop("environment", None)
            arguments["volumes"] = mounts  # KFP would mount the folder of all runs
            return steps.start(command, env_vars, partial(_execute, client, image, arguments))

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


def _find(client: Any, image: str) -> None:
    from docker.errors import APIError, ImageNotFound

    try:
        client.images.get(image)
    except ImageNotFound:
        if "/" not in image:  # no registry to ask
            raise InputError(
                f"image {image}: not in the local engine; `make images` builds it from this code"
            ) from None
        sys.stderr.write(f"pulling {image}\n")
        try:
            client.images.pull(image)
        except APIError as error:
            raise InputError(f"image {image}: cannot be pulled ({_told(error)})") from None


def _reachable(inputs: Iterable[Path]) -> Iterator[Path]:
    """What to mount so that `inputs` can be read: them, and where links directly inside them lead."""
    for path in inputs:
        found = path if path.exists() else path.parent
        yield found
        for inner in found.iterdir() if found.is_dir() else (found,):
            if inner.is_symlink() and inner.exists():
                yield inner.resolve()


def _execute(
    client: Any,
    image: str,
    arguments: Mapping[str, Any],
    command: Sequence[str],
    environment: Mapping[str, str],
    log: BinaryIO,
) -> Ended:
    """Runs a step in a container: its stderr goes to the terminal as it comes, all its output into its log."""
    from docker.errors import DockerException

    volumes = dict(arguments["volumes"])
    credentials = os.environ.get(CREDENTIALS)
    if credentials and Path(credentials).is_file():
        volumes[credentials] = {"bind": credentials, "mode": "ro"}
        environment = {**environment, CREDENTIALS: credentials}
    try:
        container = client.containers.create(
            image, _without_shell(command), **{**arguments, "environment": environment, "volumes": volumes}
        )
    except DockerException as error:
        return Ended(1, f"its container could not be made ({_told(error)})")
    try:
        output = container.attach(stream=True, demux=True)  # before the start, so that nothing is missed
        copying = threading.Thread(target=_copy, args=(output, log), daemon=True)
        copying.start()
        try:
            container.start()
        except DockerException as error:
            output.close()
            return Ended(1, f"its container could not be started ({_told(error)})")
        try:
            container.wait(timeout=None)
        except BaseException:
            _stop(container)
            raise
        finally:
            copying.join(timeout=INTERRUPT_PATIENCE_S)  # its output ends with the container
        container.reload()
        state = container.attrs["State"]
        if state["OOMKilled"]:
            return Ended(state["ExitCode"] or 137, "its container ran out of memory")
        return Ended(state["ExitCode"], state["Error"])
    finally:
        container.remove(force=True, v=True)


def _told(error: Exception) -> str:
    """The engine's own words, without the address of its socket."""
    return str(getattr(error, "explanation", None) or error)


def _copy(output: Iterable[tuple[bytes | None, bytes | None]], log: BinaryIO) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for out, err in output:
        log.write((out or b"") + (err or b""))
        log.flush()
        if err:
            sys.stderr.write(decoder.decode(err))
            sys.stderr.flush()


def _without_shell(command: Sequence[str]) -> list[str]:
    """KFP's command with Python in the place of the shell that starts it, so that signals and exit codes are the step's."""
    command = list(command)
    if "-ec" in command:
        shell_line = command.index("-ec") + 1
        command[shell_line] = command[shell_line].replace("python3 -m", "exec python3 -m")
    return command


def _stop(container: Any) -> None:
    """Interrupts a step, waits for it to tidy up, and ends it."""
    import requests
    from docker.errors import APIError

    for number, patience in (("SIGINT", INTERRUPT_PATIENCE_S), ("SIGKILL", INTERRUPT_PATIENCE_S)):
        with contextlib.suppress(APIError):  # it has ended by itself
            container.kill(signal=number)
        with contextlib.suppress(requests.exceptions.RequestException, KeyboardInterrupt):
            container.wait(timeout=patience)
            return
