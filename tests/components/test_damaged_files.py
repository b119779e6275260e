"""Every file that a later stage reads is checked by whoever reads it: a flipped bit or a cut is named, and never used."""

import random

import pytest

from tests.durability.damage import KINDS, damage


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [False, True], ids=["flipped bit", "cut"])
def test_a_damaged_file_is_named_and_never_used(classified, tmp_path, kind, cut):
    for seed in range(2):
        assert damage(classified, kind, random.Random(f"{kind} {cut} {seed}"), tmp_path / str(seed), cut=cut) == []
