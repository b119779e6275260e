"""The embedded samples: long documents made by seeded generators, in the formats of their tasks."""

from __future__ import annotations

from pathlib import Path

from bigbird.tasks.registry import family_of_task, samples


def write_sample(sample: str, folder: str | Path, seed: int = 0) -> Path:
    """Writes a sample's files; the same seed gives the same bytes.

    Args:
        sample: a name of `samples()`, as `glue`.
        folder: made if missing.
        seed: of the generator.

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    family_of_task(samples()[sample]).write_sample(sample, folder, seed)
    return folder
