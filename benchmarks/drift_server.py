"""A detector of alibi-detect behind a pipe: one JSON object a line, asked and answered.

Run by the interpreter of the environment that has alibi-detect; of ours it imports only what needs the standard
library alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import numpy as np
import torch
from alibi_detect import cd
from benchmarks import memory


def main() -> None:
    """Answer until the questions end."""
    # alibi-detect prints; the answers go to the pipe alone.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    torch.set_num_threads(1)
    baseline = memory.resident()
    detector: Any = None
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            events = np.load(question["events"])
            if question["do"] == "prepare":
                if question["limit"] is not None:
                    memory.limit(question["limit"])
                kind = getattr(cd, question["kind"])
                detector = kind(events, backend="pytorch", n_permutations=question["permutations"])
                if question["limit"] is None:
                    memory.reset_peak()
            else:
                answer["p"] = float(detector.predict(events)["data"]["p_val"])
        except (MemoryError, RuntimeError) as error:
            answer["error"] = str(error)
        answer["clock"] = time.process_time()
        answer["peak"] = memory.peak() - baseline
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
