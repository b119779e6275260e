"""Worker processes that fail: the stage ends with the reason, and waits for nobody."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from bigbird.support.errors import InputError
from bigbird.support.integrity import facts_of_bytes
from bigbird.text.sentence_piece import train_vocabulary
from bigbird_components.preprocess import beam_run, storage
from bigbird_components.preprocess.shards import Encoding, Shard, read_outcome
from bigbird_components.preprocess.worker_pool import WorkerError

TWO = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
ROW = '{"text_a": "a tree", "text_b": null, "label": "1", "id": 1}\n'


def _encode(folder, lines, flags=TWO):
    """Encodes one shard for each text of lines; gives the shards."""
    done = folder / "done"
    done.mkdir()
    cuts = []
    for number, text in enumerate(lines):
        path = folder / f"{number}.jsonl"
        path.write_text(text, encoding="utf-8")
        output = str(folder / f"{number}.tfrecord")
        cuts.append(Shard("train", str(path), 0, len(text), 1, 0, output, str(done / f"{number}.json")))
    encoding = Encoding(
        "sst2", str(folder / "vocab.model"), False, {"max_length": 64}, frozenset({"train"}), frozenset()
    )
    beam_run.run_shards(cuts, encoding, beam_run.parse_options(flags), str(done))
    return cuts


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vocab.model").write_bytes(train_vocabulary(["a tree", "a house", "the tree is green"] * 9, 40))
    return tmp_path


@pytest.mark.parametrize("flags", [TWO, ()])
def test_what_fails_in_a_worker_is_told_by_the_main_process(folder, flags):
    good, bad, other = _encode(folder, [ROW, "no JSON\n", ROW.replace('"id"', '"unknown"')], flags)
    statistics, facts = read_outcome(good)
    assert (statistics.examples, facts) == (1, _facts(good.output))
    with pytest.raises(WorkerError, match=r"1\.tfrecord: its worker failed\n[^$]*JSONDecodeError"):
        read_outcome(bad)
    with pytest.raises(WorkerError, match=r"unexpected keyword argument 'unknown'"):
        read_outcome(other)


def _facts(path):
    return facts_of_bytes(Path(path).read_bytes())


def test_a_worker_that_is_killed_ends_the_stage_and_the_other_workers(folder):
    """As the system does where memory runs out."""
    seen = []

    def kill():
        while not seen:
            seen.extend(children())
            time.sleep(0.01)
        os.kill(seen[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(InputError, match=r"killed \(signal 9\).*memory.*--direct_running_mode=in_memory"):
        _encode(folder, [ROW] * 4)
    killer.join()
    assert children() == []


def children():
    """Ids of this process' workers."""
    listed = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    ids = [int(number) for file in listed for number in file.read_text().split()]
    return [
        number
        for number in ids
        if b"bigbird_components.preprocess.worker" in Path(f"/proc/{number}/cmdline").read_bytes()
    ]


def test_a_vocabulary_that_is_gone_is_one_message(folder):
    (folder / "vocab.model").unlink()
    for shard in _encode(folder, [ROW, ROW]):
        with pytest.raises(InputError, match=r"vocab\.model"):
            read_outcome(shard)


def test_a_worker_that_left_nothing_or_half_a_result_is_told(folder):
    (shard,) = _encode(folder, [ROW], ())
    for content in (b"", b'{"statistics": {'):
        storage.write_bytes(shard.done, content)
        with pytest.raises(InputError, match="no space left on the device"):
            read_outcome(shard)
