"""The export stage: a trained model as a SavedModel that takes raw text."""
