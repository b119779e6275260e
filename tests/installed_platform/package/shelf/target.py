"""The pipeline as it is to run on the shelf."""

from dataclasses import dataclass
from typing import Any

from bigbird_pipelines.platforms.target import Target


@dataclass(frozen=True, kw_only=True)
class ShelfTarget(Target):
    drawer: str

    def place(self, step: str, task: Any) -> Any:
        return task.set_env_variable("DRAWER", self.drawer).set_cpu_limit("4" if step == "train" else "1")
