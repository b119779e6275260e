"""Masked-language modelling of plain text, from whose weights the other tasks start."""

from bigbird.tasks.pretraining.examples import FILES, METRICS, TASK, encode_documents, find_files, pack, parse

__all__ = ["FILES", "METRICS", "TASK", "encode_documents", "find_files", "pack", "parse"]
