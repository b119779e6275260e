"""How a model is trained: optimizer, schedule, validation, devices."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bigbird.config.section import Amount, Count, Fraction, Integer, Number, Positive, Section


class PolynomialDecay(Section):
    initial_learning_rate: Amount = 3e-5
    end_learning_rate: Amount = 0.0
    power: Amount = 1.0
    decay_steps: Positive | None = Field(None, description="default: the run's training steps")


class ConstantRate(Section):
    learning_rate: Amount = 3e-5


class LearningRateConfig(Section):
    type: Literal["polynomial", "constant"] = "polynomial"
    polynomial: PolynomialDecay = PolynomialDecay()
    constant: ConstantRate = ConstantRate()


class PolynomialWarmup(Section):
    warmup_steps: Count | None = Field(None, description="default: a tenth of the run's training steps")
    power: Amount = 1.0


class WarmupConfig(Section):
    type: Literal["polynomial", "linear"] | None = Field("polynomial", description="linear is polynomial with power 1")
    polynomial: PolynomialWarmup = PolynomialWarmup()
    linear: PolynomialWarmup = PolynomialWarmup()


class AdamWConfig(Section):
    """Defaults of the Model Garden's AdamWeightDecay as its BigBird recipes set it."""

    weight_decay_rate: Amount = 0.01
    exclude_from_weight_decay: list[str] = Field(["LayerNorm", "layer_norm", "bias"])
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Amount = 1e-7
    gradient_clip_norm: Amount = 1.0


class OptimizerChoice(Section):
    type: Literal["adamw"] = "adamw"
    adamw: AdamWConfig = AdamWConfig()


class OptimizerConfig(Section):
    optimizer: OptimizerChoice = OptimizerChoice()
    learning_rate: LearningRateConfig = LearningRateConfig()
    warmup: WarmupConfig = WarmupConfig()


class TrainerConfig(Section):
    """How long, how often. Intervals are in steps; the Model Garden's defaults."""

    train_steps: Count = Field(0, description="0 takes it from epochs")
    epochs: Number | None = Field(
        None, gt=0, description="passes over the training examples; used where train_steps is 0"
    )
    validation_steps: Integer = Field(-1, ge=-1, description="batches per validation; -1 is all")
    validation_interval: Positive = 1000
    checkpoint_interval: Positive = 1000
    summary_interval: Positive = 1000
    steps_per_loop: Positive = Field(1000, description="most steps between two looks at the loss on the host")
    max_to_keep: Positive = 5
    best_checkpoint_export_subdir: str = "best"
    best_checkpoint_eval_metric: str = Field("", description="default: the task's first metric")
    best_checkpoint_metric_comp: Literal["higher", "lower"] = "higher"
    continuous_eval_timeout: Positive = Field(
        3600, description="seconds to wait for a next checkpoint, mode continuous_eval"
    )
    loss_upper_bound: Number = 1e6
    recovery_max_trials: Count = Field(
        0, description="times training goes back to the last checkpoint when the loss diverges"
    )
    optimizer_config: OptimizerConfig = OptimizerConfig()


class RuntimeConfig(Section):
    """The machine."""

    backend: Literal["tensorflow", "jax"] = Field("tensorflow", description="what Keras trains with")
    distribution_strategy: Literal["one_device", "mirrored", "multi_worker_mirrored", "tpu"] = "one_device"
    tpu: str = ""
    num_gpus: Count | None = Field(None, description="default: all that the machine has")
    worker_hosts: str = Field("", description="host:port of every worker, comma-separated, the same on each")
    task_index: Integer = Field(-1, description="this worker's place in worker_hosts")
    mixed_precision_dtype: Literal["float32", "bfloat16"] = "float32"
    enable_xla: bool = Field(False, description="compiles the training step; a TPU and JAX always do")
    seed: Integer = Field(0, ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _check_tpu(self) -> RuntimeConfig:
        if self.backend == "jax" and self.tpu not in ("", "local"):
            raise ValueError(
                f"tpu is {self.tpu!r} with backend jax, which trains on the TPU of the machine that it runs on; leave tpu out"
            )
        return self
