"""Names and passwords in an address are in nothing that a command prints, sends to be kept, or writes."""

import json
import re

import click
import pytest

from bigbird_components.runs import run_link
from bigbird_pipelines.cli import cli
from tests.cloud import PROJECT

SECRET = "HUSH-1"
SST2 = ("--task", "sst2", "--data", "gs://bucket/SST-2", "--recipe", "small_sst2")
CREATE = ("--cron", "0 3 * * 1", *SST2)
COMMANDS = {
    "compile": [["--output", "pipeline.yaml", "--notify-webhook", "hook"]],
    "doctor": [[]],
    "submit": [
        [*SST2],
        [*SST2, "--dry-run", "--notify-webhook", "hook"],
        [*SST2, "--notify-webhook", "hook", "--wait", "--poll", "0.01"],
    ],
    "schedule create": [["weekly", *CREATE], ["weekly", *CREATE, "--dry-run", "--notify-webhook", "hook"]],
    "schedule list": [[], ["--json"]],
    "schedule show": [["weekly"], ["weekly", "--json"]],
    "schedule pause": [["weekly"]],
    "schedule resume": [["weekly"]],
    "schedule trigger": [["weekly"]],
    "schedule delete": [["weekly"]],
}
CALLS = [(*name.split(), *words) for name, calls in COMMANDS.items() for words in calls]


def with_password(address):
    return address.replace("://", f"://user:{SECRET}@")


def test_every_command_that_takes_an_address_is_tried_here():
    def named(group, before=()):
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                yield from named(command, (*before, name))
            elif any("--host" in parameter.opts for parameter in command.params):
                yield " ".join((*before, name))

    # serve listens on its --host; predict has a test of its own.
    assert set(named(cli)) - {"serve", "predict"} == set(COMMANDS)


@pytest.fixture
def invoked(bigbird, monkeypatch, tmp_path):
    """Function (words, environment) -> exit code; fails where the password is in an output or a file."""
    from click.testing import CliRunner

    def call(*words, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        result = CliRunner().invoke(cli, [str(word) for word in words])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert SECRET not in result.output + result.stderr
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file
        return result

    return call


HOSTS = [
    f"http://user:{SECRET}@127.0.0.1:9", f"http://{SECRET}@127.0.0.1:9", f"http://user:a/{SECRET}@127.0.0.1:9",
    f"http://user:a@{SECRET}@127.0.0.1:9", f"user:{SECRET}@127.0.0.1:9", f"http://user:a {SECRET}@127.0.0.1:9",
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "host"), [*((words, HOSTS[0]) for words in CALLS), *((("doctor",), host) for host in HOSTS)]
)
def test_where_nothing_answers(kubeflow, invoked, words, host):
    result = invoked(*words, "--target", "kubeflow", "--host", host)
    asks_nobody = words[0] == "compile" or "--dry-run" in words
    assert result.exit_code == (0 if asks_nobody else 2 if words == ("doctor",) else 4)
    assert asks_nobody or "***@127.0.0.1:9" in result.stdout + result.stderr


def test_where_kubeflow_answers(kubeflow, invoked):
    place = ("--target", "kubeflow", "--host", with_password(kubeflow.url))
    kubeflow.progress = [
        (
            "FAILED",
            [
                {
                    "display_name": "train",
                    "state": "FAILED",
                    "error": {"message": f"no answer of {with_password('http://a')}"},
                },
            ],
        )
    ]
    for words in CALLS:
        result = invoked(*words, *place)
        assert result.exit_code == (1 if "--wait" in words else 0), (words, result.output, result.stderr)
    assert kubeflow.runs and SECRET not in json.dumps([kubeflow.runs, kubeflow.recurring])
    kubeflow.trouble("GET .*recurringruns", 99, status=400, message=f"look at {with_password('http://a')}")
    result = invoked("schedule", "list", *place)
    assert "look at http://***@a" in result.stderr


def test_where_vertex_ai_answers(cloud, invoked):
    place = ("--api-endpoint", with_password(cloud.url), "--host", with_password("http://kubeflow"))
    for words in CALLS:
        if "--wait" not in words:
            result = invoked(*words, "--target", "vertex", *place)
            assert result.exit_code == (2 if words == ("doctor",) else 0), words  # the project lacks what it looks for
    assert cloud.jobs and SECRET not in json.dumps([cloud.jobs, cloud.schedules])
    cloud.routes.insert(0, (r"GET /v1/projects/.*services:batchGet", lambda *_: 1 / 0))
    assert f"project = {PROJECT}" in invoked("doctor", *place).stdout


def test_predict_where_vertex_ai_answers(cloud, invoked):
    place = ("--api-endpoint", with_password(cloud.url), "--host", with_password("http://kubeflow"))
    words = ("--model", "registry:none", "gs://bucket/texts.jsonl", "--output", "gs://bucket/answers")
    for more in ((), ("--dry-run",)):
        result = invoked("predict", *words, "--target", "vertex", *place, *more)
        assert result.exit_code == 2 and "gs://bucket/texts.jsonl: no such file or folder" in result.stderr


@pytest.mark.parametrize("name", ["host", "api_endpoint", "bucket", "pipeline_root", "notify_webhook"])
@pytest.mark.parametrize(
    "value",
    [
        f"http://u:{SECRET}@127.0.0.1:9", f"u:{SECRET}@h", f"http://u:a {SECRET}@h", f"x\n{SECRET}@h",
        f'https://u:"{SECRET}@h',
    ],
)  # fmt: skip
def test_a_setting_wherever_it_is_from(kubeflow, invoked, tmp_path, monkeypatch, name, value):
    option, variable = f"--{name.replace('_', '-')}", f"BIGBIRD_{name.upper()}"
    assert_read(invoked("doctor", option, value, "--target", "kubeflow"), name, option)
    assert_read(invoked("doctor", "--target", "kubeflow", **{variable: value}), name, variable)
    monkeypatch.delenv(variable)  # it would go before the file
    file = tmp_path.parent / f"{tmp_path.name}.toml"
    file.write_text(f"[bigbird]\n{name} = {json.dumps(value)}\n", encoding="utf-8")
    assert_read(invoked("doctor", "--settings", file, "--target", "vertex"), name, str(file))


def assert_read(result, name, source):
    """The setting was read from there: it is shown without its password, or refused with code 2."""
    shown = rf"^setting  {name} = \S*\*\*\*@\S+  \({re.escape(source)}\)$"
    refused = rf"^error: {re.escape(source)}: {name} is ('\S*\*\*\*@h'|no secret's name); expected: "
    if not re.search(shown, result.stdout, flags=re.MULTILINE):
        assert result.exit_code == 2 and re.match(refused, result.stderr), (result.stdout, result.stderr)


def test_a_webhooks_address_in_place_of_its_secrets_name_is_not_told(invoked, kubeflow):
    result = invoked("submit", *SST2, "--target", "kubeflow", "--notify-webhook", f"https://hooks/T/{SECRET}")
    assert "--notify-webhook: notify_webhook is no secret's name; expected: Secret" in result.stderr


def test_a_link_holds_none():
    assert run_link(with_password("https://kubeflow/x/"), "7") == "https://***@kubeflow/x/#/runs/details/7"
