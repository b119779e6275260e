"""Which steps of a run are not run again."""

import json
from pathlib import Path

import pytest

from bigbird_pipelines.platforms.local_steps import Ended, LocalRun, PipelineSteps


@pytest.fixture
def run(tmp_path):
    """Function (steps and the image of each) -> those that ran, the others having ended well before."""

    def run_again(**images):
        steps, ran = PipelineSteps(LocalRun(tmp_path), tmp_path / "logs", tmp_path), []
        for name, image in images.items():
            output = tmp_path / name / "note"
            artifact = {"type": {"schemaTitle": "system.Artifact"}, "uri": str(output)}
            record = tmp_path / name / "record.json"
            outputs = {"outputFile": str(record), "artifacts": {"note": {"artifacts": [artifact]}}}
            executor_input = json.dumps({"outputs": outputs})

            def execute(command, environment, log, name=name, files=(output, record)):
                ran.append(name)
                for file in files:
                    file.parent.mkdir(exist_ok=True)
                    file.write_text(name)
                return Ended(0)

            command = ["--executor_input", executor_input, "--function_to_execute", name]
            assert steps.start(command, None, execute, image) == 0
        return ran

    (tmp_path / "logs").mkdir()
    return run_again


def test_a_step_that_ended_well_is_not_run_again(run):
    assert run(one="a", two="a") == ["one", "two"]
    assert run(one="a", two="a", three="a") == ["three"]


def test_a_step_in_another_image_is_run_again_and_so_are_those_after_it(run):
    run(one="a", two="a", three="a")
    assert run(one="a", two="b", three="a") == ["two", "three"]


def test_a_step_after_one_whose_output_is_damaged_is_run_again(run, tmp_path):
    run(one="a", two="a")
    Path(tmp_path / "one/note").write_text("damaged")
    assert run(one="a", two="a") == ["one", "two"]
