"""Classification and regression of one or two texts: the nine tasks of GLUE and its diagnostic set."""

from bigbird.tasks.classification.glue.examples import (
    GLUE_TASKS,
    GlueExample,
    GlueSpec,
    encode_examples,
    find_files,
    parse,
    truncated_lengths,
)

__all__ = ["GLUE_TASKS", "GlueExample", "GlueSpec", "encode_examples", "find_files", "parse", "truncated_lengths"]
