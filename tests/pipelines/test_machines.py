"""Machines: what each is called elsewhere, and what it cannot do."""

import pytest

from bigbird.config import load_experiment
from bigbird.support.errors import InputError
from bigbird_components.run_configuration import resolve_experiment
from bigbird_pipelines.machines import MACHINES, STRATEGIES, check_backend, check_fits, check_strategy


def experiment(batch=8, length=1024, checkpointed=False, dtype="float32", backend="tensorflow", attention="auto"):
    data = {"seq_length": length, "global_batch_size": batch}
    encoder = {"use_gradient_checkpointing": checkpointed, "attention": {"implementation": attention}}
    tree = {"task": {"train_data": data, "validation_data": data, "model": {"encoder": {"bigbird": encoder}}}}
    tree["runtime"] = {"mixed_precision_dtype": dtype, "backend": backend}
    return load_experiment("bigbird/glue", overrides=[tree])


def test_tpus_machine_types_have_the_topologies_of_their_chips():
    tpus = {name: machine for name, machine in MACHINES.items() if machine.is_tpu}
    assert {name: (tpu.machine_type, tpu.topology, tpu.chips) for name, tpu in tpus.items()} == {
        "tpu-v5e-1": ("ct5lp-hightpu-1t", "1x1", 1), "tpu-v5e-4": ("ct5lp-hightpu-4t", "2x2", 4),
        "tpu-v5e-8": ("ct5lp-hightpu-8t", "2x4", 8), "tpu-v6e-1": ("ct6e-standard-1t", "1x1", 1),
        "tpu-v6e-4": ("ct6e-standard-4t", "2x2", 4), "tpu-v6e-8": ("ct6e-standard-8t", "2x4", 8),
    }  # fmt: skip


def test_quotas_are_those_that_count_the_machine():
    prefix = "aiplatform.googleapis.com/custom_model_training_"
    assert {name: machine.quota_metric("standard").removeprefix(prefix) for name, machine in MACHINES.items()} == {
        "cpu": "n2_cpus", "gpu-l4": "nvidia_l4_gpus", "gpu-a100": "nvidia_a100_gpus", "gpu-h100": "nvidia_h100_gpus",
        "tpu-v5e-1": "tpu_v5e", "tpu-v5e-4": "tpu_v5e", "tpu-v5e-8": "tpu_v5e",
        "tpu-v6e-1": "tpu_v6e", "tpu-v6e-4": "tpu_v6e", "tpu-v6e-8": "tpu_v6e",
    }  # fmt: skip
    assert MACHINES["gpu-h100"].quota_metric("flex-start") == f"{prefix}preemptible_nvidia_h100_gpus"


@pytest.mark.parametrize("name", MACHINES)
def test_training_resolves_what_a_machine_asks_for_under_the_users_own(name):
    machine = MACHINES[name]
    for backend in machine.backends:
        runtime = resolve_experiment("sst2", overrides=machine.runtime(backend)).runtime
        assert (runtime.backend, runtime.distribution_strategy) == (backend, machine.distribution)
        assert runtime.tpu == ("local" if machine.is_tpu else "")
        assert runtime.num_gpus == (1 if name.startswith("gpu") else None)
    users = f"{machine.runtime()},runtime.distribution_strategy=mirrored"
    assert resolve_experiment("sst2", overrides=users).runtime.distribution_strategy == "mirrored"


@pytest.mark.parametrize("name", MACHINES)
def test_a_recipe_says_the_backend_where_a_machine_leaves_a_choice(name):
    runtime = resolve_experiment("sst2", "runtime: {backend: jax}", overrides=MACHINES[name].runtime()).runtime
    assert runtime.backend == "jax"
    assert check_backend(name, "jax") == "jax"
    assert check_backend(name, None) == ("jax" if "v6e" in name else "tensorflow")


def test_a_v6e_trains_on_jax_only():
    with pytest.raises(
        InputError, match=r"--machine tpu-v6e-8 with runtime\.backend tensorflow: it trains on jax only"
    ):
        check_backend("tpu-v6e-8", "tensorflow")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_that_is_offered_is_taken(strategy):
    assert check_strategy("tpu-v5e-4", strategy) == strategy


def test_the_usual_strategy_is_standard_where_it_is_offered():
    assert {name: check_strategy(name, None) for name in ("cpu", "gpu-h100")} == {
        "cpu": "standard",
        "gpu-h100": "flex-start",
    }
    with pytest.raises(InputError, match="a3-highgpu-1g is lent as flex-start or spot only"):
        check_strategy("gpu-h100", "standard")


def test_a_batch_must_split_over_the_chips():
    assert check_fits("tpu-v5e-8", experiment(batch=16)) == []
    with pytest.raises(InputError, match="expected a multiple of 8, for example --batch-size 16"):
        check_fits("tpu-v5e-8", experiment(batch=14))
    with pytest.raises(InputError, match="for example --batch-size 4"):
        check_fits("tpu-v5e-4", experiment(batch=1))


def test_a_step_that_may_not_fit_is_warned_about():
    (warning,) = check_fits("tpu-v5e-1", experiment(batch=12, length=4096))
    assert "a step may need about 23.3 GiB a chip, which has 16 GiB (batch 12 over 1, 4096 tokens)" in warning
    assert "use_gradient_checkpointing=true" in warning
    assert "`bigbird preflight` asks the compiler" in warning
    assert check_fits("tpu-v5e-1", experiment(batch=12, length=4096, checkpointed=True)) == []
    assert check_fits("tpu-v5e-1", experiment(batch=8, length=4096, dtype="bfloat16")) == []
    assert check_fits("tpu-v5e-4", experiment(batch=12, length=4096)) == []
    assert check_fits("gpu-h100", experiment(batch=12, length=4096)) == []
    assert check_fits("cpu", experiment(batch=64, length=4096)) == []


def test_the_kernel_of_jax_needs_less():
    def step(**how):
        return experiment(batch=24, length=4096, dtype="bfloat16", backend="jax", **how)

    assert check_fits("tpu-v6e-1", step()) == []
    (warning,) = check_fits("tpu-v6e-1", step(attention="xla"))
    assert "a step may need about 36.1 GiB a chip" in warning
    (warning,) = check_fits("tpu-v5e-1", step())
    assert "a step may need about 20.9 GiB a chip" in warning
    assert check_fits("tpu-v5e-1", step(checkpointed=True)) == []


def test_only_a_tpus_warning_names_the_compiler():
    (warning,) = check_fits("gpu-l4", experiment(batch=16, length=4096))
    assert "preflight" not in warning
