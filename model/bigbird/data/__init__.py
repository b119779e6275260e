"""The input of training and evaluation: batches of records, padded to a few lengths."""
