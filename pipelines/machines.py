"""What training may run on: the profiles of `--machine`, and what Vertex AI and Kubernetes need to be told of each.

Machine types, accelerators and TPU topologies are those of
https://cloud.google.com/vertex-ai/docs/training/configure-compute and
https://cloud.google.com/kubernetes-engine/docs/how-to/tpus; CPUs and memory of a v6e's hosts are those of
https://cloud.google.com/tpu/docs/v6e.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bigbird.config import ENCODER_KEY, Experiment
from bigbird.support.errors import InputError
from bigbird_pipelines.images import TRAINING_IMAGES, Accelerator, Backend

GIB = 2**30

Strategy = Literal["standard", "spot", "flex-start"]
STRATEGIES: tuple[Strategy, ...] = ("standard", "spot", "flex-start")


@dataclass(frozen=True)
class Machine:
    """One machine for training.

    Attributes:
        machine_type: Compute Engine's name of it.
        cpus, memory_gib: what the machine has.
        distribution: the value of `runtime.distribution_strategy`.
        chips: accelerators, each a replica that takes its part of every batch; 1 without any.
        chip_memory_gib: of one accelerator; 0 without any.
        accelerator: Vertex AI's name of the GPU; empty where the machine type says it, as with TPUs.
        node_label: the value of GKE's accelerator label.
        backends: what can train on it, the default first.
        strategies: the ways in which it is lent, the default first.
        topology: how a TPU's chips are wired, as 2x2.
        generation: of a TPU, as v5e.
        reserved_gib: of a TPU chip's memory, what its compiler keeps from programs, by its own message.
        clock_hz: of a TPU's core: the chip's peak over the operations of its matrix units in a cycle.
        quota: what Vertex AI's quota counts: custom_model_training_QUOTA.
    """

    machine_type: str
    cpus: int
    memory_gib: int
    distribution: Literal["one_device", "mirrored", "tpu"] = "one_device"
    chips: int = 1
    chip_memory_gib: int = 0
    accelerator: str = ""
    node_label: str = ""
    topology: str = ""
    generation: str = ""
    reserved_gib: float = 0.0
    clock_hz: float = 0.0
    quota: str = ""
    backends: tuple[Backend, ...] = ("tensorflow", "jax")
    strategies: tuple[Strategy, ...] = STRATEGIES

    def runtime(self, backend: Backend | None = None) -> str:
        """What training is told of it: overrides of the experiment's `runtime`, under the user's own.

        Args:
            backend: what trains; where None the recipe says it, if there is a choice.
        """
        settings: dict[str, str | int] = {"distribution_strategy": self.distribution}
        if backend or len(self.backends) == 1:
            settings["backend"] = backend or self.backends[0]
        if self.accelerator_kind == "tpu":
            settings["tpu"] = "local"
        if self.accelerator_kind == "gpu":
            settings["num_gpus"] = self.chips  # else training goes on without them where the driver does not answer
        return ",".join(f"runtime.{name}={value}" for name, value in settings.items())

    def image(self, backend: Backend) -> str:
        """The image that trains on it."""
        return TRAINING_IMAGES[self.accelerator_kind][backend]

    @property
    def accelerator_kind(self) -> Accelerator:
        """What computes."""
        if self.topology:
            return "tpu"
        return "gpu" if self.chip_memory_gib else "cpu"

    @property
    def quota_units(self) -> int:
        """How much of its quota a training takes: CPUs or accelerators."""
        return self.chips if self.chip_memory_gib else self.cpus

    def quota_metric(self, strategy: Strategy) -> str:
        """The quota of Vertex AI that counts it; spot and flex-start have their own."""
        preemptible = "" if strategy == "standard" else "preemptible_"
        return f"aiplatform.googleapis.com/custom_model_training_{preemptible}{self.quota}"

    @property
    def is_tpu(self) -> bool:
        """Whether its accelerators are TPUs."""
        return self.accelerator_kind == "tpu"

    @property
    def resource(self) -> str:
        """Kubernetes' name of its accelerators; empty without any."""
        if not self.chip_memory_gib:
            return ""
        return "google.com/tpu" if self.is_tpu else "nvidia.com/gpu"


_TOPOLOGIES = {1: "1x1", 4: "2x2", 8: "2x4"}


def _v5e(chips: int, cpus: int, memory_gib: int) -> Machine:
    return Machine(
        f"ct5lp-hightpu-{chips}t",
        cpus,
        memory_gib,
        distribution="tpu",
        chips=chips,
        chip_memory_gib=16,
        node_label="tpu-v5-lite-podslice",
        topology=_TOPOLOGIES[chips],
        generation="v5e",
        reserved_gib=0.25,
        clock_hz=1.5e9,
        quota="tpu_v5e",
    )


def _v6e(chips: int, cpus: int, memory_gib: int) -> Machine:
    return Machine(
        f"ct6e-standard-{chips}t",
        cpus,
        memory_gib,
        distribution="tpu",
        chips=chips,
        chip_memory_gib=32,
        node_label="tpu-v6e-slice",
        topology=_TOPOLOGIES[chips],
        generation="v6e",
        reserved_gib=0.77,
        clock_hz=1.75e9,
        quota="tpu_v6e",
        backends=("jax",),  # TensorFlow's TPU runtime ends with the v5e
    )


def _gpu(
    machine_type: str,
    name: str,
    cpus: int,
    memory_gib: int,
    chip_memory_gib: int,
    label: str,
    strategies: tuple[Strategy, ...] = STRATEGIES,
) -> Machine:
    return Machine(
        machine_type,
        cpus,
        memory_gib,
        chip_memory_gib=chip_memory_gib,
        accelerator=name,
        node_label=label,
        quota=f"{label.removesuffix('-80gb').replace('tesla-', '').replace('-', '_')}_gpus",
        strategies=strategies,
    )


MACHINES: dict[str, Machine] = {
    "cpu": Machine("n2-standard-16", 16, 64, quota="n2_cpus"),
    "gpu-l4": _gpu("g2-standard-12", "NVIDIA_L4", 12, 48, 24, "nvidia-l4"),
    "gpu-a100": _gpu("a2-highgpu-1g", "NVIDIA_TESLA_A100", 12, 85, 40, "nvidia-tesla-a100"),
    # With fewer than eight H100 this machine type is lent as flex-start and spot only.
    "gpu-h100": _gpu(
        "a3-highgpu-1g", "NVIDIA_H100_80GB", 26, 234, 80, "nvidia-h100-80gb", strategies=("flex-start", "spot")
    ),
    "tpu-v5e-1": _v5e(1, 24, 48),
    "tpu-v5e-4": _v5e(4, 112, 192),
    "tpu-v5e-8": _v5e(8, 224, 384),
    "tpu-v6e-1": _v6e(1, 44, 176),
    "tpu-v6e-4": _v6e(4, 180, 720),
    "tpu-v6e-8": _v6e(8, 180, 1440),
}


@dataclass(frozen=True)
class StepResources:
    """What a step that is not training asks for."""

    cpus: int
    memory_gib: int


# Preprocessing holds a shard's records, the others a model; evaluation and registration answer the whole validation split.
STEP_RESOURCES: dict[str, StepResources] = {
    "resolve": StepResources(1, 4),
    "check": StepResources(2, 8),
    "preprocess": StepResources(8, 32),
    "evaluate": StepResources(16, 64),
    "export": StepResources(4, 16),
    "skip_export": StepResources(1, 4),
    "register": StepResources(16, 64),
    "notify": StepResources(1, 4),
    "announce": StepResources(1, 4),
}


def check_strategy(name: str, strategy: Strategy | None, machines: Mapping[str, Machine] = MACHINES) -> Strategy:
    """The way in which a machine is to be lent; its default where none is asked for.

    Args:
        name: of the machine.
        strategy: as it was asked for.
        machines: the platform's, by name.

    Raises:
        InputError: it is not lent that way.
    """
    offered = machines[name].strategies
    if strategy is not None and strategy not in offered:
        raise InputError(
            f"--machine {name} with --strategy {strategy}: {machines[name].machine_type} is lent as {' or '.join(offered)} only"
        )
    return strategy or offered[0]


def check_backend(name: str, backend: Backend | None, machines: Mapping[str, Machine] = MACHINES) -> Backend:
    """What is to train on a machine; its default where none is asked for.

    Args:
        name: of the machine.
        backend: as it was asked for.
        machines: the platform's, by name.

    Raises:
        InputError: it cannot train there.
    """
    offered = machines[name].backends
    if backend is not None and backend not in offered:
        raise InputError(
            f"--machine {name} with runtime.backend {backend}: it trains on {' or '.join(offered)} only; leave the backend out"
        )
    return backend or offered[0]


# Bytes that a training step keeps for an example, per token, layer and hidden unit, by the TPU compiler's figures for our own step
# (`bigbird preflight`; TPU v5e, SQuAD, base size, 4,096 tokens), by what computes attention, dtype and gradient checkpointing.
# Temporaries, in MB, of 2 and of 4 examples a chip on TensorFlow (libtpu 0.0.52), and of 4 and of 8 with JAX' kernel
# (0.0.42.1; in float32 without checkpointing of 2 and of 4):
#     XLA     bfloat16  3,010  6,051    with gradient checkpointing  1,460  2,564
#     XLA     float32   3,776  7,579    with gradient checkpointing  2,171  4,608
#     kernel  bfloat16  3,421  6,793    with gradient checkpointing    694  1,531
#     kernel  float32   3,409  6,853    with gradient checkpointing  1,771  3,232
# Two examples more are 75.5 million tokens x layers x units, and the difference divided by these is the constant. Near a full
# memory the compiler computes activations again on its own, so more examples fit, in slower steps.
_BYTES_PER_UNIT = {
    ("xla", "bfloat16", False): 40.3,
    ("xla", "bfloat16", True): 14.6,
    ("xla", "float32", False): 50.4,
    ("xla", "float32", True): 32.3,
    ("kernel", "bfloat16", False): 22.3,
    ("kernel", "bfloat16", True): 5.5,
    ("kernel", "float32", False): 45.6,
    ("kernel", "float32", True): 9.7,
}
# What does not grow with the batch, per parameter: 12 for float32 weights and Adam's two moments (1,524 MB in all), the rest
# for gradients and the program's own code (250 to 340 MB).
_BYTES_PER_PARAMETER = 18.0


def check_batch(name: str, experiment: Experiment, machines: Mapping[str, Machine] = MACHINES) -> None:
    """Raises `InputError` unless a training's batch can be split over a machine's chips."""
    machine, batch = machines[name], experiment.task.train_data.global_batch_size
    if batch % machine.chips:
        nearest = max(machine.chips, round(batch / machine.chips) * machine.chips)
        raise InputError(
            f"--machine {name}: its {machine.chips} chips each take the same part of a batch, but the batch size is {batch}; "
            f"expected a multiple of {machine.chips}, for example --batch-size {nearest}"
        )


def check_fits(name: str, experiment: Experiment, machines: Mapping[str, Machine] = MACHINES) -> list[str]:
    """Holds a machine against a training's batch and length.

    Args:
        name: of the machine.
        experiment: what is to be trained.
        machines: the platform's, by name.

    Returns:
        Warnings, for what is estimated and not certain.

    Raises:
        InputError: the batch cannot be split over the machine's chips.
    """
    check_batch(name, experiment, machines)
    machine = machines[name]
    data, encoder = experiment.task.train_data, experiment.task.encoder
    batch = data.batch_size_at(data.seq_length)
    if not machine.chip_memory_gib:
        return []
    checkpointed = encoder.use_gradient_checkpointing
    # A kernel needs sizes that fill a chip's vectors, as the published ones do; whether others do only JAX can tell.
    by_kernel = experiment.runtime.backend == "jax" and encoder.attention.implementation in ("auto", "pallas")
    per_unit = _BYTES_PER_UNIT["kernel" if by_kernel else "xla", experiment.runtime.mixed_precision_dtype, checkpointed]
    units = data.seq_length * encoder.num_layers * encoder.hidden_size
    parameters = encoder.num_layers * 12 * encoder.hidden_size**2 + encoder.vocab_size * encoder.hidden_size
    need = batch / machine.chips * units * per_unit + parameters * _BYTES_PER_PARAMETER
    if need <= machine.chip_memory_gib * GIB:
        return []
    remedy = (
        "a smaller --batch-size"
        if checkpointed
        else (f"--override {ENCODER_KEY}.use_gradient_checkpointing=true or a smaller --batch-size")
    )
    warning = (
        f"--machine {name}: a step may need about {need / GIB:.1f} GiB a chip, which has {machine.chip_memory_gib} GiB "
        f"(batch {batch} over {machine.chips}, {data.seq_length} tokens); if it runs out of memory, take {remedy}"
    )
    if machine.is_tpu:
        warning += "; `bigbird preflight` asks the compiler, which knows"
    return [warning]
