"""The report's sections on question answering."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bigbird.reports import report
from bigbird.tasks.squad.decoding import PredictedAnswer
from bigbird.tasks.squad.scoring import ScoredQuestion, SquadResults

MISTAKES = 12
AROUND = 220  # characters of the context shown on either side of the answer
LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8192)

Row = tuple[ScoredQuestion, PredictedAnswer, tuple[float, float]]


def report_sections(results: SquadResults) -> list[report.Html]:
    """What went right and wrong, question by question; without gold answers only what was answered."""
    if results.scores is None:
        shown = [
            _record(q, answer) for q, answer in list(zip(results.questions, results.answers, strict=True))[:MISTAKES]
        ]
        return [report.section("Some of the answers", *shown)]
    rows = list(zip(results.questions, results.answers, results.scores, strict=True))
    sections = [_by_length(rows), _by_place(rows)]
    if results.version_2:
        sections.append(_answerability(rows))
    return [*sections, _mistakes(rows)]


def _by_length(rows: Sequence[Row]) -> report.Html:
    groups, least = [], 0
    for most in LENGTHS:
        groups.append((f"{least + 1:,}–{most:,} tokens", _between(least, most)))
        least = most
    groups.append((f"over {least:,} tokens", _between(least, 1 << 62)))
    return report.section("F1 by the context's length", _bars(rows, groups))


def _between(above: int, most: int) -> Callable[[Row], bool]:
    return lambda row: above < row[0].pieces <= most


def _by_place(rows: Sequence[Row]) -> report.Html:
    """By where in the context the first gold answer begins."""
    names = ("first quarter", "second quarter", "third quarter", "last quarter")
    groups = [(name, _in_quarter(i)) for i, name in enumerate(names)]
    note = report.caption("Questions with an answer, by where in its context the answer begins.")
    return report.section("F1 by the answer's place", note, _bars(rows, groups))


def _in_quarter(quarter: int) -> Callable[[Row], bool]:
    def chosen(row: Row) -> bool:
        question = row[0]
        return bool(question.answers) and min(3, 4 * question.answers[0][1] // len(question.context)) == quarter

    return chosen


def _bars(rows: Sequence[Row], groups: Sequence[tuple[str, Callable[[Row], bool]]]) -> report.Html:
    lines = []
    for name, chosen in groups:
        scores = [score[1] for *_, score in filter(chosen, rows)]
        if scores:
            mean = sum(scores) / len(scores)
            lines.append((name, mean, f"{mean:.3f}  of {len(scores):,}"))
    return report.bars(lines, largest=1.0)


def _answerability(rows: Sequence[Row]) -> report.Html:
    counts = [[0, 0], [0, 0]]
    for question, answer, _ in rows:
        counts[bool(question.answers)][bool(answer.text)] += 1
    names = ["no answer", "an answer"]
    return report.section(
        "Answering or not",
        report.caption("Rows say whether the question has an answer, columns whether the model gave one."),
        report.matrix(names, names, counts, corner="has ↓ gave →"),
    )


def _mistakes(rows: Sequence[Row]) -> report.Html:
    """The answers with no overlap with the right one that the model was surest of, then the rest."""
    wrong = [row for row in rows if not row[2][0]]
    if not wrong:
        return report.section("Wrong answers", "None: every answer is an exact match.")
    wrong.sort(key=lambda row: (row[2][1], -_certainty(row[1])))
    shown = wrong[:MISTAKES]
    note = f"{len(wrong):,} of {len(rows):,} answers are no exact match; these {len(shown)} are furthest off, the surest first."
    return report.section("Wrong answers", report.caption(note), *(_record(*row) for row in shown))


def _certainty(answer: PredictedAnswer) -> float:
    if answer.text or not answer.candidates:
        return answer.candidates[0].probability if answer.candidates else 1.0
    return 1.0 - sum(candidate.probability for candidate in answer.candidates)


def _record(question: ScoredQuestion, answer: PredictedAnswer, score: tuple[float, float] | None = None) -> report.Html:
    fields: list[tuple[str, str]] = [("question", question.text)]
    if score is not None:
        right = " / ".join(dict.fromkeys(question.gold)) or "(no answer)"
        fields.append(("right", right))
    fields.append(("answered", f"{answer.text or '(no answer)'}, with probability {_certainty(answer):.3f}"))
    if score is not None:
        fields.append(("F1", f"{score[1]:.3f}"))
    fields += [("context", _excerpt(question, answer)), ("id", f"{question.id}, {question.pieces:,} tokens of context")]
    return report.record(fields)


def _excerpt(question: ScoredQuestion, answer: PredictedAnswer) -> report.Html:
    """The context around the first gold answer, which is marked, or around the model's."""
    if question.answers and question.answers[0][1] >= 0:  # TriviaQA's answers need not stand in the document
        text, start = question.answers[0]
        end = start + len(text)
    else:
        start, end = answer.start, answer.end
    context = question.context
    before, after = context[max(0, start - AROUND) : start], context[end : end + AROUND]
    return report.join(
        "… " if start > AROUND else "",
        before,
        report.mark(context[start:end]),
        after,
        " …" if end + AROUND < len(context) else "",
    )
