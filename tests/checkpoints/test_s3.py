"""Checkpoints in s3:// are read as those here."""

from pathlib import Path

import numpy as np
import pytest

from bigbird import storage
from bigbird.checkpoints.convert import convert
from bigbird.checkpoints.encoders import read_with_encoder
from bigbird.support.errors import InputError
from tests import buckets

RECORDINGS = Path(__file__).parent / "recordings"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """An address that holds the recordings below, and a conversion of ours."""
    with buckets.s3() as environment, pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        address = f"s3://{buckets.BUCKET}/weights"
        ours = convert(
            str(RECORDINGS / "hugging_face_bert" / "bare"), str(tmp_path_factory.mktemp("ours") / "ours"), "bigbird"
        ).checkpoint
        sources = {
            name: RECORDINGS / name for name in ("hugging_face_bert/bare", "google_research", "model_garden_bert")
        }
        for name, folder in (sources | {"ours": ours}).items():
            for file in folder.iterdir():
                storage.write_bytes(f"{address}/{name}/{file.name}", file.read_bytes())
        pointer = b'model_checkpoint_path: "bert_v2_bare"\n'
        storage.write_bytes(f"{address}/model_garden_bert/checkpoint", pointer)
        yield address, ours


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("hugging_face_bert/bare", "hugging_face_bert/bare"),
        ("hugging_face_bert/bare/model.safetensors", "hugging_face_bert/bare"),
        ("google_research", "google_research"),
        ("google_research/model.ckpt-0", "google_research"),
        ("model_garden_bert", "model_garden_bert/bert_v2_bare"),
        ("model_garden_bert/masked_lm", "model_garden_bert/masked_lm"),
        ("ours", None),
    ],
)
def test_every_kind_is_read_from_s3(bucket, name, local):
    address, ours = bucket
    found, encoder = read_with_encoder(f"{address}/{name}", num_heads=2)
    expected, same = read_with_encoder(str(ours if local is None else RECORDINGS / local), num_heads=2)
    assert (found.kind, encoder) == (expected.kind, same)
    assert found.weights.keys() == expected.weights.keys()
    for weight, array in expected.weights.items():
        np.testing.assert_array_equal(found.weights[weight], array, err_msg=weight)


def test_what_is_not_there_is_named(bucket):
    with pytest.raises(InputError, match="weights/nothing: no checkpoint there; expected"):
        read_with_encoder(f"{bucket[0]}/nothing")
