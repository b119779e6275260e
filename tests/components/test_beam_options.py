"""What is told of Beam's runners."""

import apache_beam as beam
import pytest
from apache_beam.runners.runner import PipelineRunner

from bigbird.support.errors import InputError, ServiceError
from bigbird_components.beam_options import parse_options, told_failures


class WithoutServer(PipelineRunner):
    """A runner that cannot be started, as Flink's without its job server."""

    def run_pipeline(self, pipeline, options):
        raise RuntimeError("unable to fetch\nthe job server")


def run_on(*flags):
    options = parse_options([*flags])
    with told_failures(options), beam.Pipeline(options=options) as pipeline:
        _ = pipeline | beam.Create([1, 2]) | beam.Map(lambda number: 1 // (number - 1))


def test_a_runner_that_cannot_be_started_is_told_in_one_message():
    name = f"{__name__}.{WithoutServer.__name__}"
    expected = (
        rf"--runner={name}: could not run the pipeline \(unable to fetch the job server\); see the runner's own log"
    )
    with pytest.raises(ServiceError, match=expected) as raised:
        run_on(f"--runner={name}")
    assert isinstance(raised.value.__cause__, RuntimeError)


def test_what_fails_in_this_process_and_what_is_told_already_stays_as_it_is():
    with pytest.raises(ZeroDivisionError):
        run_on()
    with pytest.raises(InputError, match="a mistake"), told_failures(parse_options([f"--runner={__name__}.Any"])):
        raise InputError("a mistake")
