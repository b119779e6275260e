"""A platform that takes the name of another one's option."""

from typing import ClassVar

import click

from shelf.platform import Shelf


class Crowded(Shelf):
    name = "crowded"
    options: ClassVar = {"dataflow": click.option("--dataflow", is_flag=True)}


PLATFORM = Crowded()
