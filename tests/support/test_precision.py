"""What a processor multiplies, and what is said where a model computes in what it does not."""

import subprocess
from pathlib import Path

import pytest
import tensorflow as tf

from bigbird.support import precision, processors

X86 = "processor\t: 0\nmodel name\t: A\nflags\t\t: fpu avx2 {}\nbugs\t\t: none\n"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (X86.format("avx512f avx512_bf16"), True),
        (X86.format("amx_bf16 amx_tile"), True),
        (X86.format("avx512f"), False),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", None),
        ("processor\t: 0\n", None),
    ],
)
def test_the_instructions_of_a_processor_tell(tmp_path, monkeypatch, facts, expected):
    (tmp_path / "cpuinfo").write_text(facts)
    monkeypatch.setattr(processors, "_FACTS", tmp_path / "cpuinfo")
    assert processors.multiplies_bfloat16() is expected
    devices: list[str] = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: devices if kind == "GPU" else [])
    told = precision.slow_here("bfloat16")
    assert ("no instructions for" in told) == (expected is False)
    devices.append("a GPU")
    assert precision.slow_here("bfloat16") == ""
    assert precision.slow_here("float32") == precision.slow_here(None) == ""


def test_a_system_that_does_not_tell_is_asked_for_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(processors, "_FACTS", tmp_path / "absent")
    assert processors.multiplies_bfloat16() is None and precision.slow_here("bfloat16") == ""


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="NOT RUN: this system has no /proc/cpuinfo")
def test_what_is_said_of_this_processor_is_what_its_flags_say():
    flags = subprocess.run(["grep", "-cwE", "avx512_bf16|amx_bf16", "/proc/cpuinfo"], capture_output=True, check=False)
    if processors.multiplies_bfloat16() is None:
        pytest.skip("NOT RUN: /proc/cpuinfo lists no flags, as on Arm")
    assert processors.multiplies_bfloat16() is (flags.returncode == 0)


@pytest.mark.parametrize(
    ("flags", "asked", "expected"),
    [
        ("avx512_vnni", None, True),
        ("avx2", None, False),
        ("avx2", "1", True),
        ("avx512_bf16", "0", False),
        ("avx512_bf16", "", True),
    ],
)
def test_one_dnn_is_used_where_tensorflow_uses_it(tmp_path, monkeypatch, flags, asked, expected):
    (tmp_path / "cpuinfo").write_text(X86.format(flags))
    monkeypatch.setattr(processors, "_FACTS", tmp_path / "cpuinfo")
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if asked is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", asked)
    assert processors.one_dnn_is_used() is expected


def test_tensorflow_agrees_on_one_dnn_here():
    from tensorflow.python.util import _pywrap_util_port

    assert processors.one_dnn_is_used() is bool(_pywrap_util_port.IsMklEnabled())
