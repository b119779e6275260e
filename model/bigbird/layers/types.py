"""Names for what the layers and models take and give."""

from bigbird.support.types import Tensor

__all__ = ["Tensor"]
