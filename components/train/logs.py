"""What a run leaves to look at: TensorBoard scalars, history.json and speed.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bigbird.support.artifacts import read_json, write_json

Entries = list[dict[str, Any]]
LOG_FILES = HISTORY, SPEED = "history.json", "speed.json"


class Logs:
    """Writes scalars under `model_dir/logs` and the same figures to `history.json`, those of the clock to `speed.json`.

    history.json holds what was learnt: a run that was interrupted and resumed has the bytes of an unbroken one.

    Args:
        model_dir: the model folder.
        step: where the run stands; later entries of an interrupted run are dropped, as they come again.
        history: what history.json held at that step; None reads the file.
        enabled: false on workers that write nothing.
    """

    def __init__(self, model_dir: str | Path, step: int, history: Entries | None = None, *, enabled: bool = True):
        self._enabled, self._folder = enabled, Path(model_dir)
        self._speed: Entries = []
        self.history: Entries = [] if history is None else list(history)
        if enabled and history is None:
            self.history = _read(self._folder / HISTORY, "history of the run")
        if enabled:
            self._speed = _read(self._folder / SPEED, "speed of the run")
        self.truncate(step)

    def truncate(self, step: int) -> None:
        """Forgets what was written after `step`."""
        self.history = [entry for entry in self.history if entry["step"] <= step]
        self._speed = [entry for entry in self._speed if entry["step"] <= step]

    def write(self, kind: str, step: int, figures: dict[str, float], speed: dict[str, float] | None = None) -> None:
        """Notes figures of a kind ("train", "validation") at a step; replaces that step's earlier ones of the kind.

        Args:
            kind: of the figures.
            step: updates made.
            figures: the same in every run of this configuration.
            speed: what depends on the machine and the hour.
        """
        if not self._enabled:
            return
        self.history = [entry for entry in self.history if (entry["kind"], entry["step"]) != (kind, step)]
        self.history.append({"kind": kind, "step": step, **figures})
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(self._folder / HISTORY, self.history)
        if speed:
            self._speed = [*(entry for entry in self._speed if entry["step"] != step), {"step": step, **speed}]
            write_json(self._folder / SPEED, self._speed)
        for name, value in {**figures, **(speed or {})}.items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)
        self._writer.flush()

    @property
    def _writer(self) -> Any:
        if not hasattr(self, "_opened"):
            from tensorboard.summary import Writer

            folder = self._folder / "logs"
            folder.mkdir(parents=True, exist_ok=True)
            self._opened = Writer(str(folder))
        return self._opened


def _read(file: Path, what: str) -> Entries:
    """The entries of a file that a run before left; one that is damaged tells nothing and is written anew."""
    if not file.exists():
        return []
    try:
        entries = read_json(file, what)
    except ValueError:
        return []
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("step"), int)]
