"""Options that cannot be are refused before anything is loaded."""

import pytest
from click.testing import CliRunner

from components.serve.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {}, "Missing option '--model' (env var: 'AIP_STORAGE_URI')"),
        (["--model", "m", "--predict-route", "predict"], {}, "'predict' is no path; expected for example /predict"),
        (["--model", "m"], {"AIP_HEALTH_ROUTE": "/{x}"}, "'/{x}' is no path; expected for example /health"),
        (["--model", "m"], {"AIP_HTTP_PORT": "http"}, "'http' is not a valid integer"),
        (["--model", "m", "--health-route", "/predict"], {}, "--health-route and --predict-route are the same"),
        (["--model", "m", "--max-queue", "9"], {}, "--max-instances is above --max-queue"),
        (["--model", "m", "--max-batch", "0"], {}, "'--max-batch': 0 is not in the range"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(arguments, environment, message):
    result = CliRunner().invoke(main, arguments, env=environment)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_help_names_the_variables():
    printed = CliRunner().invoke(main, ["--help"]).output
    for name in ("AIP_STORAGE_URI", "AIP_HTTP_PORT", "AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE"):
        assert name in printed
