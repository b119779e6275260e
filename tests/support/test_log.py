import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bigbird.support.commands import run_command
from bigbird.support.errors import InputError
from bigbird.support.log import configure_logging, logging_environment
from bigbird.support.progress import Progress
from bigbird_components.command_line import Command

ROOT = Path(__file__).parents[2]
LOG = logging.getLogger("bigbird_components.some.module")


@pytest.fixture
def configured(monkeypatch):
    """Configures logging under some variables; undone at the end."""

    def configure(**variables):
        for name in ("BIGBIRD_LOG_LEVEL", "BIGBIRD_LOG_FORMAT", "KUBERNETES_SERVICE_HOST", "CLOUD_ML_JOB_ID"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        configure_logging()

    yield configure
    monkeypatch.undo()
    configure_logging()


def say_all():
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        LOG.log(level, "said")


@pytest.mark.parametrize(
    ("level", "lines"),
    [
        ("debug", ["debug: said", "said", "warning: said", "error: said"]),
        ("info", ["said", "warning: said", "error: said"]),
        ("warning", ["warning: said", "error: said"]),
        ("error", ["error: said"]),
    ],
)
def test_text_has_the_level_before_all_but_information(configured, capsys, level, lines):
    configured(BIGBIRD_LOG_LEVEL=level)
    say_all()
    assert capsys.readouterr() == ("", "".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize("variable", ["KUBERNETES_SERVICE_HOST", "CLOUD_ML_JOB_ID"])
def test_in_the_cloud_a_line_is_json_with_a_severity(configured, capsys, variable):
    configured(**{variable: "1"})
    LOG.warning("ünd")
    try:
        raise ValueError("why")
    except ValueError:
        LOG.exception("two\nlines")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["severity"], first["message"], first["logger"]) == (
        "WARNING",
        "ünd",
        "bigbird_components.some.module",
    )
    assert first["time"].endswith("+00:00")
    assert second["severity"] == "ERROR"
    assert second["message"].startswith("two\nlines\nTraceback") and second["message"].endswith("ValueError: why")
    configured(BIGBIRD_LOG_FORMAT="text", **{variable: "1"})
    LOG.warning("plain")
    assert capsys.readouterr().err == "warning: plain\n"


def test_progress_is_logged_where_there_is_no_terminal_and_not_when_quiet(configured, capsys):
    configured()
    progress = Progress("train", 10)
    progress.update(3, "loss 1.0", force=True)
    progress.finish("done")
    assert capsys.readouterr().err == "train 3/10  loss 1.0\ndone\n"
    configured(BIGBIRD_LOG_LEVEL="warning")
    progress.update(5, force=True)
    progress.finish("done")
    assert capsys.readouterr().err == ""


def test_every_command_can_be_quiet_or_verbose(configured, monkeypatch):
    configured()
    monkeypatch.setenv("BIGBIRD_LOG_LEVEL", "info")
    command = Command("try", callback=lambda: run_command(say_all))
    for options, lines in (([], 3), (["--quiet"], 2), (["-v"], 4)):
        os.environ["BIGBIRD_LOG_LEVEL"] = "info"
        result = CliRunner().invoke(command, options)
        assert (result.exit_code, len(result.stderr.splitlines())) == (0, lines)


def test_a_process_without_this_environment_is_given_what_is_set(configured):
    configured()
    assert logging_environment() == {}
    configured(BIGBIRD_LOG_LEVEL="debug", BIGBIRD_LOG_FORMAT="")
    assert logging_environment() == {"BIGBIRD_LOG_LEVEL": "debug"}


def test_a_variable_with_another_value_is_refused(configured):
    with pytest.raises(InputError, match="BIGBIRD_LOG_LEVEL is 'loud'; expected debug, info, warning, error"):
        configured(BIGBIRD_LOG_LEVEL="loud")


def test_whoever_imports_the_packages_hears_warnings_alone():
    code = "import logging; log = logging.getLogger('bigbird.x'); log.info('no'); log.warning('yes')"
    done = subprocess.run(
        [sys.executable, "-c", f"import bigbird.support.commands; {code}"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "model")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "yes\n"
