"""Platforms that cannot be used."""

from typing import ClassVar

import click

from bigbird_pipelines.platforms.platform import RemotePlatform
from shelf.platform import Shelf


class Crowded(Shelf):
    name = "crowded"
    options: ClassVar = {"dataflow": click.option("--dataflow", is_flag=True)}


class Lost(Shelf):
    name = "lost"
    default_machine = "no-such-machine"


class Untitled(RemotePlatform):
    name = "untitled"
    target, service, checks = Shelf.target, Shelf.service, Shelf.checks


CROWDED, LOST, UNTITLED = Crowded(), Lost(), Untitled()
