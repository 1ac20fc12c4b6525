"""Strict: the base of all JSON bodies that are asked for."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """No conversions, no unknown members."""

    model_config = ConfigDict(strict=True, extra="forbid", populate_by_name=True)
