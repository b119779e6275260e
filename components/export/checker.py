"""A process that has none of our code and asks an exported model what it was asked before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from bigbird.support.paths import plain_path

CHECK = Path(__file__).with_name("check.py")


class Checker:
    """The process, from the beginning of the block on: it imports TensorFlow while the model is traced.

    Raises nothing as the block ends; a process that was asked nothing is ended.
    """

    def __enter__(self) -> Checker:
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-I", str(CHECK)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def check(self, folder: Path) -> None:
        """Has it load the SavedModel and compare its answers with response.json.

        Args:
            folder: of the SavedModel.

        Raises:
            RuntimeError: it cannot be loaded, or an answer is another.
        """
        with plain_path(folder) as plain:
            _, errors = self._process.communicate(json.dumps(plain))
        if self._process.returncode:
            raise RuntimeError(f"the SavedModel, loaded by itself, does not answer as it did before: {errors[-2000:]}")
