"""Apache Beam's options, and its runner on this machine, as the steps that use Beam have them."""

from __future__ import annotations

import contextlib
import difflib
import io
import logging
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from bigbird.support.commands import explained
from bigbird.support.errors import InputError, ServiceError

_log = logging.getLogger(__name__)

_LOCAL = ("directrunner", "fnapirunner")
# Where workers of a portable runner run that see this machine's files.
_ENVIRONMENTS_HERE = ("LOOPBACK", "PROCESS")
_LONGEST_FAILURE = 400  # characters of a runner's error that a message shows


def parse_options(flags: Sequence[str] | str, own: Sequence[str] = ()) -> Any:
    """Beam's PipelineOptions.

    Args:
        flags: `--name=value`, `--name value` or `--name`; or all of them in one string, quoted as in a shell.
        own: the command's own options, with underscores, to suggest where one is misspelt.

    Raises:
        InputError: a flag that neither this command nor Beam knows, or a value that Beam does not take.
    """
    if isinstance(flags, str):
        try:
            flags = shlex.split(flags)
        except ValueError as error:
            raise InputError(
                f"Beam's options {flags!r} cannot be told apart: {error}; expected --name=value, quoted as in a shell"
            ) from None
    for i, flag in enumerate(flags):
        if not flag.startswith("--") and (i == 0 or not flags[i - 1].startswith("--") or "=" in flags[i - 1]):
            raise InputError(f"{flag!r} is no option; expected --name=value. See --help")
    complaint = io.StringIO()
    logging.disable(logging.WARNING)  # Beam warns of Google Cloud parts that are not installed and of unknown options
    try:
        from apache_beam.options.pipeline_options import PipelineOptions

        with contextlib.redirect_stderr(complaint):
            options = PipelineOptions(list(flags))
            known = options.get_all_options()
            given = options.get_all_options(drop_default=True, retain_unknown_options=True)
    except SystemExit:
        raise InputError(f"Beam refuses its options: {complaint.getvalue().strip().rpartition('error: ')[2]}") from None
    finally:
        logging.disable(logging.NOTSET)
    for name in sorted(set(given) - set(known)):
        close = difflib.get_close_matches(name, [*known, *own], n=1)
        hint = f"; did you mean --{close[0].replace('_', '-') if close[0] in own else close[0]}?" if close else "."
        raise InputError(f"--{name}: neither this command nor Apache Beam has this option{hint} See --help")
    _check_values(options)
    return options


def _check_values(options: Any) -> None:
    """Refuses values that Beam itself takes for granted."""
    from apache_beam.options.pipeline_options import DirectOptions, StandardOptions

    workers = options.view_as(DirectOptions).direct_num_workers
    if workers is not None and workers < 0:
        raise InputError(f"--direct_num_workers={workers}: expected 1 or more, or 0 for one per processor")
    runner = options.view_as(StandardOptions).runner
    known = {name.lower(): name for name in StandardOptions.KNOWN_RUNNER_NAMES}
    if runner and "." not in runner and runner.lower() not in known:
        close = difflib.get_close_matches(runner.lower(), known, n=1)
        hint = f"did you mean {known[close[0]]}?" if close else f"expected one of {', '.join(known.values())}"
        raise InputError(f"--runner={runner}: no runner of Apache Beam; {hint}")


def is_local(options: Any) -> bool:
    """Whether the runner works in this machine's file system."""
    from apache_beam.options.pipeline_options import StandardOptions

    return (options.view_as(StandardOptions).runner or "DirectRunner").lower() in _LOCAL


def sees_this_machine(options: Any) -> bool:
    """Whether the runner's workers see this machine's files."""
    from apache_beam.options.pipeline_options import PortableOptions

    return is_local(options) or options.view_as(PortableOptions).environment_type in _ENVIRONMENTS_HERE


def local_runner(options: Any, *, processes: bool) -> Any:
    """Beam's own Python runner. DirectRunner may fetch another runner's binary and start it.

    Args:
        options: Beam's.
        processes: whether its workers may be processes, where the options say so; else all is done in this one.
    """
    from apache_beam.options.pipeline_options import DirectOptions
    from apache_beam.portability.api import beam_provision_api_pb2
    from apache_beam.runners.portability.fn_api_runner import fn_runner
    from apache_beam.runners.portability.portable_runner import JobServiceHandle

    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode == "multi_processing" and not processes:
        direct.direct_running_mode, direct.direct_num_workers = "in_memory", 1
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    provision = beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
    return fn_runner.FnApiRunner(provision_info=fn_runner.ExtendedProvisionInfo(provision))


@contextlib.contextmanager
def told_failures(options: Any) -> Iterator[None]:
    """Tells in one message why a runner could not be started or failed; those of this process raise what they raise.

    Raises:
        ServiceError: what another runner says.
    """
    from apache_beam.options.pipeline_options import StandardOptions

    try:
        yield
    except Exception as error:
        if is_local(options) or explained(error) is not None:
            raise
        _log.debug("the runner's error", exc_info=True)
        said = " ".join(str(error).split())[:_LONGEST_FAILURE] or type(error).__name__
        raise ServiceError(
            f"--runner={options.view_as(StandardOptions).runner}: could not run the pipeline ({said}); see the runner's own log, or "
            "pass --verbose for the traceback"
        ) from error


@contextlib.contextmanager
def quiet_beam() -> Iterator[None]:
    """Keeps Beam's notes off the terminal; its errors still show."""
    logger = logging.getLogger("apache_beam")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
