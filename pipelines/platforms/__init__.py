"""Where a pipeline runs: a folder for each platform, which all take the same pipeline."""
