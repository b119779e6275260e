"""The platform: see `bigbird_pipelines.platforms.platform.RemotePlatform` for what each method answers."""

from pathlib import Path
from typing import ClassVar

import click

from bigbird.support.errors import InputError
from bigbird_pipelines.files import LocalFiles
from bigbird_pipelines.machines import Machine
from bigbird_pipelines.platforms.platform import Finding, RemotePlatform
from bigbird_pipelines.team_settings import require

DRAWERS = ("upper", "lower")


class Shelf(RemotePlatform):
    name = "shelf"
    title = "the shelf"
    requirements = ("kfp",)
    machines: ClassVar = {"abacus": Machine("wooden", cpus=4, memory_gib=16)}
    default_machine = "abacus"
    recurring = "the shelf's reminders"
    options: ClassVar = {"drawer": click.option("--drawer", type=click.Choice(DRAWERS), help="Where a run lies.")}
    examples: ClassVar = {"submit": ("bigbird submit --target shelf --task sst2 --data SST-2 --drawer upper",)}

    def target(self, placement, images, settings):
        from shelf.target import ShelfTarget

        runtime = placement.profile.runtime(placement.backend)
        return ShelfTarget(images=images, runtime=runtime, drawer=placement.options["drawer"] or "upper")

    def service(self, settings):
        from shelf.service import ShelfService

        require(settings, "pipeline_root")
        return ShelfService(Path(settings.pipeline_root))

    def request_fields(self, settings):
        return {"pipeline_root": settings.pipeline_root}

    def warnings(self, settings):
        return ["nobody is told"] if settings.notify_webhook else []

    def files(self, settings, day, later):
        return LocalFiles()

    def checks(self, placement, settings):
        try:
            require(settings, "pipeline_root")
        except InputError as error:
            yield Finding("settings", False, str(error))
            return
        there = Path(settings.pipeline_root).is_dir()
        yield Finding("folder", there, settings.pipeline_root, "make it")
        yield Finding("machine", True, f"{placement.machine_name} with {placement.profile.cpus} CPUs")


PLATFORM = Shelf()
