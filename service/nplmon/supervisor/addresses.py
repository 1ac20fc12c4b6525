"""Where a running service is reached; also kept as `DATA_DIR/up.json` while it runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Addresses of one running service.

    Parameters
    ----------
    pid:
        Process id of the supervisor.
    api, docs:
        HTTP addresses of the API and of its interactive documentation.
    metrics:
        Prometheus addresses by process: "api", "trainer-1", ..., "aggregator".
    store:
        Address of the store, credentials masked.
    logs:
        Folder of the log files.
    """

    pid: int
    api: str
    docs: str
    metrics: dict[str, str]
    store: str
    logs: str

    def write(self, path: Path) -> None:
        """Replace the file in one step, so that a reader never sees half of it."""
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)
