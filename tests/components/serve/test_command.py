"""Options that cannot be, and what cannot be served, are refused before anything is loaded."""

import re
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from bigbird_components.serve.__main__ import main

DOCKERFILE = Path(__file__).parents[3] / "docker" / "Dockerfile"


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {}, "Missing option '--model' (env var: 'AIP_STORAGE_URI')"),
        (["--model", "m", "--predict-route", "predict"], {}, "'predict' is no path; expected for example /predict"),
        (["--model", "m"], {"AIP_HEALTH_ROUTE": "/{x}"}, "'/{x}' is no path; expected for example /health"),
        (["--model", "m"], {"AIP_HTTP_PORT": "http"}, "'http' is not a valid integer"),
        (["--model", "m", "--health-route", "/predict"], {}, "--health-route and --predict-route are the same"),
        (["--model", "m", "--max-queue", "9"], {}, "--max-instances is above --max-queue"),
        (["--model", "m", "--max-connections", "0"], {}, "'--max-connections': 0 is not in the range"),
        (["--model", "m", "--header-s", "0"], {}, "'--header-s': 0.0 is not in the range"),
        (["--model", "m", "--max-batch", "0"], {}, "'--max-batch': 0 is not in the range"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(arguments, environment, message):
    result = CliRunner().invoke(main, arguments, env=environment)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_what_cannot_be_served_is_one_message_and_code_2(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for model, port, message in (
            ("absent", 0, "no such folder"),
            ("model", 0, "it is a model folder"),
            ("absent", taken.getsockname()[1], "cannot be listened on (Address already in use)"),
        ):
            result = CliRunner().invoke(main, ["--model", str(tmp_path / model), "--port", str(port)])
            assert result.exit_code == 2 and message in result.stderr
            assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


def test_by_hand_it_listens_on_this_machine_alone_and_in_the_image_on_every_interface():
    (host,) = (option for option in main.params if option.name == "host")
    assert (host.default, host.envvar) == ("127.0.0.1", "BIGBIRD_HOST")
    stages = re.split(r"^FROM ", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (serve,) = (stage for stage in stages if '["bigbird", "serve"]' in stage)
    assert "\nENV BIGBIRD_HOST=0.0.0.0\n" in serve
    assert not [stage for stage in stages if "BIGBIRD_HOST" in stage and stage != serve]


def test_help_names_the_variables():
    printed = CliRunner().invoke(main, ["--help"]).output
    for name in ("AIP_STORAGE_URI", "AIP_HTTP_PORT", "AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE"):
        assert name in printed
