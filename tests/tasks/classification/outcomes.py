"""Results of models that do not exist: logits drawn so that most answers are right."""

import numpy as np

from bigbird.tasks.classification.decisions import fit_one_label, fit_several_labels
from bigbird.tasks.classification.encoding import MOST_WINDOWS, Layout
from bigbird.tasks.classification.scoring import ClassificationResults, Scale

HEAD = Layout(max_length=512, long_documents="head", window_stride=384)


def outcome(kind, documents=200, labels=("no", "yes"), *, known=True, decided=False, layout=HEAD, seed=0):
    """(results, tokens of each record): document i has 20 + i tokens, the rarest label comes last."""
    rng = np.random.default_rng(seed)
    count = len(labels)
    shares = 1 / (1.0 + np.arange(count))
    if kind == "number":
        labels, gold = (), rng.normal(5, 3, documents)
        logits = (gold[:, None] - 5) / 3 + rng.normal(0, 0.4, (documents, 1))
    elif kind == "single":
        gold = rng.choice(count, documents, p=shares / shares.sum())
        logits = rng.normal(size=(documents, count)) + 2 * np.eye(count)[gold]
    else:
        gold = rng.random((documents, count)) < 0.6 * shares
        logits = rng.normal(size=(documents, count)) - 2 + 4 * gold
    results = ClassificationResults(
        kind,
        np.arange(documents),
        [f"table.csv:{i + 2}" for i in range(documents)],
        [(f"document {i} begins " + "word " * i + f"and ends {i}", None) for i in range(documents)],
        tuple(labels),
        gold if known else None,
        logits.astype(np.float32),
        Scale(5.0, 3.0) if kind == "number" else Scale(),
        places=[("data/table.csv", i + 2) for i in range(documents)],
        layout=layout,
    )
    if decided:
        fit = fit_one_label if kind == "single" else fit_several_labels
        results = results.with_decisions(fit(gold, logits, labels))
    return results, {i * MOST_WINDOWS: 20 + i for i in range(documents)}
