"""Damaged and hostile files and options: each is read, or refused in one sentence of bounded length. Nothing else happens.

`BIGBIRD_FUZZ_EXAMPLES=20000` tries so many in all; without it there are enough for some seconds. Runs are the same every time.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from bigbird.checkpoints.settings import from_params
from bigbird.config import load_experiment
from bigbird.config.overrides import join_overrides, merge, parse_override
from bigbird.support.errors import InputError
from bigbird.support.text_files import decode, parse_json, read_json_lines, read_lines
from bigbird.support.yaml_files import dump_yaml, parse_yaml
from bigbird_components.run_configuration import resolve_experiment
from bigbird_pipelines.images import Images
from bigbird_pipelines.predict import read_examples
from bigbird_pipelines.recipes import FOLDER, recipe_text
from bigbird_pipelines.shortcuts import shortcut_overrides
from bigbird_pipelines.team_settings import TeamSettings, load_settings

EXAMPLES = int(os.environ.get("BIGBIRD_FUZZ_EXAMPLES", "600"))
SEED = 20261127

RECIPES = [file.read_bytes() for file in sorted(FOLDER.rglob("*.yaml"))]
JSON = [
    json.dumps({"text_a": "a film", "text_b": "é\u2028", "n": [1, 2.5e-3, None, True]}, ensure_ascii=False).encode(),
    b'{"question": "Who?", "context": "Ada \\ud83d\\ude00"}\n{"text_a": "b"}\r\n\n{"text_a": "c"}',
    json.dumps({name: f"r/p/{name}@sha256:0" for name in ("preprocess", "train", "evaluate", "export")}).encode(),
]
TOML = [
    "".join(["[bigbird]\n", *(f'{name} = "gs://a-b/{name}"\n' for name in TeamSettings.model_fields)]).encode(),
    b'[bigbird]\nproject = "my-project"\nregion = "europe-west4"\nnotify_emails = ["a@b.c"]\n',
]
OVERRIDES = [
    b"task.init_checkpoint=gs://b/x,task.train_data.input_path=[a,b],trainer.train_steps=10,runtime.seed=3",
    b"task={train_data: {seq_length: 512}, bucket_lengths: [128, 512]},trainer.epochs=2.5",
    b"task.metric_type='f1',task.model.encoder.bigbird.size=small",
]

# What parsers are known to fall over.
POISON = [
    b"", b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", "\u2028".encode(), "\x85".encode(), b"\f", b"\r", b"\r\n", b"\n", b"\t",
    b"\\ud800", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\U00110000"', b'"\\UFFFFFFFF"', b'"\\x"', b"\xed\xa0\x80", b"\\", b'"', b"'", b"'''", b'"""',
    b"[" * 2000, b"{a: " * 500, b"- " * 500, b'{"a":' * 500, b"]" * 50, b"[" * 90 + b"]" * 90, b"a." * 500, b"[[bigbird]]\n", b"[bigbird.a]\n",
    b"9" * 6000, b"0x" + b"f" * 6000, b"1" * 400, b"1e999", b"-1e-999", b"1" * 20 + b".5", b"0100", b"1:30", b"0o9", b".inf", b".nan", b"NaN", b"-Infinity",
    b"2026-99-99", b"2026-01-01T99:99:99Z", b"!!int x", b"!!timestamp x", b"!!float x", b"!!bool x", b"!!null x", b"!!binary x", b"!!set {a}",
    b"!!omap [a: 1]", b"!!python/object/apply:os.system [x]", b"!!python/name:os.system", b"!x y", b"! y", b"!<tag:%ff> y", b"%YAML 9.9\n", b"%TAG ! x\n",
    b"&a [*a]", b"&a {b: *a}", b"*a", b"&a", b"<<: *a", b"<<: 5", b"<<: [[1]]", b"<<: {task: {}}", b"? [a]\n: 1", b"1: 2", b"null: 1", b"~", b"true: x",
    b"\n---\n", b"\n...\n", b"|\n", b">-9\n", b"|0\n", b": ", b" #", b",", b"=", b"{", b"}", b"[", b"]", b"{}", b"[]", b"null", b"true", b"-1", b"0", b"1.5",
    b"task: 5\n", b"task:\n", b"trainer: []\n", b"runtime: x\n", b"type: [1]\n", b"type: bigbird/glue\n", b"type: bigbird/squad\n", b"task: {bucket_lengths: [x]}\n",
    b",task=5", b",trainer.x=1", b",type=5", b",runtime={}", b"task.a.b.c=1", b",task.bucket_lengths=[1,2]", b"size: [base]", b"x" * 3000, "é".encode() * 600,
    b"\n".join(b"k%d: &k%d [%s]" % (n, n, b",".join([b"*k%d" % (n - 1) if n else b"x"] * 9)) for n in range(30)),
    b"\n".join(b"wrong%d: 1" % n for n in range(500)), b",".join(b"task.wrong%d=1" % n for n in range(500)),
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """A real input with some edits: a part of it cut out, doubled, or with poison in its place."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        # Most edits replace one value, which leaves the rest of the file as it is.
        ends = [data.find(mark, start) for mark in (b"\n", b",", b" ")]
        end = draw(st.sampled_from([start, *(end for end in ends if end >= 0), len(data)]))
        part = draw(st.sampled_from(POISON) | st.just(data[start:end] * 2) | st.binary(max_size=8))
        data = data[:start] + part + data[end:]
    return data


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")  # as Python reads command lines


def as_json(data: bytes, _: Path) -> None:
    parse_json(decode(data, "f", "JSON"), "f", "JSON")


def as_json_lines(data: bytes, folder: Path) -> None:
    for _, value in read_json_lines(_file(folder, "a.jsonl", data), "JSON lines"):
        json.dumps(value, ensure_ascii=False).encode()


def as_lines(data: bytes, folder: Path) -> None:
    lines = [line for _, line in read_lines(_file(folder, "a.txt", data), "text")]
    assert len(lines) == data.count(b"\n") + bool(data and not data.endswith(b"\n"))


def as_yaml(data: bytes, _: Path) -> None:
    value = parse_yaml(decode(data, "f", "YAML"), "f")
    assert repr(parse_yaml(dump_yaml(value), "f")) == repr(value)


def as_params(data: bytes, _: Path) -> None:
    from_params(decode(data, "f", "YAML"), "f")


def as_configuration(data: bytes, folder: Path) -> None:
    experiment = load_experiment(config_files=[_file(folder, "a.yaml", b"type: bigbird/squad\n" + data)])
    assert load_experiment(config_files=[_file(folder, "b.yaml", experiment.to_yaml().encode())]) == experiment


def as_recipe(data: bytes, folder: Path) -> None:
    text = recipe_text(str(_file(folder, "a.yaml", data)))
    for task in ("sst2", "squad_v2"):
        overrides = shortcut_overrides({"max_length": 256, "epochs": 2.0}, task, text)
        resolve_experiment(task, text, overrides=join_overrides(overrides))


def as_overrides(data: bytes, _: Path) -> None:
    text = text_of(data)
    singles = text.split(";")
    merged = functools.reduce(merge, map(parse_override, singles), {})
    assert repr(parse_override(join_overrides(singles))) == repr(merged)  # repr: nan is not nan
    load_experiment("bigbird/glue", overrides=[text])


def as_settings(data: bytes, folder: Path) -> None:
    load_settings({}, file=_file(folder, "bigbird.toml", data), environment={})


def as_examples(data: bytes, folder: Path) -> None:
    for name in ("a.jsonl", "a.txt"):
        for _, example in read_examples(_file(folder, name, data)):
            json.dumps(example, ensure_ascii=False).encode()


def as_images(data: bytes, folder: Path) -> None:
    Images.from_file(_file(folder, "images.json", data))


def _file(folder: Path, name: str, data: bytes) -> Path:
    file = folder / name
    file.write_bytes(data)
    return file


READERS = {
    as_json: JSON, as_json_lines: JSON, as_lines: JSON + RECIPES, as_yaml: RECIPES, as_params: RECIPES, as_configuration: RECIPES,
    as_recipe: RECIPES, as_overrides: OVERRIDES, as_settings: TOML, as_examples: JSON, as_images: JSON,
}  # fmt: skip


def refusal(read: Callable[[bytes, Path], None], data: bytes, folder: Path) -> str:
    """The message with which an input is refused; empty where it is read."""
    try:
        read(data, folder)
    except InputError as error:
        message = str(error)
    else:
        return ""
    assert 0 < len(message) <= 1000
    message.encode("utf-8")
    return message


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_bad_input_is_read_or_refused_in_one_short_sentence(read, tmp_path):
    outcomes = {"read": 0, "refused": 0}

    @seed(SEED)
    @settings(
        max_examples=-(-EXAMPLES // len(READERS)), deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(damaged(READERS[read]))
    def check(data: bytes) -> None:
        outcomes["refused" if refusal(read, data, tmp_path) else "read"] += 1

    check()
    print(f"{read.__name__}: {outcomes}")
    assert min(outcomes.values()) > 0  # else the damage is too great, or too small, to show anything


@pytest.mark.slow
@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_poison_alone_and_as_a_value_is_read_or_refused(read, tmp_path):
    before = (b"", b"task:\n  init_checkpoint: ", b"trainer.epochs=", b"[bigbird]\nregion = ", b'{"text_a": ')
    refused = [refusal(read, start + poison, tmp_path) for poison in POISON for start in before]
    assert any(refused)
