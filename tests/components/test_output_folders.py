"""No stage replaces the folder that it reads, whatever it was asked."""

import pytest

from bigbird.checkpoints.convert import convert
from bigbird.support.errors import InputError
from bigbird_components.check.check import check
from bigbird_components.evaluate.evaluate import evaluate
from bigbird_components.export.export import export


@pytest.mark.parametrize(
    ("stage", "read"),
    [
        (lambda there, out: evaluate(f"{there}/model", "dataset", out, overwrite=True), "model"),
        (lambda there, out: evaluate("model", f"{there}/dataset", out, overwrite=True), "dataset"),
        (lambda there, out: export(f"{there}/model", out, overwrite=True), "model"),
        (lambda there, out: export("model", out, f"{there}/dataset", overwrite=True), "dataset"),
        (lambda there, out: check(f"{there}/rows.csv", out, overwrite=True), "rows.csv"),
        (lambda there, out: check("rows.csv", out, predictions=f"{there}/evaluation", overwrite=True), "evaluation"),
        (lambda there, out: convert(f"{there}/ckpt", out, "bigbird", overwrite=True), "ckpt"),
        (
            lambda there, out: convert("ckpt", out, "bigbird", params=f"{there}/params.yaml", overwrite=True),
            "params.yaml",
        ),
    ],
)
def test_an_output_that_holds_what_is_read_is_refused(tmp_path, stage, read):
    (tmp_path / "all").mkdir()
    (tmp_path / "all/model.json").write_text("{}")  # a stage wrote it, so --overwrite alone would replace it
    with pytest.raises(InputError, match=rf"all: is the output folder and holds .*all/{read}, which this run reads"):
        stage(tmp_path / "all", str(tmp_path / "all"))
    assert [path.name for path in (tmp_path / "all").iterdir()] == ["model.json"]
