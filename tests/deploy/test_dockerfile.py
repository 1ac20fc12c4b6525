"""deploy/Dockerfile: linted, and in agreement with docker-compose.yml."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.deploy.tools import ROOT, Model, tool

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
ROLES = ("api", "trainer", "aggregator")


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool("hadolint"), "--no-color", str(path)], capture_output=True, text=True, timeout=60, check=False
    )


def stages() -> dict[str, str]:
    """Give the text of each build stage, by name."""
    parts = re.split(r"^FROM (\S+) AS (\S+)$", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: f"FROM {base}\n{body}" for base, name, body in zip(*[iter(parts[1:])] * 3, strict=True)}


def test_hadolint_finds_nothing() -> None:
    answer = hadolint(DOCKERFILE)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize(
    ("right", "wrong", "rule"),
    [
        ("FROM python:3.11.15-slim-bookworm", "FROM python", "DL3006"),
        ("USER 10001:10001", "USER root", "DL3002"),
    ],
)
def test_hadolint_refuses_a_broken_file(tmp_path: Path, right: str, wrong: str, rule: str) -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert right in text
    broken = tmp_path / "Dockerfile"
    broken.write_text(text.replace(right, wrong), encoding="utf-8")
    answer = hadolint(broken)
    assert answer.returncode != 0
    assert rule in answer.stdout


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_a_confined_target_that_runs_its_command(role: str) -> None:
    stage = stages()[role]
    assert stage.startswith("FROM runtime\n")
    assert "USER 10001:10001" in stage
    assert "HEALTHCHECK" in stage
    assert f'ENTRYPOINT ["nplmon", "{role}"]' in stage
    runtime = stages()["runtime"]
    assert "STOPSIGNAL SIGTERM" in runtime
    assert "useradd --uid 10001" in runtime


def test_only_the_trainer_carries_torch() -> None:
    """The API and the aggregator are several gigabytes smaller without it."""
    for role in ROLES:
        assert ("worker-venv" in stages()[role]) == (role == "trainer")
    assert "ARG TORCH_INDEX_URL" in stages()["worker-dependencies"]
    assert "constraints.txt" in stages()["builder"]


def test_the_healthchecks_are_those_of_compose(compose_model: Callable[..., Model]) -> None:
    services = compose_model()["services"]
    for role in ROLES:
        (command,) = re.findall(r'^    CMD \["python", "-c", "(.*)"\]$', stages()[role], flags=re.MULTILINE)
        assert services[role]["healthcheck"]["test"] == ["CMD", "python", "-c", command]


def test_the_build_context_holds_what_is_copied() -> None:
    """A COPY of something that .dockerignore hides fails only in the build, which no test can run."""
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    copied: set[str] = set()
    for line in DOCKERFILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            copied |= set(line.split()[1:-1])
    assert copied == allowed
    for name in copied:
        assert (ROOT / name).exists(), name
