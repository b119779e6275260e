"""SavedModels that take raw text: cleaning, pieces, windows and decoding in the graph, equal to the stages' own.

`text_model` asks one from Python. Reading order of the graph: tokenizer, buckets, windows, spans, signatures; the families put
them together in `tasks/*/serving.py`.
"""
