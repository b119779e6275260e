"""The step that tells people how a run ended."""
