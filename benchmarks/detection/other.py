"""A process of another environment, asked by one JSON object a line; arrays go through files."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class OtherProcess:
    """A module run by another interpreter until this object is left.

    Parameters
    ----------
    interpreter:
        Of its environment.
    module:
        Its name; it answers as `benchmarks.detection.answers.serve` does.
    """

    def __init__(self, interpreter: Path, module: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="detection-")
        self._files = 0
        self.module = module
        self._process = subprocess.Popen(
            [str(interpreter), "-W", "ignore", "-m", module],
            cwd=ROOT,
            env=os.environ | ONE_THREAD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Its input ends, and so does it.
        with self._folder, self._process:
            pass

    def keep(self, **arrays: NDArray[Any]) -> str:
        """Write arrays to a file that the process can read; give its path."""
        self._files += 1
        path = Path(self._folder.name) / f"{self._files}.npz"
        np.savez(path, **arrays)
        return str(path)

    def drop(self, path: str) -> None:
        """Delete such a file."""
        Path(path).unlink()

    def ask(self, **question: object) -> dict[str, NDArray[Any]]:
        """Give the arrays of the answer.

        Raises
        ------
        RuntimeError
            If the process ends instead.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        into = Path(self._folder.name) / "answer.npz"
        self._process.stdin.write(json.dumps(question | {"into": str(into)}) + "\n")
        self._process.stdin.flush()
        if not self._process.stdout.readline():
            raise RuntimeError(
                f"{self.module} ended with code {self._process.wait()}: run it by hand to see why"
            )
        with np.load(into) as file:
            return dict(file)
