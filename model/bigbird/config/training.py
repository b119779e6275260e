"""How a model is trained: optimizer, schedule, validation, devices."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bigbird.config.section import Amount, Count, Fraction, Integer, Number, Pattern, Positive, Section
from bigbird.support.precision import Precision


class PolynomialDecay(Section):
    initial_learning_rate: Amount = Field(3e-5, description="the peak, after the warm-up")
    end_learning_rate: Amount = Field(0.0, description="the rate at the end of the decay")
    power: Amount = Field(1.0, description="of the decay; 1 is a straight line")
    decay_steps: Positive | None = Field(None, description="default: the run's training steps")


class ConstantRate(Section):
    learning_rate: Amount = Field(3e-5, description="after the warm-up")


class LearningRateConfig(Section):
    type: Literal["polynomial", "constant"] = Field(
        "polynomial", description="which of the two schedules below is used"
    )
    polynomial: PolynomialDecay = PolynomialDecay()
    constant: ConstantRate = ConstantRate()


class PolynomialWarmup(Section):
    warmup_steps: Count | None = Field(None, description="default: a tenth of the run's training steps")
    power: Amount = Field(1.0, description="of the rise; 1 is a straight line")


class WarmupConfig(Section):
    type: Literal["polynomial", "linear"] | None = Field(
        "polynomial", description="which of the two below is used, null for none; linear is polynomial with power 1"
    )
    polynomial: PolynomialWarmup = PolynomialWarmup()
    linear: PolynomialWarmup = PolynomialWarmup()


class AdamWConfig(Section):
    """Defaults of the Model Garden's AdamWeightDecay as its BigBird recipes set it."""

    weight_decay_rate: Amount = Field(
        0.01, description="share of a weight that a step takes away, times the learning rate"
    )
    exclude_from_weight_decay: list[Pattern] = Field(
        ["LayerNorm", "layer_norm", "bias"],
        description="regular expressions; weights in whose path one is found do not decay",
    )
    beta_1: Fraction = Field(0.9, description="decay of the gradients' mean")
    beta_2: Fraction = Field(0.999, description="decay of the squared gradients' mean")
    epsilon: Amount = Field(1e-7, description="added to the root of the squared gradients' mean")
    gradient_clip_norm: Amount = Field(
        1.0, description="largest allowed norm of the gradient over all weights; 0 does not clip"
    )
    layer_decay: Number = Field(
        1.0,
        gt=0.0,
        le=1.0,
        description="a layer's learning rate, as a share of the rate of the layer above it; the head has the whole rate; 1 gives "
        "all the same",
    )


class OptimizerChoice(Section):
    type: Literal["adamw"] = Field("adamw", description="AdamW is the only one")
    adamw: AdamWConfig = AdamWConfig()


class MovingAverageConfig(Section):
    """Named as the Model Garden's EMAConfig; off without `average_decay`."""

    average_decay: Fraction = Field(
        0.0,
        description="share of the old average that an update keeps, such as 0.999; the average is validated, kept as best and "
        "exported; 0 keeps none",
    )
    dynamic_decay: bool = Field(
        True, description="keeps less in the first updates: after n of them at most (1 + n) / (10 + n)"
    )


class OptimizerConfig(Section):
    optimizer: OptimizerChoice = OptimizerChoice()
    ema: MovingAverageConfig = MovingAverageConfig()
    learning_rate: LearningRateConfig = LearningRateConfig()
    warmup: WarmupConfig = WarmupConfig()


class EarlyStoppingConfig(Section):
    """Named as Keras' callback."""

    patience: Count = Field(
        0,
        description="validations in a row without a better metric after which training ends; 0 trains to the last step",
    )
    min_delta: Amount = Field(0.0, description="by how much the metric must be better to count")


class TrainerConfig(Section):
    """How long, how often. Intervals are in steps; the Model Garden's defaults."""

    train_steps: Count = Field(0, description="0 takes it from epochs")
    epochs: Number | None = Field(
        None, gt=0, description="passes over the training examples; used where train_steps is 0"
    )
    validation_steps: Integer = Field(-1, ge=-1, description="batches per validation; -1 is all")
    validation_interval: Positive = Field(1000, description="steps between two validations")
    checkpoint_interval: Positive = Field(1000, description="steps between two checkpoints")
    summary_interval: Positive = Field(1000, description="steps between two entries of history.json and TensorBoard")
    steps_per_loop: Positive = Field(1000, description="most steps between two looks at the loss on the host")
    max_to_keep: Positive = Field(5, description="checkpoints; older ones are deleted")
    best_checkpoint_export_subdir: str = Field(
        "best", description="the best checkpoint's folder inside the model folder"
    )
    best_checkpoint_eval_metric: str = Field("", description="default: the task's first metric")
    best_checkpoint_metric_comp: Literal["higher", "lower"] = Field(
        "higher", description="whether a higher or a lower value of it is better"
    )
    continuous_eval_timeout: Positive = Field(
        3600, description="seconds to wait for a next checkpoint, mode continuous_eval"
    )
    loss_upper_bound: Number = Field(1e6, description="a loss above it counts as diverged")
    recovery_max_trials: Count = Field(
        0, description="times training goes back to the last checkpoint when the loss diverges"
    )
    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    freeze_embeddings: bool = Field(False, description="keeps the encoder's embeddings as they are")
    freeze_layers: Count = Field(
        0, description="keeps this many of the encoder's first layers as they are, and the embeddings below them"
    )
    optimizer_config: OptimizerConfig = OptimizerConfig()


class RuntimeConfig(Section):
    """The machine."""

    backend: Literal["tensorflow", "jax"] = Field("tensorflow", description="what Keras trains with")
    distribution_strategy: Literal["one_device", "mirrored", "multi_worker_mirrored", "tpu"] = Field(
        "one_device", description="TensorFlow's: over which devices and machines a batch is spread"
    )
    tpu: str = Field("", description="name or address of a TPU; local is this machine's")
    num_gpus: Count | None = Field(None, description="of each machine; default: all that it has")
    worker_hosts: str = Field("", description="host:port of every worker, comma-separated, the same on each")
    task_index: Integer = Field(-1, description="this worker's place in worker_hosts")
    mixed_precision_dtype: Precision = Field("float32", description="of activations; weights are float32")
    enable_xla: bool = Field(False, description="compiles the training step; a TPU and JAX always do")
    seed: Integer = Field(
        0, ge=0, le=2**31 - 1, description="of the first weights, the order of the examples and dropout"
    )

    @model_validator(mode="after")
    def _check_tpu(self) -> RuntimeConfig:
        if self.backend == "jax" and self.tpu not in ("", "local"):
            raise ValueError(
                f"tpu is {self.tpu!r} with backend jax, which trains on the TPU of the machine that it runs on; leave tpu out"
            )
        return self
