"""The family: see `bigbird.tasks.family.TaskFamily` for what each method answers."""

from pathlib import Path

import numpy as np

from bigbird.config import DataConfig, PlainModelConfig, Task
from bigbird.records import features
from bigbird.records.features import LABEL_IDS, TOKENS, Feature
from bigbird.tasks.evaluation import Collector, Evaluation
from bigbird.tasks.family import AnsweringFamily
from bigbird.tasks.preprocessing import batches
from bigbird.tasks.raw_input import FileNames, Item

LABELS = ("sad", "glad")
MARKS = {"-": "sad", "+": "glad"}


class MoodTask(Task):
    model: PlainModelConfig = PlainModelConfig()
    train_data: DataConfig = DataConfig()
    validation_data: DataConfig = DataConfig(is_training=False, drop_remainder=False)


class MoodFamily(AnsweringFamily):
    name = "moods"
    tasks = ("moods",)
    config = MoodTask
    defaults = {"max_length": 64}
    metric_meanings = {"share_right": "share of lines whose mood is right"}
    made_up_request = {"text_a": ["what a day"]}

    def metrics(self, task):
        return ("share_right",)

    def recipe(self, task, *, published):
        return str(Path(__file__).with_name("recipe.yaml"))

    def file_names(self, task):
        splits = {"train": ("train.diary",), "validation": ("validation.diary",), "test": ("test.diary",)}
        return FileNames(splits, "", ".diary", "train.diary and validation.diary")

    def read(self, task, source, storage, bad):
        lines = storage.read_bytes(source.path, "diary").decode("utf-8").splitlines()
        for number, line in enumerate(lines):
            mark, _, text = line.partition(" ")
            if mark not in MARKS:
                bad.add(source.path, str(number + 1), f"begins with {mark!r}; expected + or -", line)
                continue
            yield Item({"id": number, "text_a": text, "label": MARKS[mark]}, 1, True)

    def texts(self, line):
        return [line["text_a"]]

    def encode(self, lines, place, preprocessing, vocabulary, statistics):
        for batch in batches(lines, 64):
            for line, pieces in zip(batch, vocabulary.encode([line["text_a"] for line in batch]), strict=True):
                kept = pieces.tolist()[: preprocessing.max_length - 2]
                ids = [vocabulary.cls_id, *kept, vocabulary.sep_id]
                statistics.examples += 1
                statistics.labels[line["label"]] += 1
                statistics.truncated += len(kept) < len(pieces)
                statistics.add_record(len(ids))
                yield features.encode(
                    {
                        "input_ids": ids,
                        "segment_ids": [0] * len(ids),
                        "label_ids": [LABELS.index(line["label"])],
                        "example_id": [line["id"]],
                    }
                )

    def labels(self, task):
        return LABELS

    def record_features(self, config):
        return (*TOKENS, LABEL_IDS["int"], Feature("example_id", "int64"))

    def num_classes(self, task):
        return len(LABELS)

    def build_model(self, config, *, num_classes, dtype):
        from bigbird.models import BigBirdClassifier

        return BigBirdClassifier(config.encoder, len(LABELS), dtype=dtype)

    def loss(self, config, outputs, batch):
        from bigbird.models import cross_entropy

        return cross_entropy(outputs["logits"], batch["label_ids"])

    def collector(self, config, manifest, folder, split):
        return MoodCollector(folder, split)

    def count(self, results):
        return len(results)

    def write_predictions(self, folder, results, task, split):
        lines = [f"{MARKS_OF[mood]} {line['text_a']}\n" for line, mood in results]
        (folder / "predicted.diary").write_text("".join(lines), encoding="utf-8")
        return ["predicted.diary"]

    def report_sections(self, results, tokens):
        from bigbird.reports import report

        rows = [[line["text_a"], line["label"], mood, tokens[line["id"]]] for line, mood in results]
        return [report.section("Lines", report.table(["line", "right", "answered", "tokens"], rows))]

    def serving_module(self, model, manifest, config, vocabulary):
        from bigbird.tasks.classification.encoding import Layout
        from bigbird.tasks.classification.serving import Classifier

        length = manifest.trained_on().max_length
        layout = Layout(length, "head", length)
        return Classifier(model, vocabulary, buckets=config.buckets, layout=layout, pairs=False, labels=LABELS)

    def signature_meanings(self):
        from bigbird.tasks.classification.serving import MEANINGS

        return MEANINGS

    def score_answers(self, lines, ask, manifest, metric_name):
        moods = [value.decode() for value in ask(lines)["label"]]
        return float(np.mean([line["label"] == mood for line, mood in zip(lines, moods, strict=True)]))


MARKS_OF = {mood: mark for mark, mood in MARKS.items()}


class MoodCollector(Collector):
    def __init__(self, folder, split):
        from bigbird.scoring import read_examples

        self.lines = {line["id"]: line for line in read_examples(folder, split)}
        self.reset()

    @property
    def missing(self):
        return len(self.lines) - len(self.moods)

    def reset(self):
        self.moods = {}

    def add(self, ids, outputs, label_ids):
        moods = [LABELS[index] for index in outputs["logits"].argmax(axis=1)]
        self.moods.update(zip(ids.tolist(), moods, strict=True))

    def result(self):
        results = [(self.lines[i], mood) for i, mood in self.moods.items()]
        right = float(np.mean([line["label"] == mood for line, mood in results]))
        glad = float(np.mean([line["label"] == "glad" for line, _ in results]))
        constant = {"share_right": max(glad, 1 - glad)}
        return Evaluation({"share_right": right}, "share_right", constant, "always the more common mood", results)


FAMILY = MoodFamily()
