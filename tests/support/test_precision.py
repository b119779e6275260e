"""What a processor multiplies, and what is said where a model computes in what it does not."""

import subprocess
from pathlib import Path

import pytest

from bigbird.support import precision

X86 = "processor\t: 0\nmodel name\t: A\nflags\t\t: fpu avx2 {}\nbugs\t\t: none\n"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (X86.format("avx512f avx512_bf16"), True),
        (X86.format("amx_bf16 amx_tile"), True),
        (X86.format("avx512f"), False),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd\n", False),
        ("processor\t: 0\n", None),
    ],
)
def test_the_instructions_of_a_processor_tell(tmp_path, monkeypatch, facts, expected):
    (tmp_path / "cpuinfo").write_text(facts)
    monkeypatch.setattr(precision, "_FACTS", tmp_path / "cpuinfo")
    assert precision.multiplies_bfloat16() is expected
    told = precision.slow_here("bfloat16")
    assert ("no instructions for" in told) == (expected is False)
    assert precision.slow_here("float32") == precision.slow_here(None) == ""


def test_a_system_that_does_not_tell_is_asked_for_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "_FACTS", tmp_path / "absent")
    assert precision.multiplies_bfloat16() is None and precision.slow_here("bfloat16") == ""


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="NOT RUN: this system has no /proc/cpuinfo")
def test_this_processors_answer_is_lscpus():
    flags = subprocess.run(
        ["grep", "-cwE", "avx512_bf16|amx_bf16|avx_ne_convert|bf16", "/proc/cpuinfo"], capture_output=True, check=False
    )
    assert precision.multiplies_bfloat16() is (flags.returncode == 0)
