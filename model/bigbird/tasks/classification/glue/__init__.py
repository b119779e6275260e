"""Classification and regression of one or two texts: the nine tasks of GLUE and its diagnostic set."""

from bigbird.tasks.classification.glue.examples import (
    TASKS,
    GlueExample,
    GlueSpec,
    encode_examples,
    find_files,
    parse,
    truncated_lengths,
)

__all__ = ["TASKS", "GlueExample", "GlueSpec", "encode_examples", "find_files", "parse", "truncated_lengths"]
