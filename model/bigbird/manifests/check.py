"""check.json: what `bigbird check` found in a table."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, StrictBool, StrictInt

from bigbird.manifests.base import Figure, Manifest, Part


class CheckedFile(Part):
    """A file that was read."""

    path: str = Field(description="As it was named or found.")
    split: str = Field(description="train, validation or test; those of train are also what other splits are cut from.")
    rows: StrictInt = Field(description="That could be read.")


class ExampleFacts(Part):
    """One thing that was found."""

    place: str = Field(description="File and line; empty of a column.")
    told: str = Field(description="What shows it; empty where the place says it all.")


class FindingFacts(Part):
    """What a check found."""

    check: str = Field(description="Name of the check, as --fail-on takes it.")
    group: str = Field(description="Of the check, as --fail-on takes it too.")
    severity: str = Field(description="error, warning or note.")
    count: StrictInt = Field(description="How many; 0 where nothing was found.")
    unit: str = Field(description="Of what: rows, texts, labels, columns.")
    counts: str = Field(description="Which ones are counted.")
    told: str = Field("", description="What there is to say besides.")
    remedy: str = Field(description="What can be done.")
    examples: list[ExampleFacts] = Field(default_factory=list, description="The first of them.")


class LengthShare(Part):
    """What a model would lose that reads at most `tokens` tokens."""

    tokens: StrictInt = Field(description="That it reads.")
    rows: StrictInt = Field(description="That are longer.")
    lost: StrictInt = Field(description="Tokens that are cut off, of all rows.")


class TextLengths(Part):
    """How long the texts are."""

    exact: StrictBool = Field(description="Whether a vocabulary counted the tokens; else they are estimated.")
    median: StrictInt = Field(description="Tokens, special pieces included.")
    most_95: StrictInt = Field(description="Tokens that 95 % of the rows do not exceed.")
    longest: StrictInt = Field(description="Tokens.")
    total: StrictInt = Field(description="Tokens of all rows.")
    longer: list[LengthShare] = Field(description="By what a model reads.")


class SuspectFacts(Part):
    """A row whose label is probably wrong."""

    id: str = Field(description="Of the document.")
    file: str = Field(description="The table's; empty where the evaluation does not say.")
    line: StrictInt = Field(description="Of the file.")
    label: str = Field(description="That is probably wrong; empty where one is probably missing.")
    suggested: str = Field(description="What the model takes to be right; empty where the label is one too many.")
    given: Figure = Field(description="Probability of what the data say.")
    better: Figure = Field(description="Probability of what the model says.")


class CheckManifest(Manifest):
    """check.json."""

    KIND: ClassVar[str] = "check"

    task: str = Field(description="By whose rules the table was read.")
    files: list[CheckedFile] = Field(description="In the order of reading.")
    columns: dict[str, list[str]] = Field(description="What is read for training -> the columns' names.")
    other_columns: list[str] = Field(default_factory=list, description="Those that training does not read.")
    rows: StrictInt = Field(description="That could be read.")
    splits: dict[str, StrictInt] = Field(description="Rows of each split, as training would cut them.")
    kind: str = Field(description="Of the labels: single, multi or number; empty where they are of none.")
    labels: dict[str, dict[str, StrictInt]] = Field(
        default_factory=dict, description="Label -> split -> rows that have it."
    )
    lengths: TextLengths = Field(description="Of the texts.")
    findings: list[FindingFacts] = Field(description="Of all checks, also those that found nothing.")
    suspects: list[SuspectFacts] | None = Field(
        None, description="Rows whose label is probably wrong, by --predictions; None where there were none to ask."
    )
    fail_on: list[str] = Field(default_factory=list, description="Checks and groups that were asked for.")
    failed: list[str] = Field(default_factory=list, description="Those of these checks that found something.")
    seconds: Figure = Field(0.0, description="All in all.")

    def found(self) -> list[FindingFacts]:
        """The findings, the most severe first."""
        order = ("error", "warning", "note")
        return sorted((each for each in self.findings if each.count), key=lambda each: order.index(each.severity))
