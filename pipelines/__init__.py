"""The pipeline that chains the stages, and where it runs."""
