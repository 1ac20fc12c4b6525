"""The deployment files, as the real tools read them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tests.deploy.tools import ROOT, Model, compose


@pytest.fixture(scope="session")
def compose_model() -> Callable[..., Model]:
    """Give the compose file as compose itself resolves it, with the named profiles."""

    def resolve(*profiles: str) -> Model:
        flags = [flag for profile in profiles for flag in ("--profile", profile)]
        answer = compose(ROOT / "docker-compose.yml", *flags, "config", "--format", "json")
        assert answer.stderr == ""
        assert answer.returncode == 0
        model: Model = json.loads(answer.stdout)
        return model

    return resolve
