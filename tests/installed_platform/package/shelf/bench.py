"""An invented platform of this machine, which refuses every run: see the package."""

from typing import ClassVar

import click

from bigbird.support.errors import InputError
from bigbird_pipelines.platforms.platform import Finding, LocalPlatform


class Bench(LocalPlatform):
    name = "bench"
    title = "the bench"
    flag_help = "Each step by hand."
    about = "it is about the bench"
    options: ClassVar = {"tool": click.option("--tool", default="", help="What is held.")}

    def place(self, inputs, backend, options):
        raise InputError(f"the bench has no {options['tool']} for {backend}")

    def checks(self, settings):
        yield Finding("bench", True, "stands")


PLATFORM = Bench()
