"""Options that cannot be are refused before anything is loaded."""

import re
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
