"""The runbooks that come with nplmon: one for each alert, written in markdown."""

from __future__ import annotations

import re
from pathlib import Path

PACKAGED = Path(__file__).parent / "runbooks"
"""Where a wheel has them."""
CHECKOUT = Path(__file__).parents[3] / "docs" / "runbooks"
"""Where they are written, and read from in an editable install."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")


def runbook(alert: str) -> str | None:
    """Give the runbook of an alert as markdown; None if there is none."""
    if _NAME.fullmatch(alert) is None:
        return None
    folder = PACKAGED if PACKAGED.is_dir() else CHECKOUT
    try:
        return (folder / f"{alert}.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
