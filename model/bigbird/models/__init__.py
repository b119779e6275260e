"""The encoder, the models that tasks put on it, and the losses that they share."""

from bigbird.models.classifier import BigBirdClassifier
from bigbird.models.encoder import BigBirdEncoder
from bigbird.models.losses import cross_entropy, masked_losses, or_cross_entropy
from bigbird.models.masked_lm import BigBirdMaskedLM
from bigbird.models.span_model import BigBirdSpanModel
from bigbird.models.task_models import build_model, has_targets, per_example_loss, summarize

__all__ = [
    "BigBirdClassifier",
    "BigBirdEncoder",
    "BigBirdMaskedLM",
    "BigBirdSpanModel",
    "build_model",
    "cross_entropy",
    "has_targets",
    "masked_losses",
    "or_cross_entropy",
    "per_example_loss",
    "summarize",
]
