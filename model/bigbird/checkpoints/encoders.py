"""A checkpoint with its encoder's configuration, which is put together from what lies beside the weights and from their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bigbird.checkpoints import settings
from bigbird.checkpoints.beside import settings_of
from bigbird.checkpoints.published import Checkpoint, read_checkpoint
from bigbird.config import BigBirdEncoderConfig
from bigbird.support.errors import InputError

HEAD_SIZE = 64  # of every published model; google-research stores neither it nor the number of heads


def read_with_encoder(
    path: str, *, num_heads: int | None = None, given: Mapping[str, Any] | None = None
) -> tuple[Checkpoint, BigBirdEncoderConfig]:
    """Reads a checkpoint of any kind.

    Args:
        path: as `read_checkpoint` takes it.
        num_heads: attention heads; default as the source says, or one for every 64 of the hidden size.
        given: settings of the encoder that go before what the source says.

    Raises:
        InputError: no checkpoint there, settings that do not fit the weights, or arithmetic that is not built here.
    """
    checkpoint = read_checkpoint(path, num_heads or 1)
    settings.check_arithmetic(checkpoint.settings, f"{checkpoint.source}: {settings.CONFIG_FILE}")
    said = settings_of(path, checkpoint)[0] | dict(given or {})
    encoder = _encoder(checkpoint, said, num_heads)
    if checkpoint.kind in ("google_research", "hugging_face"):  # only now is the number of heads known
        checkpoint = read_checkpoint(path, encoder.num_attention_heads)
    return checkpoint, encoder


def _encoder(checkpoint: Checkpoint, said: dict[str, Any], num_heads: int | None) -> BigBirdEncoderConfig:
    sizes = settings.sizes_of(checkpoint.weights)
    wrong = [
        f"{key} is {said[key]}, the weights' {sizes[key]}" for key in sizes if said.get(key, sizes[key]) != sizes[key]
    ]
    if wrong:
        raise InputError(f"{checkpoint.source}: the settings are not these weights': {'; '.join(wrong)}")
    kernel = checkpoint.weights.get("encoder/layer_0/attention/query/kernel")
    stored = kernel.shape[1] if kernel is not None and checkpoint.kind in ("bigbird", "model_garden") else None
    heads = num_heads or stored or said.get("num_attention_heads") or max(1, sizes["hidden_size"] // HEAD_SIZE)
    if stored not in (None, heads):
        raise InputError(f"{checkpoint.source}: has {stored} attention heads, not {heads}")
    known = {key: value for key, value in said.items() if key in BigBirdEncoderConfig.model_fields and key != "size"}
    try:
        return BigBirdEncoderConfig(**{**known, **sizes, "num_attention_heads": heads})
    except ValidationError as error:
        raise InputError(f"{checkpoint.source}: {error.errors()[0]['msg']}; give --heads or --params") from None
