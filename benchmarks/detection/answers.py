"""The other end of a pipe, in an environment with numpy: a JSON object a line in, arrays into a file, a line out."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


def serve(functions: dict[str, Callable[..., dict[str, Any]]]) -> None:
    """Answer each question by the function that its "do" names, until the questions end."""
    # Some packages print; the answers go to the pipe alone.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        question = json.loads(line)
        into, do = question.pop("into"), question.pop("do")
        np.savez(into, **functions[do](**question))
        answers.write("done\n")
        answers.flush()
