"""docs/settings.md lists every setting, with its default and its description, and no other."""

from __future__ import annotations

import re

from tests.deploy.tools import ROOT

from nplmon.settings import Settings


def documented() -> dict[str, tuple[str, str]]:
    rows = re.findall(
        r"^\| `(NPLMON_\w+)` \| (.+?) \| (.+) \|$",
        (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    assert len(rows) == len({name for name, _, _ in rows})
    return {name: (default, what) for name, default, what in rows}


def test_the_table_is_that_of_the_code() -> None:
    expected = {
        f"NPLMON_{name.upper()}": (
            "none" if field.default is None else f"`{field.default}`",
            field.description,
        )
        for name, field in Settings.model_fields.items()
    }
    assert documented() == expected


def test_other_pages_and_files_name_only_existing_settings() -> None:
    known = set(documented()) | {"NPLMON_NAME"}  # a placeholder in the text
    for path in ("docs/deployment.md", "docker-compose.yml", "deploy/Dockerfile"):
        named = set(re.findall(r"NPLMON_[A-Z_]+", (ROOT / path).read_text(encoding="utf-8")))
        assert named <= known, path
