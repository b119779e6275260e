"""The training stage: dataset/ to model/."""
