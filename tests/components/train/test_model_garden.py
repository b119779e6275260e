"""The Model Garden's two command lines with its own recipe files and records, shrunk by overrides only."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from bigbird.records import features
from bigbird.support.artifacts import read_json
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}", "TF_CPP_MIN_LOG_LEVEL": "3"}

# The keys and values of official/projects/bigbird/experiments, as the Model Garden publishes them.
GLUE_RECIPE = """\
task:
  hub_module_url: ''
  model:
    num_classes: 3
    encoder: {type: bigbird, bigbird: {use_gradient_checkpointing: false}}
  init_checkpoint: 'TODO'
  metric_type: 'accuracy'
  train_data: {drop_remainder: true, global_batch_size: 32, input_path: 'TODO', is_training: true, seq_length: 1024, label_type: 'int'}
  validation_data: {drop_remainder: false, global_batch_size: 32, input_path: 'TODO', is_training: false, seq_length: 1024, label_type: 'int'}
trainer:
  checkpoint_interval: 3000
  optimizer_config:
    learning_rate: {type: polynomial, polynomial: {decay_steps: 36813, end_learning_rate: 0.0, initial_learning_rate: 3.0e-05, power: 1.0}}
    optimizer: {type: adamw}
    warmup: {type: polynomial, polynomial: {power: 1, warmup_steps: 3681}}
  steps_per_loop: 1000
  summary_interval: 1000
  train_steps: 36813
  validation_interval: 6135
  validation_steps: 307
  best_checkpoint_export_subdir: 'best_ckpt'
  best_checkpoint_eval_metric: 'cls_accuracy'
  best_checkpoint_metric_comp: 'higher'
"""
SQUAD_RECIPE = """\
task:
  hub_module_url: ''
  model:
    encoder: {type: bigbird, bigbird: {use_gradient_checkpointing: false}}
  max_answer_length: 30
  n_best_size: 20
  null_score_diff_threshold: 0.0
  init_checkpoint: 'TODO'
  train_data: {drop_remainder: true, global_batch_size: 48, input_path: 'TODO', is_training: true, seq_length: 1024}
  validation_data: {do_lower_case: true, doc_stride: 128, drop_remainder: false, global_batch_size: 48, input_path: 'TODO', is_training: false, query_length: 64, seq_length: 1024, tokenization: SentencePiece, version_2_with_negative: false, vocab_file: 'TODO'}
trainer:
  checkpoint_interval: 1000
  max_to_keep: 5
  optimizer_config:
    learning_rate: {type: polynomial, polynomial: {decay_steps: 3699, end_learning_rate: 0.0, initial_learning_rate: 8.0e-05, power: 1.0}}
    optimizer: {type: adamw}
    warmup: {type: polynomial, polynomial: {power: 1, warmup_steps: 370}}
  steps_per_loop: 1000
  summary_interval: 1000
  train_steps: 3699
  validation_interval: 1000
  validation_steps: 226
  best_checkpoint_export_subdir: 'best_ckpt'
  best_checkpoint_eval_metric: 'final_f1'
  best_checkpoint_metric_comp: 'higher'
"""

LENGTH = 64
ENCODER = {
    "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 120,
    "max_position_embeddings": LENGTH, "block_size": 16,
}  # fmt: skip
SHRINK = ",".join(
    [
        *(f"task.model.encoder.bigbird.{key}={value}" for key, value in ENCODER.items()),
        f"task.train_data.seq_length={LENGTH},task.validation_data.seq_length={LENGTH}",
        "task.train_data.global_batch_size=8,task.validation_data.global_batch_size=8",
        "trainer.train_steps=6,trainer.checkpoint_interval=3,trainer.validation_interval=3",
    ]
)
CONTEXT = "the old mill by the river was built by anna kern in may and sold to paul weber in june"


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    file = tmp_path_factory.mktemp("vocabulary") / "vocab_sp.model"
    words = CONTEXT.split()
    rng = random.Random(0)
    file.write_bytes(train_vocabulary((" ".join(rng.choices(words, k=12)) for _ in range(200)), 110))
    return Vocabulary(file), file


def _padded(tokens):
    """The three token features as the Model Garden writes them: of full length, the mask saying what is real."""
    padding = LENGTH - len(tokens)
    return {
        "input_ids": tokens + [0] * padding,
        "input_mask": [1] * len(tokens) + [0] * padding,
        "segment_ids": [0] * LENGTH,
    }


def _write(file, records):
    file.write_bytes(b"".join(features.frame(features.encode(record)) for record in records))
    return file


def _glue_records(file, count, first=0):
    rng = random.Random(first)
    return _write(
        file,
        [
            _padded([2, 10 + label, *rng.choices(range(20, 100), k=rng.randint(3, 40)), 3])
            | {"label_ids": [label], "is_real_example": [1], "example_id": [first + i]}
            for i, label in enumerate(rng.choices(range(3), k=count))
        ],
    )


def _squad_records(file, vocabulary, count):
    question, context = (ids.tolist() for ids in vocabulary.encode(["who built the mill", CONTEXT]))
    head = [vocabulary.cls_id, *question, vocabulary.sep_id]
    tokens = [*head, *context, vocabulary.sep_id]
    assert len(tokens) <= LENGTH
    mask = [0] * len(head) + [1] * len(context)
    common = _padded(tokens) | {"paragraph_mask": mask + [0] * (LENGTH - len(mask)), "class_index": [0]}
    start = len(head) + 8
    answer = {"start_positions": [start], "end_positions": [start + 1], "is_impossible": [0]}
    return _write(file, [common | answer | {"unique_ids": [1_000_000_000 + i]} for i in range(count)])


def _run(folder, arguments):
    command = [sys.executable, "-m", "bigbird_components.train", *arguments]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False
    )


def _checkpoint(folder, task, records):
    """An encoder of the recipe's size, as a Model Garden object checkpoint."""
    from bigbird.checkpoints.convert import convert
    from bigbird.config import load_experiment
    from bigbird_components.train.train import train

    overrides = [f"{SHRINK},trainer.train_steps=1,task.train_data.input_path={records}"]
    if task == "bigbird/glue":
        overrides.append("task.model.num_classes=3")
    train(load_experiment(task, overrides=overrides), folder / "first", "train")
    return convert(str(folder / "first"), str(folder / "checkpoint"), "model_garden").checkpoint


@pytest.mark.slow
def test_the_glue_command_line_with_padded_records(tmp_path):
    (tmp_path / "glue_mnli_matched.yaml").write_text(GLUE_RECIPE)
    train = _glue_records(tmp_path / "train.tf_record", 40)
    dev = _glue_records(tmp_path / "eval.tf_record", 21, first=100)
    checkpoint = _checkpoint(tmp_path, "bigbird/glue", train)
    theirs = [
        "--experiment_type=bigbird/glue", "--config_file=glue_mnli_matched.yaml",
        f"--params_override=task.init_checkpoint={checkpoint}", "--params_override=runtime.distribution_strategy=mirrored",
        f"--params_override=task.train_data.input_path={train},task.validation_data.input_path={dev}",
        "--mode=train_and_eval",
    ]  # fmt: skip
    result = _run(tmp_path, [*theirs, f"--params_override={SHRINK}"])
    assert result.returncode == 0, result.stderr[-3000:]
    assert "validation at step 6" in result.stderr and f"weights from {checkpoint}" in result.stderr
    manifest = read_json(tmp_path / "model" / "model.json", "manifest")
    assert (manifest["steps"], manifest["best"]) == (6, "best_ckpt")
    history = read_json(tmp_path / "model" / "history.json", "history")
    validated = [entry for entry in history if entry["kind"] == "validation"]
    assert [entry["step"] for entry in validated] == [3, 6]
    assert all(entry["accuracy"] * 21 == pytest.approx(round(entry["accuracy"] * 21)) for entry in validated)
    assert (tmp_path / "model" / "best_ckpt" / "state.json").exists()
    # Padding is no token. Six batches of 8 are each of the 40 records once, and 8 of them again.
    assert "padded to 64 tokens" in result.stderr
    lengths = [sum(features.decode(record)["input_mask"]) for record in features.read_records(train)]
    (speed,) = read_json(tmp_path / "model" / "speed.json", "speeds")
    tokens = 6 * speed["tokens_per_second"] / speed["steps_per_second"]
    assert 8 * min(lengths) < tokens - sum(lengths) < 8 * max(lengths) < 8 * LENGTH

    on_tpu = _run(
        tmp_path,
        [
            *theirs,
            f"--params_override={SHRINK}",
            "--params_override=runtime.distribution_strategy=tpu",
            "--tpu=no-such-tpu-here",
        ],
    )
    assert on_tpu.returncode == 2, on_tpu.stderr[-2000:]
    assert "TPU 'no-such-tpu-here' cannot be reached" in on_tpu.stderr and "Traceback" not in on_tpu.stderr


@pytest.mark.slow
def test_the_squad_command_line_with_raw_json_to_validate_on(tmp_path, vocabulary):
    vocabulary, vocab_file = vocabulary
    (tmp_path / "squad_v1.yaml").write_text(SQUAD_RECIPE)
    train = _squad_records(tmp_path / "train.tf_record", vocabulary, 24)
    checkpoint = _checkpoint(tmp_path, "bigbird/squad", train)
    questions = [
        {"id": f"q{i}", "question": text, "answers": [{"text": answer, "answer_start": CONTEXT.index(answer)}]}
        for i, (text, answer) in enumerate([("who built the mill", "anna kern"), ("when was it sold", "june")])
    ]
    dev = tmp_path / "dev-v1.1.json"
    paragraphs = [{"context": CONTEXT, "qas": questions}]
    dev.write_text(json.dumps({"version": "1.1", "data": [{"title": "mill", "paragraphs": paragraphs}]}))
    inputs = f"task.train_data.input_path={train},task.validation_data.input_path={dev}"
    result = _run(
        tmp_path,
        [
            "--experiment_type=bigbird/squad", "--config_file=squad_v1.yaml",
            f"--params_override=task.init_checkpoint={checkpoint}",
            f"--params_override={inputs},task.validation_data.vocab_file={vocab_file}",
            "--params_override=runtime.distribution_strategy=mirrored", "--mode=train_and_eval",
            f"--params_override={SHRINK},task.validation_data.query_length=12",
        ],
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    manifest = read_json(tmp_path / "model" / "model.json", "manifest")
    assert set(manifest["metrics"]) >= {"f1", "exact_match"} and manifest["dataset"]["task"] == "squad_v1"
    assert (tmp_path / "model" / "vocab.model").read_bytes() == vocab_file.read_bytes()
    without = _run(
        tmp_path,
        [
            "--experiment_type=bigbird/squad",
            "--config_file=squad_v1.yaml",
            "--mode=eval",
            f"--params_override={inputs},{SHRINK}",
        ],
    )
    assert without.returncode == 2 and "task.validation_data.vocab_file must name" in without.stderr


@pytest.mark.slow
def test_continuous_eval_follows_a_run_in_mode_train(tmp_path):
    train = _glue_records(tmp_path / "train.tf_record", 40)
    dev = _glue_records(tmp_path / "eval.tf_record", 21, first=100)
    common = [
        "--experiment_type=bigbird/glue",
        "--params_override=task.model.num_classes=3",
        f"--params_override={SHRINK},trainer.train_steps=12,trainer.continuous_eval_timeout=100",
    ]
    watcher = subprocess.Popen(
        [sys.executable, "-m", "bigbird_components.train", *common, "--mode=continuous_eval",
         f"--params_override=task.validation_data.input_path={dev}"],
        cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        run = _run(tmp_path, [*common, "--mode=train", f"--params_override=task.train_data.input_path={train}"])
        assert run.returncode == 0, run.stderr[-3000:]
        _, stderr = watcher.communicate(timeout=200)
    finally:
        watcher.kill()
        watcher.wait()
    assert watcher.returncode == 0, stderr[-3000:]
    last = read_json(tmp_path / "model" / "validation.json", "validation")
    assert last["step"] == 12 and set(last["metrics"]) == {"loss", "accuracy"}
    history = read_json(tmp_path / "model" / "validation" / "history.json", "history")
    assert [entry["step"] for entry in history][-1] == 12
    best = max(history, key=lambda entry: entry["accuracy"])
    manifest = read_json(tmp_path / "model" / "model.json", "manifest")
    assert (manifest["best"], manifest["best_step"]) == ("best", best["step"])
    assert manifest["metrics"]["accuracy"] == best["accuracy"]
    assert read_json(tmp_path / "model" / "best" / "state.json", "state")["step"] == best["step"]

    nobody = _run(
        tmp_path,
        [
            *common,
            "--mode=continuous_eval",
            "--model_dir=empty",
            f"--params_override=task.validation_data.input_path={dev}",
            "--params_override=trainer.continuous_eval_timeout=1",
        ],
    )
    assert nobody.returncode == 2 and "no new checkpoint for 1 s (there is none" in nobody.stderr
