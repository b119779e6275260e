"""Experiment configuration: the Model Garden's tree, typed and validated, from YAML files and dotted overrides.

Reading order: the tree's leaves (encoder, data, optimizer), the tasks, the experiment, then loading.
Every key the Model Garden's BigBird recipes use is accepted under its name; our own settings are further keys of
the same tree. A key that means nothing here is refused, never ignored.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, ValidationError, model_validator

from bigbird.errors import InputError
from bigbird.overrides import merge, parse_override
from bigbird.text_files import MOST_PROBLEMS, cut, problem_list, read_text, shown
from bigbird.yaml_files import dump_yaml, parse_yaml_mapping

TREE = "a mapping with task, trainer, runtime"  # a configuration's top level, for messages
PLACEHOLDER = "TODO"  # what the Model Garden's recipes hold where a path is to be filled in

# Sizes of the paper (base, large; appendix E) and one for a laptop.
SIZES: dict[str, dict[str, int]] = {
    "small": {"hidden_size": 128, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 512},
    "base": {"hidden_size": 768, "num_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "large": {"hidden_size": 1024, "num_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
}


def _no_truth_value(value: Any) -> Any:
    """In Python true is the number 1; in a configuration it is a mistake."""
    if isinstance(value, bool):
        raise ValueError(f"found {value!r}; expected a number")
    return value


Number = Annotated[float, BeforeValidator(_no_truth_value), Field(allow_inf_nan=False)]
Amount = Annotated[Number, Field(ge=0.0)]
Fraction = Annotated[Number, Field(ge=0.0, lt=1.0)]
Integer = Annotated[int, BeforeValidator(_no_truth_value)]
Count = Annotated[Integer, Field(ge=0)]
Positive = Annotated[Integer, Field(ge=1)]


class Section(BaseModel):
    """A node of the tree: immutable, every key known."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, strict=False)


# ---------------------------------------------------------------------------------------------------- model


class AttentionConfig(Section):
    """How attention is computed, which the weights do not depend on but for `dense`."""

    implementation: Literal["auto", "xla", "pallas", "dense"] = Field(
        "auto",
        description="xla: the backend's own operations; pallas: kernels for TPUs and NVIDIA's GPUs, with runtime.backend jax; "
        "auto: pallas where JAX has one that it suits, else xla; dense: full attention at every length",
    )


class BigBirdEncoderConfig(Section):
    """The encoder. Defaults are the published base model's."""

    size: Literal["small", "base", "large"] | None = Field(
        None, description="fills the four sizes below where they are not given"
    )
    vocab_size: Positive = 50358
    hidden_size: Positive = 768
    num_layers: Positive = 12
    num_attention_heads: Positive = 12
    intermediate_size: Positive = 3072
    hidden_activation: Literal["gelu", "relu"] = Field("gelu", description="gelu is the tanh form, as published")
    dropout_rate: Fraction = 0.1
    attention_dropout_rate: Fraction = Field(
        0.1, description="full attention only; none of the published models drops sparse probabilities"
    )
    max_position_embeddings: Positive = 4096
    type_vocab_size: Positive = 16
    initializer_range: Amount = 0.02
    block_size: Positive = 64
    num_rand_blocks: Count = 3
    random_range: Positive = Field(
        1024, description="tokens; random blocks of the old plan lie within the first so many"
    )
    random_pattern: Literal["model_garden", "google_research"] = Field(
        "model_garden",
        description="old plan at every length from random_range on, or only at 1024, 2048, 3072 and 4096",
    )
    full_attention_max_length: Count | None = Field(
        None, description="inputs up to so many tokens attend fully; default (5 + 2 * num_rand_blocks) * block_size"
    )
    use_gradient_checkpointing: bool = False
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
        least = (5 + 2 * self.num_rand_blocks) * self.block_size
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
        return (5 + 2 * self.num_rand_blocks) * self.block_size


class EncoderConfig(Section):
    type: Literal["bigbird"] = "bigbird"
    bigbird: BigBirdEncoderConfig = BigBirdEncoderConfig()


Head = Literal["model_garden", "hugging_face"]
Pooling = Literal["cls", "mean"]


class PlainModelConfig(Section):
    """A model whose head has no settings of its own."""

    encoder: EncoderConfig = EncoderConfig()


# ----------------------------------------------------------------------------------------------------- data


class DataConfig(Section):
    """Where examples come from and how they are batched."""

    input_path: str | list[str] = Field("", description="TFRecord files, patterns or a dataset folder")
    global_batch_size: Positive = 32
    tokens_per_batch: Positive | None = Field(
        None,
        description="most tokens of a batch, padding included: shorter buckets then take more examples, a multiple of "
        "global_batch_size; default: every batch has global_batch_size examples",
    )
    is_training: bool = True
    seq_length: Positive = Field(1024, description="tokens; longer records are refused")
    drop_remainder: bool = True
    shuffle_buffer_size: Count = Field(10_000, description="records; 0 keeps the files' order")
    cycle_length: Positive | None = Field(None, description="files read side by side; default all, at most 16")
    seed: Integer | None = Field(None, description="order of the examples; default runtime.seed")
    max_records: Count = Field(0, description="reads only so many records; 0 is all")

    def batch_size_at(self, length: int) -> int:
        """Examples of a batch that is padded to `length` tokens, over all replicas."""
        if self.tokens_per_batch is None:
            return self.global_batch_size
        return max(1, self.tokens_per_batch // (length * self.global_batch_size)) * self.global_batch_size


# ---------------------------------------------------------------------------------------------------- tasks


class Task(Section):
    """What every task has."""

    init_checkpoint: str = Field("", description="read only where model_dir holds no checkpoint")
    hub_module_url: Literal[""] = Field("", description="kept for the Model Garden's recipes; must be empty")
    bucket_lengths: list[Positive] | None = Field(
        None,
        description="padded lengths, ascending, up to seq_length; default: chosen from the dataset's own lengths, or "
        "without a dataset folder 64, 128, 256, 512, 1024, ...",
    )

    train_data: DataConfig
    validation_data: DataConfig

    @model_validator(mode="after")
    def _check_lengths(self) -> Task:
        encoder = self.encoder
        longest = max(self.train_data.seq_length, self.validation_data.seq_length)
        if longest > encoder.max_position_embeddings:
            raise ValueError(
                f"seq_length {longest} is above model.encoder.bigbird.max_position_embeddings {encoder.max_position_embeddings}"
            )
        for name, data in (("train_data", self.train_data), ("validation_data", self.validation_data)):
            least = data.global_batch_size * longest
            if data.tokens_per_batch is not None and data.tokens_per_batch < least:
                raise ValueError(
                    f"{name}.tokens_per_batch {data.tokens_per_batch} is below {least} = global_batch_size "
                    f"{data.global_batch_size} * seq_length {longest}"
                )
        if self.bucket_lengths is not None:
            if not self.bucket_lengths:
                raise ValueError(f"bucket_lengths is empty; it must end with the longest seq_length, {longest}")
            if sorted(set(self.bucket_lengths)) != self.bucket_lengths:
                raise ValueError(f"bucket_lengths {self.bucket_lengths} must ascend without repeats")
            if self.bucket_lengths[-1] != longest:
                raise ValueError(
                    f"bucket_lengths must end with the longest seq_length, {longest}, not {self.bucket_lengths[-1]}"
                )
        return self

    @property
    def encoder(self) -> BigBirdEncoderConfig:
        return self.model.encoder.bigbird  # type: ignore[attr-defined]

    @property
    def buckets(self) -> list[int]:
        """Padded lengths, in tokens, ascending. Training, evaluation and the exported model all pad to these."""
        if self.bucket_lengths is not None:
            return self.bucket_lengths
        longest = max(self.train_data.seq_length, self.validation_data.seq_length)
        lengths, length = [], 64
        while length < longest:
            lengths.append(length)
            length *= 2
        return [*lengths, longest]


# -------------------------------------------------------------------------------------------------- trainer


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
    exclude_from_weight_decay: list[str] = ["LayerNorm", "layer_norm", "bias"]
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


class Experiment(Section):
    """A whole run. `type` is the Model Garden's experiment_type."""

    type: str = Field(description="of a task family: bigbird/glue, ...")
    task: SerializeAsAny[Task]
    trainer: TrainerConfig = TrainerConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    def to_yaml(self) -> str:
        """The resolved configuration, loadable with `load_experiment`."""
        return dump_yaml(self.model_dump(mode="json"))


# -------------------------------------------------------------------------------------------------- loading


def load_experiment(
    experiment_type: str | None = None,
    config_files: Iterable[str | Path] = (),
    overrides: Iterable[str | dict[str, Any]] = (),
) -> Experiment:
    """Builds an experiment: defaults, then each file, then each override; the later wins key by key.

    Args:
        experiment_type: of a task family; None where a file states `type`.
        config_files: YAML files whose top level is `task`, `trainer`, `runtime` (and optionally `type`).
        overrides: `task.model.num_classes=3,trainer.train_steps=10` or nested dicts.

    Raises:
        InputError: a file that cannot be read, an unknown key, a wrong type or an impossible combination;
            every problem is listed with its full path, the value found and what is allowed.
    """
    from bigbird.tasks.registry import (  # each family's configuration is built on this module
        experiment_types,
        family_of_type,
    )

    tree: dict[str, Any] = {}
    for file in config_files:
        tree = merge(tree, read_yaml(file))
    for override in overrides:
        tree = merge(tree, parse_override(override) if isinstance(override, str) else override)
    stated = tree.pop("type", None)
    chosen = experiment_type or stated
    if chosen is None:
        raise InputError(
            f"the experiment's type is not given; pass --experiment_type, one of {', '.join(experiment_types())}"
        )
    if not isinstance(chosen, str) or chosen not in experiment_types():
        raise InputError(
            f"experiment type {shown(chosen)} is not known; expected one of {', '.join(experiment_types())}"
        )
    if stated is not None and stated != chosen:
        raise InputError(f"--experiment_type is {chosen!r} but the configuration file says type: {shown(stated)}")
    unknown = sorted(set(tree) - {"task", "trainer", "runtime"}, key=str)
    if unknown:
        told = [_unknown_key((key,), Experiment) for key in unknown[:MOST_PROBLEMS]]
        raise InputError(problem_list(told, more=len(unknown) - len(told)))
    sections: dict[str, type[Section]] = {
        "task": family_of_type(chosen).config,
        "trainer": TrainerConfig,
        "runtime": RuntimeConfig,
    }
    built: dict[str, Any] = {}
    problems: list[tuple[Any, str, type[Section]]] = []
    for name, section in sections.items():
        try:
            given = tree.get(name)  # a heading with nothing under it is None in YAML
            built[name] = section.model_validate({} if given is None else given)
        except ValidationError as error:
            problems += [(problem, name, section) for problem in error.errors(include_url=False)]
    if problems:
        told = [_describe(problem, (name,), section) for problem, name, section in problems[:MOST_PROBLEMS]]
        raise InputError(problem_list(told, more=len(problems) - len(told)))
    if built["task"].encoder.attention.implementation == "pallas" and built["runtime"].backend != "jax":
        raise InputError(
            f"task.model.encoder.bigbird.attention.implementation is pallas, a kernel of JAX', but runtime.backend is "
            f"{built['runtime'].backend}; set it to auto or xla, or runtime.backend to jax"
        )
    return Experiment.model_construct(**{"type": chosen, **built})


def replace(section: Any, **changes: Any) -> Any:
    """A copy of a section with `changes` (nested dicts allowed), validated like the original."""
    return type(section).model_validate(merge(section.model_dump(exclude_unset=True), changes))


def read_yaml(file: str | Path) -> dict[str, Any]:
    """Reads one YAML file whose top level is a mapping; `InputError` names the line of a syntax error."""
    return parse_yaml_mapping(read_text(file, "a YAML configuration in UTF-8"), str(file), TREE)


def _section_at(path: tuple[Any, ...], root: type[Section]) -> type[Section]:
    """The section class that a path inside `root` leads to."""
    section = root
    for part in path:
        field = section.model_fields.get(part)
        if field is None:
            break
        options = (
            typing.get_args(field.annotation) if isinstance(field.annotation, types.UnionType) else (field.annotation,)
        )
        inner = [option for option in options if isinstance(option, type) and issubclass(option, Section)]
        if not inner:
            break
        section = inner[0]
    return section


def _has_key(path: tuple[Any, ...], key: str, root: type[Section]) -> bool:
    return key in _section_at(path, root).model_fields


def _unknown_key(path: tuple[Any, ...], section: type[Section], prefix: tuple[Any, ...] = ()) -> str:
    allowed = [
        name for name in _section_at(path[:-1], section).model_fields if not (section is Experiment and name == "type")
    ]
    close = difflib.get_close_matches(cut(path[-1], 100), allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"{_dotted(prefix + path)}: unknown key{hint} Allowed here: {', '.join(allowed)}"


def _dotted(path: Iterable[Any]) -> str:
    return ".".join(cut(part, 100) for part in path)


def _describe(problem: Any, prefix: tuple[Any, ...], section: type[Section]) -> str:
    """One line for one of pydantic's errors: full path, what was found, what is allowed."""
    path = problem["loc"]
    if problem["type"] == "extra_forbidden":
        return _unknown_key(path, section, prefix)
    # Of a choice of types pydantic names the one it tried, as if that were a key.
    keys = [part for at, part in enumerate(path) if isinstance(part, int) or _has_key(path[:at], part, section)]
    where = _dotted((*prefix, *keys))
    if problem["type"] == "value_error":
        return f"{where}: {problem['ctx']['error']}"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{where}: found {shown(problem['input'])}; {message.replace('input should be', 'expected')}"
