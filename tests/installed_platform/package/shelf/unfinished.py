"""A platform whose methods are still to be written."""

from bigbird_pipelines.platforms.platform import RemotePlatform


class Unfinished(RemotePlatform):
    name = "unfinished"


PLATFORM = Unfinished()
