"""SavedModels that take raw text: cleaning, pieces, windows and decoding in the graph, equal to the stages' own.

Reading order: tokenizer, buckets, classification; windows, spans, question_answering; module.
"""
