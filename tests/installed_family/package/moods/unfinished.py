"""A family whose methods are still to be written."""

from bigbird.tasks.family import AnsweringFamily


class Unfinished(AnsweringFamily):
    name = "unfinished"
    tasks = ("unfinished",)


FAMILY = Unfinished()
