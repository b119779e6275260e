"""Model, table and answers in a bucket, on servers that others wrote."""

import pytest

from bigbird import storage
from bigbird.support.errors import InputError
from bigbird_components.predict import predict as module
from bigbird_components.predict import rows as rows_module
from bigbird_components.predict.predict import predict
from tests import buckets
from tests.components.predict.conftest import answers_of

pytestmark = pytest.mark.slow  # a fixture that its tests share takes more than 10 s


@pytest.fixture(params=["gs", "s3"])
def bucket(request, monkeypatch):
    with buckets.SERVICES[request.param]() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield f"{request.param}://{buckets.BUCKET}"


def test_a_table_in_a_bucket_is_answered_into_a_bucket(bucket, classified, table, tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "ROWS", 16)
    model, file, out = classified / "saved_model", table(40), f"{bucket}/answers"
    with open(file, "a", encoding="utf-8") as lines:
        lines.write("bad,,0,\n")
    for path in model.rglob("*"):
        if path.is_file():
            storage.write_bytes(
                f"{bucket}/run/export/saved_model/{path.relative_to(model).as_posix()}", path.read_bytes()
            )
    storage.write_bytes(f"{bucket}/run/dataset/much.tfrecord", b"is not copied")
    with open(file, "rb") as lines:
        storage.write_bytes(f"{bucket}/table.csv", lines.read())
    options = {"id_column": "name", "keep_all": True, "max_bad_records": 1}
    here = predict(str(model), file, str(tmp_path / "out"), **options)

    answer_shards = module.answer_shards

    def stops(files, shards, told):
        answer_shards(files, shards[:1], told)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "answer_shards", stops)
        with pytest.raises(KeyboardInterrupt):
            predict(f"{bucket}/run", f"{bucket}/table.csv", out, **options)
    assert storage.is_file(f"{out}/work/part-00000.json") and not storage.is_file(f"{out}/work/part-00001.json")
    there = predict(f"{bucket}/run", f"{bucket}/table.csv", out, **options)
    assert (there.labels, there.cut, there.rejected, there.answered) == (here.labels, here.cut, 1, 40)
    assert storage.read_bytes(f"{out}/predictions.jsonl") == (tmp_path / "out" / "predictions.jsonl").read_bytes()
    assert len(answers_of(tmp_path / "out")) == 40
    assert sorted(entry.path for entry in storage.list_files(out)) == [
        f"{out}/{name}" for name in ("predictions.jsonl", "rejected.jsonl", "summary.json")
    ]
    with pytest.raises(InputError, match="answers: already holds files"):
        predict(f"{bucket}/run", f"{bucket}/table.csv", out, **options)
    assert predict(f"{bucket}/run", f"{bucket}/table.csv", out, **options, to="csv", overwrite=True).answered == 40
    assert storage.list_names(out) == ["predictions.csv", "rejected.jsonl", "summary.json"]
    with pytest.raises(InputError, match="has no column 'body'"):
        predict(f"{bucket}/run", f"{bucket}/table.csv", f"{bucket}/other", columns={"text": ["body"]})
    assert storage.list_names(f"{bucket}/other") == []
