"""Render the dashboards: `python -m deploy.grafana [DIRECTORY]`, by default deploy/grafana/dashboards."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.grafana import expert, service, shifter

HERE = Path(__file__).parent / "dashboards"
BOARDS = (shifter.BOARD, expert.BOARD, service.BOARD)


def main(directory: Path) -> None:
    """Write one file for each dashboard."""
    directory.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        (directory / f"{board.name}.json").write_text(board.render(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
