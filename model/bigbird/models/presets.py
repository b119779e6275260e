"""`from_preset`: a model with the weights of a checkpoint."""

from __future__ import annotations

import os
from typing import Any, Self


class FromPreset:
    """What the encoder and the task models share: they start from a checkpoint."""

    @classmethod
    def from_preset(cls, path: str | os.PathLike[str], **settings: Any) -> Self:
        """A model of this class, built, with the weights of a checkpoint; sizes and attention pattern are the checkpoint's.

        A trained model of ours brings its head's settings and weights too. Of other checkpoints the head is taken where it is
        the same kind of head; what starts fresh or is left out is logged by the logger `bigbird.checkpoints.presets`.

        Args:
            path: a run's folder, a trained model's, or one that `bigbird convert` wrote; a TensorFlow checkpoint of the Model
                Garden or of google-research; a Hugging Face folder or .safetensors file. Local, gs:// or s3://.
            settings: arguments of the class, such as `num_classes` or `dtype`, and of `BigBirdEncoderConfig`, such as
                `dropout_rate`; they go before what the checkpoint says.

        Raises:
            InputError: there is no checkpoint, it says other settings, or a classifier's number of classes is not known.

        Example:
            >>> import bigbird
            >>> encoder = bigbird.BigBirdEncoder.from_preset("runs/reviews", dropout_rate=0.0)
            >>> classifier = bigbird.BigBirdClassifier.from_preset("runs/reviews", num_classes=5)
        """
        from bigbird.checkpoints.presets import load_preset

        return load_preset(cls, os.fspath(path), settings)
