"""What a run leaves to look at: TensorBoard scalars and history.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bigbird.artifacts import read_json, write_json


class Logs:
    """Writes scalars under `model_dir/logs` and the same figures to `model_dir/history.json`.

    Args:
        model_dir: the model folder.
        step: where the run stands; later entries of an interrupted run are dropped, as they come again.
        enabled: false on workers that write nothing.
    """

    def __init__(self, model_dir: str | Path, step: int, *, enabled: bool = True):
        self._enabled, self._file = enabled, Path(model_dir) / "history.json"
        self._folder = Path(model_dir) / "logs"
        self.history: list[dict[str, Any]] = []
        if enabled and self._file.exists():
            self.truncate(step, read_json(self._file, "history of the run"))

    def truncate(self, step: int, history: list[dict[str, Any]] | None = None) -> None:
        """Forgets what was written after `step`."""
        self.history = [entry for entry in history or self.history if entry["step"] <= step]

    def write(self, kind: str, step: int, figures: dict[str, float]) -> None:
        """Notes figures of a kind ("train", "validation") at a step; replaces that step's earlier ones of the kind."""
        if not self._enabled:
            return
        self.history = [entry for entry in self.history if (entry["kind"], entry["step"]) != (kind, step)]
        self.history.append({"kind": kind, "step": step, **figures})
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(self._file, self.history)
        for name, value in figures.items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)
        self._writer.flush()

    @property
    def _writer(self) -> Any:
        if not hasattr(self, "_opened"):
            from tensorboard.summary import Writer

            self._opened = Writer(str(self._folder))
        return self._opened
