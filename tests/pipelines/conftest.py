"""A project in the cloud on this machine, and the command line that speaks to it."""

import copy
import inspect
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from bigbird.text.sentence_piece import train_vocabulary
from bigbird_pipelines import cli, remote
from bigbird_pipelines.platforms import service
from tests.cloud import PROJECT, REGION, Cloud
from tests.kubeflow import Kubeflow


@pytest.fixture(scope="session", autouse=True)
def stack_without_source_lines():
    """For every setting of a step kfp asks who called, with the source line of each of pytest's many frames; it needs none."""
    from kfp.dsl import pipeline_task

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_task, "inspect", SimpleNamespace(stack=lambda: inspect.stack(0)[1:]))
        yield


@pytest.fixture(scope="session", autouse=True)
def compiled_once():
    """A pipeline is compiled once for equal targets, not again in every command; test_targets compiles its own."""
    compile_anew, specs = remote.compiled, {}

    def compiled(target):
        key = repr(target)  # of a frozen dataclass: all that it is compiled from
        if key not in specs:
            specs[key] = compile_anew(target)
        return copy.deepcopy(specs[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "compiled", compiled)
        yield


@pytest.fixture
def cloud(monkeypatch, tmp_path):
    """A project with a bucket that holds SST-2; the environment names it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(service, "FIRST_PAUSE_S", 0.01)
    with Cloud() as server:
        server.objects |= {
            "gs://bucket/SST-2/train.tsv": b"sentence\tlabel\ngood\t1\n",
            "gs://bucket/SST-2/dev.tsv": b"sentence\tlabel\ngood\t1\n",
            "gs://bucket/runs/.keep": b"",
        }
        settings = {
            "BIGBIRD_PROJECT": PROJECT, "BIGBIRD_REGION": REGION, "BIGBIRD_BUCKET": "gs://bucket/runs",
            "BIGBIRD_API_ENDPOINT": server.url, "STORAGE_EMULATOR_HOST": server.url,
            "BIGBIRD_IMAGE_PREFIX": f"{REGION}-docker.pkg.dev/{PROJECT}/images/bigbird", "BIGBIRD_IMAGE_TAG": "0123456789ab",
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def interrupted(monkeypatch):
    """Ctrl-C comes while a call waits to be repeated."""

    def stop(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(service.time, "sleep", stop)


@pytest.fixture(scope="session")
def pieces():
    """A SentencePiece model's bytes."""
    return train_vocabulary(["the film was good and the other one was not so good"] * 20, 40)


@pytest.fixture
def vocabulary(cloud, pieces):
    """The address of a vocabulary in the project's bucket."""
    cloud.objects["gs://bucket/vocab.model"] = pieces
    return "gs://bucket/vocab.model"


@pytest.fixture
def bigbird():
    """Function (words of a command line) -> its result; fails the test where the exit code is another than expected."""

    def run(*words, code=0):
        result = CliRunner().invoke(cli.cli, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, f"exit code {result.exit_code}: {result.output}{result.stderr}"
        return result

    return run


@pytest.fixture
def kubeflow(monkeypatch, tmp_path):
    """An installation, and a bucket with SST-2; the environment names it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(service, "FIRST_PAUSE_S", 0.01)
    with Kubeflow() as server, Cloud() as storage:
        storage.objects |= {"gs://bucket/SST-2/train.tsv": b"x", "gs://bucket/SST-2/dev.tsv": b"x"}
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
        monkeypatch.setenv("BIGBIRD_HOST", server.url)
        monkeypatch.setenv("BIGBIRD_IMAGE_PREFIX", "registry/project/bigbird")
        monkeypatch.setenv("BIGBIRD_IMAGE_TAG", "0123456789ab")
        yield server
