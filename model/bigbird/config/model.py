"""The encoder's configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from bigbird.config.section import Amount, Count, Fraction, Number, Positive, Section

# Sizes of the paper (base, large; appendix E) and one for a laptop.
SIZES: dict[str, dict[str, int]] = {
    "small": {"hidden_size": 128, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 512},
    "base": {"hidden_size": 768, "num_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "large": {"hidden_size": 1024, "num_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
}


def full_attention_blocks(num_rand_blocks: int) -> int:
    """Blocks up to which attention is full at least: only longer inputs have room for every random block.

    The new plan's random blocks lie within the first so many.
    """
    return 5 + 2 * num_rand_blocks


class AttentionConfig(Section):
    """How attention is computed, which the weights do not depend on but for `dense`."""

    implementation: Literal["auto", "xla", "pallas", "dense"] = Field(
        "auto",
        description="xla: the backend's own operations; pallas: kernels for TPUs and NVIDIA's GPUs, with runtime.backend jax; "
        "auto: pallas where JAX has one that it suits, else xla; dense: full attention at every length",
    )


ENCODER_KEY = "task.model.encoder.bigbird"
"""Where a configuration has the encoder."""


class BigBirdEncoderConfig(Section):
    """The encoder. Defaults are the published base model's.

    Example:
        >>> from bigbird import BigBirdEncoderConfig
        >>> config = BigBirdEncoderConfig(size="small", max_position_embeddings=1024)
        >>> config.hidden_size, config.num_layers, config.full_attention_threshold
        (128, 2, 704)
    """

    size: Literal["small", "base", "large"] | None = Field(
        None, description="fills the four sizes below where they are not given"
    )
    vocab_size: Positive = Field(
        50358, description="rows of the embedding; where it is left out, the dataset's vocabulary decides"
    )
    hidden_size: Positive = Field(768, description="width of a token's vector")
    num_layers: Positive = Field(12, description="transformer layers")
    num_attention_heads: Positive = Field(12, description="of a layer; must divide hidden_size")
    intermediate_size: Positive = Field(3072, description="width of the feed-forward layers")
    hidden_activation: Literal["gelu", "gelu_erf", "relu"] = Field(
        "gelu", description="gelu is the tanh form, as published; gelu_erf the exact one, of Hugging Face's BERT models"
    )
    layer_norm_epsilon: Annotated[Number, Field(gt=0.0)] = Field(
        1e-12, description="added to the variance in layer norms; RoBERTa's is 1e-5"
    )
    dropout_rate: Fraction = Field(0.1, description="of embeddings and of each layer's outputs")
    attention_dropout_rate: Fraction = Field(
        0.1, description="full attention only; none of the published models drops sparse probabilities"
    )
    max_position_embeddings: Positive = Field(4096, description="tokens of the longest input that the model can take")
    type_vocab_size: Positive = Field(16, description="kinds of segments, such as question and text")
    initializer_range: Amount = Field(0.02, description="standard deviation of the first weights")
    block_size: Positive = Field(64, description="tokens of a block of the sparse attention")
    num_rand_blocks: Count = Field(3, description="random blocks that each block attends to")
    random_range: Positive = Field(
        1024,
        description="tokens; if below max_position_embeddings, the old plan takes its random blocks from the first random_range tokens",
    )
    random_pattern: Literal["model_garden", "google_research"] = Field(
        "model_garden",
        description="padded lengths with the old plan of random blocks: model_garden: every one from random_range on; google_research: only 1024, 2048, "
        "3072 and 4096. Others have the new plan, which takes them from the first 5 + 2 * num_rand_blocks blocks",
    )
    full_attention_max_length: Count | None = Field(
        None,
        description="inputs of at most this many tokens attend fully; default (5 + 2 * num_rand_blocks) * block_size",
    )
    use_gradient_checkpointing: bool = Field(
        False, description="computes activations again in the backward pass: less memory, more time"
    )
    attention: AttentionConfig = AttentionConfig()

    @model_validator(mode="before")
    @classmethod
    def _fill_size(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("size"), str) and values["size"] in SIZES:
            return {**SIZES[values["size"]], **values}
        return values

    @model_validator(mode="after")
    def _check(self) -> BigBirdEncoderConfig:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        least = self.least_full_attention
        if self.full_attention_max_length is not None and self.full_attention_max_length < least:
            raise ValueError(
                f"full_attention_max_length {self.full_attention_max_length} is below {least} = (5 + 2 * num_rand_blocks) * "
                "block_size, the shortest input that has room for every random block"
            )
        sparse = self.full_attention_threshold < self.max_position_embeddings
        limited = 2 * self.block_size < self.random_range < self.max_position_embeddings  # as the old plan has it
        enough = (self.num_rand_blocks + 4) * self.block_size
        if sparse and limited and self.random_range < enough:
            raise ValueError(
                f"random_range {self.random_range} is below {enough} = (num_rand_blocks + 4) * block_size, the least that "
                "has num_rand_blocks blocks outside a window and the global ones"
            )
        return self

    @property
    def full_attention_threshold(self) -> int:
        """Longest input, in tokens, that takes the full-attention path."""
        if self.attention.implementation == "dense":
            return self.max_position_embeddings
        if self.full_attention_max_length is not None:
            return self.full_attention_max_length
        return self.least_full_attention

    @property
    def least_full_attention(self) -> int:
        """What `full_attention_max_length` is by default and at least, in tokens."""
        return full_attention_blocks(self.num_rand_blocks) * self.block_size


class EncoderConfig(Section):
    type: Literal["bigbird"] = Field("bigbird", description="BigBird is the only one")
    bigbird: BigBirdEncoderConfig = BigBirdEncoderConfig()


Head = Literal["model_garden", "hugging_face"]
Pooling = Literal["cls", "mean"]


def check_encoder_pooler(use_encoder_pooler: bool, head: Head, pooling: Pooling) -> None:
    """Raises ValueError where a classifier's head would not use the encoder's pooler as it is asked to."""
    if head == "hugging_face" and use_encoder_pooler:
        raise ValueError("use_encoder_pooler goes with head: model_garden; Hugging Face's head has its own layer")
    if pooling == "mean" and use_encoder_pooler:
        raise ValueError("use_encoder_pooler goes with pooling: cls; the encoder's pooler sees the first token only")


class PlainModelConfig(Section):
    """A model whose head has no settings of its own."""

    encoder: EncoderConfig = EncoderConfig()
