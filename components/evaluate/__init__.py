"""The evaluate stage: a model and a dataset to metrics, predictions and a report."""
