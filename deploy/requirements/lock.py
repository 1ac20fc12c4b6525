"""Write service.txt and worker.txt: what the images install, pinned as in constraints.txt, with hashes.

Run `make requirements` after a change of pyproject.toml or constraints.txt; it needs a package index. torch is not in
worker.txt, nor is what it brings for CUDA: the index that it comes from (TORCH_INDEX_URL) is chosen when an image is
built, and each index has builds, and so hashes, of its own.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TORCH_S_OWN = re.compile(r"^(torch|triton|setuptools|nvidia-[\w-]+|cuda-[\w-]+)==", re.MULTILINE)


def compiled(extra: str, *options: str) -> str:
    """Resolve what one extra of the project needs, on Linux and the Python of the images."""
    (python,) = re.findall(r"^FROM python:([\d.]+)", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet", "--no-header"),
        *("--extra", extra, "--constraint", "constraints.txt", "--python-version", python),
        *("--python-platform", "linux", "--no-annotate"),
    ]
    done = subprocess.run([*command, *options], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603  # our own command
    return done.stdout


def main() -> None:
    """Write both files."""
    for extra in ("service", "worker"):
        left_out = sorted(set(TORCH_S_OWN.findall(compiled(extra))))
        options = [text for name in left_out for text in ("--no-emit-package", name)]
        (HERE / f"{extra}.txt").write_text(compiled(extra, "--generate-hashes", *options), encoding="utf-8")


if __name__ == "__main__":
    main()
