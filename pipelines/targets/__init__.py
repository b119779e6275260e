"""Where a pipeline runs: each target takes the same pipeline."""
