"""What the images install is what constraints.txt pins, each file of it by hash."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "requirements"
TORCH_S_OWN = {"torch"}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(text: str) -> dict[str, str]:
    return {plain(name): version for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE)}


@pytest.mark.parametrize("extra", ["service", "worker"])
def test_the_list_is_that_of_the_constraints_with_hashes(extra: str) -> None:
    text = (FOLDER / f"{extra}.txt").read_text()
    listed, constraints = pinned(text), pinned((ROOT / "constraints.txt").read_text())
    assert listed.items() <= constraints.items(), "run `make requirements`"
    for part in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in part, part
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"] + project["optional-dependencies"][extra]
    needed = {plain(re.split(r"[\[<>=;~! ]", one)[0]) for one in asked}
    assert needed - set(listed) <= TORCH_S_OWN, "run `make requirements`"


def test_the_images_install_from_the_lists() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    for extra in ("service", "worker"):
        assert f"--require-hashes -r deploy/requirements/{extra}.txt" in dockerfile
    installs = [line for line in dockerfile.splitlines() if "pip install" in line]
    for line in installs:
        assert "--require-hashes" in line or "--no-deps" in line or line.rstrip().endswith(" torch \\"), line
