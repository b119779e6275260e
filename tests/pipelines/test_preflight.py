"""`bigbird preflight`. Steps are compiled with the TPU's compiler, which needs no TPU."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from bigbird.support.artifacts import write_json
from bigbird.support.commands import EXIT_DOES_NOT_FIT
from bigbird.support.errors import InputError
from bigbird_components.run_configuration import resolve_experiment
from bigbird_pipelines import cli
from bigbird_pipelines.machines import MACHINES
from bigbird_pipelines.preflight import command
from bigbird_pipelines.preflight.compiler import out_of_memory
from bigbird_pipelines.preflight.estimate import estimate
from bigbird_pipelines.preflight.job import count_steps, padded_length, plan, with_classes, with_manifest
from bigbird_pipelines.preflight.programs import Compiler, Program
from bigbird_pipelines.preflight.search import largest_batch

GIB = 2**30
BERT = Path(__file__).parents[1] / "checkpoints" / "recordings" / "hugging_face_bert" / "bare"
TINY = """
task:
  model:
    encoder:
      bigbird: {vocab_size: 512, hidden_size: 64, num_layers: 1, num_attention_heads: 1, intermediate_size: 128, max_position_embeddings: 1024, block_size: 16, num_rand_blocks: 1}
  bucket_lengths: [128, 256]
  train_data: {seq_length: 256, global_batch_size: 8}
  validation_data: {seq_length: 256, global_batch_size: 8}
trainer: {train_steps: 1000}
"""


@pytest.fixture
def recipe(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    return str(file)


def preflight(*arguments):
    return CliRunner().invoke(cli.cli, ["preflight", *arguments])


# ------------------------------------------------------------------------------------------------ real compilations


@pytest.mark.slow
def test_a_step_is_compiled_and_described_for_programs(recipe):
    result = preflight(
        "--task", "squad_v1", "--recipe", recipe, "--machine", "tpu-v5e-4", "--price", "1.2", "--no-search", "--json"
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["basis"] == "estimates of the TPU compiler, not measurements"
    assert found["fits"] is True
    assert found["batch"] == {"global": 8, "chip": 2, "length": 256}
    memory = found["memory"]
    assert memory["total"] == sum(memory[part] for part in ("arguments", "outputs", "temporaries", "code"))
    # Weights and two moments, float32; small ones are padded to whole tiles.
    weights = 4 * 3 * (512 * 64 + 1024 * 64 + 4 * 64 * 64 + 2 * 64 * 128)
    assert weights < memory["arguments"] < 2 * weights
    assert memory["outputs"] < 100_000  # the new weights take the place of the old ones
    assert found["cycles"] > 10_000
    run = found["run"]
    assert (run["steps"], run["step_s"]) == (1000, found["cycles"] / 1.5e9)
    assert run["price"] == pytest.approx(4 * 1000 * run["step_s"] / 3600 * 1.2)
    assert found["largest_batch"] is None
    assert any("the time in which the 4 chips sum gradients" in note for note in found["not_included"])
    assert any("gather" in note for note in found["not_included"])
    assert "2 × 256 tokens on a chip: fits" in result.stderr


@pytest.mark.slow
def test_a_step_that_does_not_fit_ends_with_5(recipe):
    checkpointed = "task.model.encoder.bigbird.use_gradient_checkpointing=true"
    result = preflight(
        "--task", "squad_v1", "--recipe", recipe, "--batch-size", "200000", "--no-search", "--override", checkpointed
    )
    assert result.exit_code == EXIT_DOES_NOT_FIT == 5, result.output
    text = " ".join(result.stdout.split())
    assert "NO: at least" in text
    assert "a program can have 15.75 GiB of a chip's 16.00 GiB" in text
    assert "use a smaller --batch-size, or leave out --no-search" in text


@pytest.mark.long
def test_gradient_checkpointing_cuts_the_compilers_temporaries():
    """Of a recomputation that the compiler can tell to be one it keeps everything: see bigbird/layers/recompute.py."""
    base = (
        TINY.replace("num_layers: 1", "num_layers: 2")
        .replace("block_size: 16", "block_size: 64")
        .replace("256", "1024")
    )
    temporaries = {}
    for checkpointed in (False, True):
        override = f"task.model.encoder.bigbird.use_gradient_checkpointing={checkpointed}"
        experiment = resolve_experiment("squad_v1", base, overrides=override)
        temporaries[checkpointed] = Compiler(experiment, MACHINES["tpu-v5e-1"], 1024, 16 * GIB)(16).temporaries
    assert temporaries[True] < 0.75 * temporaries[False]


# Of the tiny model with a span head: tables, their norm, one layer, the head.
PARAMETERS = (512 + 1024 + 16 + 2) * 64 + 4 * (64 * 64 + 64) + 2 * 64 * 128 + 128 + 64 + 4 * 64 + 2 * 64 + 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("machine", "implementation", "kernels"),
    [("tpu-v5e-8", "auto", 2), ("tpu-v5e-8", "xla", 0), ("tpu-v6e-8", "auto", 2)],
)
def test_on_jax_the_sharded_step_is_compiled_with_its_sums_over_the_chips(recipe, machine, implementation, kernels):
    backend = () if "v6e" in machine else ("--backend", "jax")  # a v6e trains on nothing else
    override = f"task.model.encoder.bigbird.attention.implementation={implementation}"
    options = ("--machine", machine, *backend, "--override", override)
    result = preflight("--task", "squad_v1", "--recipe", recipe, "--no-search", "--json", *options)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["batch"] == {"global": 8, "chip": 1, "length": 256}
    assert found["collective_bytes"] == 4 * (PARAMETERS + 2)  # gradients, loss and tokens, float32
    assert 3 * 4 * PARAMETERS < found["memory"]["arguments"] < 2 * 3 * 4 * PARAMETERS
    assert found["memory"]["outputs"] < 100_000
    assert (found["programs"][0]["without_estimate"] or {}).get("custom-call", 0) == kernels  # forward and backward
    assert found["run"]["step_s"] == pytest.approx(found["cycles"] / (1.75e9 if "v6e" in machine else 1.5e9))
    assert found["memory"]["usable"] == round((31.23 if "v6e" in machine else 15.75) * GIB)
    assert any("the 8 chips sum" in note for note in found["not_included"])


@pytest.mark.parametrize(("task", "shape"), [("sst2", "int"), ("stsb", "float"), ("triviaqa_wikipedia", "span")])
def test_every_familys_batch_is_that_of_the_input_pipeline(task, shape):
    from bigbird_pipelines.preflight.lowering import _batch

    experiment = with_classes(resolve_experiment(task, TINY), task)
    batch = _batch(experiment, 3, 256)
    assert {name: tuple(value.shape) for name, value in batch.items()}["input_word_ids"] == (3, 256)
    targets = {"int": ("label_ids", (3,)), "float": ("label_ids", (3,)), "span": ("answer_starts", (3, 256))}
    name, expected = targets[shape]
    assert tuple(batch[name].shape) == expected
    assert batch[name].dtype == ("float32" if shape == "float" else "int32")


# ------------------------------------------------------------------------------------- a model of a checkpoint's sizes


def test_the_model_has_the_sizes_of_the_weights_that_it_starts_from(monkeypatch):
    fake_compiler(monkeypatch, GIB)
    options = ("--task", "squad_v1", "--batch-size", "8", "--max-length", "256", "--no-search", "--json")
    long = ("--override", "task.model.encoder.bigbird.max_position_embeddings=256")
    for given in (("--init-checkpoint", str(BERT)), ("--override", f"task.init_checkpoint={BERT}")):
        result = preflight(*options, *long, *given)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["model"] == {
            "num_layers": 2,
            "hidden_size": 16,
            "num_attention_heads": 2,
            "vocab_size": 40,
            "max_position_embeddings": 256,
        }


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("registry:reviews", "init_checkpoint registry:reviews: names a registered model, which preflight does not look up; expected"),
        ("no/such/bert", "no/such/bert"),
    ],
)  # fmt: skip
def test_weights_that_cannot_be_read_are_refused_before_anything_is_compiled(path, message):
    result = preflight("--task", "squad_v1", "--init-checkpoint", path)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.slow
def test_a_step_from_a_bert_is_compiled():
    """What is too long for its own positions: they are repeated, and attention is sparse."""
    result = preflight(
        "--task", "squad_v1", "--init-checkpoint", str(BERT), "--batch-size", "2", "--max-length", "1024", "--no-search",
        "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["model"]["hidden_size"], found["model"]["max_position_embeddings"]) == (16, 4096)
    assert found["fits"] and found["memory"]["arguments"] < 50 * 2**20  # the base size takes more than a gibibyte


# ------------------------------------------------------------------------------------------- options and the machine


@pytest.mark.parametrize("machine", ["cpu", "gpu-a100"])
def test_a_machine_that_is_no_tpu_is_refused(machine):
    result = preflight("--task", "sst2", "--machine", machine)
    assert result.exit_code == 2
    assert f"--machine {machine}: is no TPU" in result.stderr
    assert "expected one of tpu-v5e-1, tpu-v5e-4, tpu-v5e-8, tpu-v6e-1, tpu-v6e-4, tpu-v6e-8" in result.stderr


def test_an_absurd_batch_does_not_fit_and_is_not_compiled(recipe):
    options = ("--task", "squad_v1", "--recipe", recipe, "--machine", "tpu-v5e-1", "--no-search")
    result = preflight(*options, "--batch-size", "10000000000")
    assert result.exit_code == EXIT_DOES_NOT_FIT, result.output
    assert "use a smaller --batch-size, or leave out --no-search" in result.stdout


def test_each_override_must_be_one_and_the_kernel_is_jax_own():
    result = preflight("--task", "sst2", "--override", "trainer.train_steps=3", "--override", "nonsense")
    assert result.exit_code == 2
    assert "override 'nonsense': expected key.path=value" in result.stderr
    kernel = "task.model.encoder.bigbird.attention.implementation=pallas"
    result = preflight("--task", "sst2", "--override", kernel)
    assert result.exit_code == 2
    assert "is pallas, which is written in JAX, but runtime.backend is tensorflow" in result.stderr


def test_a_batch_that_cannot_be_split_is_refused():
    result = preflight("--task", "sst2", "--machine", "tpu-v5e-8", "--batch-size", "12")
    assert result.exit_code == 2
    assert "expected a multiple of 8" in result.stderr


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(command, "REQUIRED", {"no_such_module": "libtpu"})
    with pytest.raises(InputError, match=r"not installed .*: libtpu; .*pip install 'bigbird-pipelines\[preflight\]'"):
        command.check_installed()
    monkeypatch.setattr(command.platform, "machine", lambda: "arm64")
    with pytest.raises(InputError, match="made for linux on x86_64"):
        command.check_installed()


def fake_compiler(monkeypatch, per_row, fixed=2 * GIB):
    """Programs of a known size in place of compiled ones."""

    def compiled(self, rows):
        checkpointed = self._experiment.task.encoder.use_gradient_checkpointing
        size = fixed + rows * (per_row // 4 if checkpointed else per_row)
        if size > self._limit:
            return Program(rows, fits=False, seconds=0.0, needed=size)
        return Program(rows, True, 0.0, arguments=fixed, temporaries=size - fixed, cycles=1_500_000 * rows)

    monkeypatch.setattr(Compiler, "_compile", compiled)
    monkeypatch.setattr(command, "check_installed", lambda: None)


def test_the_report_tells_time_price_and_the_largest_batch(monkeypatch, recipe):
    fake_compiler(monkeypatch, GIB)
    result = preflight("--task", "squad_v1", "--recipe", recipe, "--machine", "tpu-v5e-4", "--price", "1.8")
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    for told in (
        "yes: 4.00 GiB; a program can have 15.75 GiB of a chip's 16.00 GiB", "3.0 million, 2.0 ms at 1.5 GHz",
        "1,024,000, padding included", "1,000 steps, 2s", "13 a chip, --batch-size 52; 14 a chip do not fit",
        "not measurements", "not included:",
    ):  # fmt: skip
        assert told in text


def test_remedies_are_what_was_compiled_and_fits(monkeypatch, recipe):
    fake_compiler(monkeypatch, 3 * GIB)
    result = preflight("--task", "squad_v1", "--recipe", recipe, "--batch-size", "8", "--json")
    assert result.exit_code == 5
    found = json.loads(result.stdout)
    assert (found["fits"], found["run"], found["largest_batch"]["chip"]) == (False, None, 4)
    assert found["remedies"] == [
        "--override task.model.encoder.bigbird.use_gradient_checkpointing=true: compiled, it fits with 8.00 GiB a chip",
        "--batch-size 4: compiled, it fits (4 a chip)",
    ]


def test_an_error_of_the_compiler_is_not_taken_for_a_lack_of_memory():
    assert out_of_memory("INTERNAL: something else") is None
    assert out_of_memory("RESOURCE_EXHAUSTED: no threads") is None
    told = "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory required for HLO temporaries (43.91G) exceeds available HBM (15.75G)."
    assert out_of_memory(told) == {"needed": round(43.91 * GIB), "usable": round(15.75 * GIB)}
    told = "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20.5G of 15.75G hbm."
    assert out_of_memory(told) == {"needed": round(20.5 * GIB), "usable": round(15.75 * GIB)}
    assert out_of_memory("RESOURCE_EXHAUSTED: HBM is full") == {"needed": None, "usable": None}


# ------------------------------------------------------------------------------------------------------- the estimate

HLO = """\
HloModule step, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b), backend_config={"window_config":{"estimated_cycles":"999"}}
}

%fused_gather (x: f32[8,128], i: s32[4]) -> f32[4,128] {
  %x = f32[8,128]{1,0:T(8,128)} parameter(0)
  %i = s32[4]{0:T(128)} parameter(1)
  ROOT %rows = f32[4,128]{1,0:T(8,128)} gather(%x, %i), offset_dims={1}
}

%inner_body (state: (s32[], f32[8])) -> (s32[], f32[8]) {
  %state = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) parameter(0)
  %work = f32[8]{0:T(128)} fusion(%state), kind=kLoop, calls=%add, backend_config={"window_config":{"estimated_cycles":"10"}}
  ROOT %out = (s32[], f32[8]) tuple(%state, %work)
}

%inner_condition (state.1: (s32[], f32[8])) -> pred[] {
  %state.1 = (s32[], f32[8]) parameter(0)
  %bound = s32[]{:T(128)} constant(7)
  %count = s32[] get-tuple-element(%state.1), index=0
  ROOT %less = pred[] compare(%count, %bound), direction=LT
}

%body (outer: (s32[], /*index=1*/f32[8], s32[])) -> (s32[], f32[8], s32[]) {
  %outer = (s32[], f32[8], s32[]) parameter(0)
  %zero = s32[] constant(2)
  %start = (s32[], f32[8]) tuple(%zero, %outer)
  %loop.1 = (s32[], f32[8]) while(%start), condition=%inner_condition, body=%inner_body
  %found = f32[4,128]{1,0} fusion(%outer, %zero), kind=kCustom, calls=%fused_gather
  ROOT %next = (s32[], f32[8], s32[]) tuple(%zero, %found, %zero)
}

%condition (outer.1: (s32[], f32[8], s32[])) -> pred[] {
  %outer.1 = (s32[], f32[8], s32[]) parameter(0)
  %count.1 = s32[] get-tuple-element(%outer.1), index=0
  %bound.1 = s32[] get-tuple-element(%outer.1), index=2
  ROOT %less.1 = pred[] compare(%count.1, %bound.1), direction=LT
}

%cheap (c: f32[8]) -> f32[8] {
  %c = f32[8] parameter(0)
  ROOT %copy = f32[8] copy(%c), backend_config={"window_config":{"estimated_cycles":"5"}}
}

%dear (d: f32[8]) -> f32[8] {
  %d = f32[8] parameter(0)
  ROOT %copy.1 = f32[8] copy(%d), backend_config={"window_config":{"estimated_cycles":"50"}}
}

ENTRY %main (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  %first = s32[]{:T(128)} constant(0)
  %first.copy = s32[]{:T(128)} copy(%first)
  %last = s32[] constant(3)
  %init = (s32[], f32[8], s32[]) tuple(%first.copy, %p, %last)
  %loop = (s32[], f32[8], s32[]) while(%init), condition=%condition, body=%body
  %known = (s32[], f32[8]) while(%init), condition=%condition, body=%inner_body, backend_config={"known_trip_count":{"n":"4"}}
  %total = f32[] reduce(%p, %first), dimensions={0}, to_apply=%add, backend_config={"window_config":{"estimated_cycles":"1000"}}
  %either = f32[8] conditional(%first, %p, %p), branch_computations={%cheap, %dear}
  %called = f32[8] call(%p), to_apply=%cheap
  %marker = f32[8] custom-call(), custom_call_target="AllocateBuffer"
  %kernel = f32[8] custom-call(%p), custom_call_target="Kernel"
  %sorted = f32[8] sort(%p), dimensions={0}, to_apply=%add
  ROOT %result = f32[8] copy(%p), backend_config={"window_config":{"estimated_cycles":"100"}}
}
"""


def test_cycles_are_summed_over_loops_calls_and_branches():
    found = estimate(HLO)
    loops = 3 * (7 - 2) * 10 + 4 * 10
    assert found.cycles == loops + 1000 + 50 + 5 + 100
    assert found.without_estimate == {"gather": 3, "custom-call": 1, "sort": 1}
    assert found.unknown_loops == 0


def test_a_loop_whose_runs_cannot_be_read_counts_once_and_is_told():
    found = estimate(HLO.replace("direction=LT", "direction=NE"))
    assert found.unknown_loops == 2
    assert found.cycles == 10 + 4 * 10 + 1000 + 50 + 5 + 100


def test_a_text_without_a_program_is_refused():
    with pytest.raises(ValueError, match="ENTRY"):
        estimate("HloModule nothing")


# --------------------------------------------------------------------------------------------------------- the search


@dataclass(frozen=True)
class Known:
    rows: int
    fits: bool
    memory: int | None


@pytest.mark.parametrize("told", [True, False])  # whether a program that does not fit tells its size
@pytest.mark.parametrize("first", [1, 2, 8, 40])
@pytest.mark.parametrize("per_row", [70, 150, 600])
def test_the_largest_batch_is_found_with_few_programs(per_row, first, told):
    asked = []

    def program(rows):
        asked.append(rows)
        memory = 200 + per_row * rows + rows * rows // 4  # nearly affine
        return Known(rows, memory <= 1575, memory if told or memory <= 1575 else None)

    found = largest_batch(program, first, 1575, most_programs=8)
    expected = max(rows for rows in range(40) if 200 + per_row * rows + rows * rows // 4 <= 1575)
    assert (found.rows, found.exact) == (expected, True)
    assert len(asked) == len(set(asked)) <= 8


def test_memory_that_hardly_grows_near_the_limit_does_not_mislead_the_search():
    """As the compiler's does, which then computes more and more again."""
    asked = []

    def program(rows):
        asked.append(rows)
        return Known(rows, rows <= 39, min(200 + 44 * rows, 1490 + rows) if rows <= 39 else None)

    found = largest_batch(program, 12, 1575, most_programs=8)
    assert found.rows >= 34
    assert max(asked) <= 60


def test_what_does_not_fit_and_hardly_grows_does_not_mislead_the_search():
    """As two of nearly one size, just too large, whose line would have it that next to nothing fits."""
    asked = []

    def program(rows):
        asked.append(rows)
        return Known(rows, rows <= 70, 300 + 8 * rows if rows <= 70 else 1600 + rows // 40)

    found = largest_batch(program, 80, 1575, most_programs=8)
    assert found.rows >= 68
    assert len(asked) <= 8


def test_no_batch_fits():
    found = largest_batch(lambda rows: Known(rows, False, 3000 + rows), 4, 1575)
    assert (found.rows, found.exact) == (0, True)


def test_a_search_that_is_cut_off_says_so():
    found = largest_batch(lambda rows: Known(rows, rows < 1000, None), 1, 1575, most_programs=3)
    assert (found.rows, found.exact, found.failing) == (4, False, None)


# ------------------------------------------------------------------------------------------------------------ the run


def test_a_runs_time_and_price():
    job = plan(150_000_000, clock_hz=1.5e9, batch=32, length=1024, chips=4, steps=36_000, price_per_chip_hour=1.2)
    assert (job.step_s, job.tokens_per_s) == (0.1, 327_680)
    assert (job.seconds, job.chip_hours) == (pytest.approx(3600), pytest.approx(4))
    assert job.price == pytest.approx(4.8)
    assert (
        plan(150_000_000, clock_hz=1.5e9, batch=32, length=1024, chips=4, steps=None, price_per_chip_hour=1.0).price
        is None
    )


def test_steps_are_the_recipes_or_follow_from_epochs():
    def experiment(**trainer):
        given = ",".join(f"trainer.{name}={value}" for name, value in trainer.items())
        return resolve_experiment("squad_v1", TINY, overrides=given)

    assert count_steps(experiment(), 50) == 1000
    epochs = experiment(train_steps=0, epochs=2)
    assert count_steps(epochs, 100) == 25
    assert count_steps(epochs, None) is None
    with pytest.raises(InputError, match=r"neither trainer.train_steps nor trainer.epochs"):
        count_steps(experiment(train_steps=0), 100)


def test_the_longest_training_batches_are_compiled():
    validation = "task.validation_data.seq_length=512,task.bucket_lengths=[128,256,512]"
    assert padded_length(resolve_experiment("squad_v1", TINY, overrides=validation)) == 256


def test_a_dataset_tells_its_size_its_vocabulary_and_its_classes(tmp_path):
    manifest = {
        "task": "own", "experiment_type": "bigbird/glue",
        "vocabulary": {"sha256": "0" * 64, "size": 777, "lower_case": False}, "labels": ["no", "yes", "perhaps"],
        "splits": {"train": {"records": 123}, "validation": {"records": 5}},
    }  # fmt: skip
    write_json(tmp_path / "dataset.json", manifest)
    plain = TINY.replace("vocab_size: 512, ", "")
    experiment, records = with_manifest(resolve_experiment("sst2", plain), tmp_path)
    assert (experiment.task.encoder.vocab_size, experiment.task.model.num_classes, records) == (777, 3, 123)
    assert with_manifest(resolve_experiment("sst2", TINY), tmp_path)[0].task.encoder.vocab_size == 512
    with pytest.raises(InputError, match="is for bigbird/glue, but the experiment's type is bigbird/squad"):
        with_manifest(resolve_experiment("squad_v1", TINY), tmp_path)
    write_json(tmp_path / "dataset.json", {**manifest, "splits": {"test": {"records": 5}}})
    with pytest.raises(InputError, match="has no train split; it has test"):
        with_manifest(resolve_experiment("sst2", TINY), tmp_path)
