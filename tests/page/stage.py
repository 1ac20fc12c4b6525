"""A stage: the page in a browser with a service that is played, so that every state of a run can be shown at once."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, Route

from nplmon.api.page import PAGE_HEADERS
from nplmon.broker.judgement import NULL_LEVELS
from nplmon.page import PageFile, page_files, plotly_file

ADDRESS = "https://nplmon.test"
OPENED = 1_790_000_000.0
CHUNKS = 40
FEATURES = ("pt", "eta")


def a_course(kind: str = "t_score", chunks: int = CHUNKS) -> dict[str, Any]:
    """Give a run with a pause of an hour after chunk 10, a dead chunk 15, an alarm at 30, frozen from 36 on."""
    rows = range(1, chunks + 1)
    dead, frozen = {15}, {i for i in rows if i >= 36 and chunks == CHUNKS}
    at = [OPENED + 10 * i + (3600 if i > 10 else 0) for i in rows]
    value = [40.0 + (0 if i < 20 else 2.5 * (min(i, 36) - 20)) for i in rows]

    def alive(values: list[Any]) -> list[Any]:
        return [None if i in dead else one for i, one in zip(rows, values, strict=True)]

    return {
        "monitor": "dimuon", "run": "night", "run_epoch": 1, "kind": kind, "deciding": "t_score",
        "total": chunks, "last": chunks, "downsampled": False,
        "sequence": list(rows),
        "chunk": [f"c{i}" for i in rows],
        "state": ["dead" if i in dead else "applied" for i in rows],
        "applied_at": at,
        "accepted_at": [one - 1 for one in at],
        "events": [1000 for _ in rows],
        "exposure": [None for _ in rows],
        "value": alive(value),
        "statistic_state": alive(["frozen" if i in frozen else "closed form" for i in rows]),
        "p": alive([0.5 if i < 20 else 0.5 * 10 ** (-0.3 * (i - 20)) for i in rows]),
        "z": alive([0.0 if i < 20 else 0.3 * (i - 20) for i in rows]),
        "threshold": alive([None if i in frozen else 62.0 for i in rows]),
        "warning": alive([None if i in frozen else 55.0 for i in rows]),
        "p_threshold": alive([None if i in frozen else 0.002 for i in rows]),
        "null_mean": alive([40.0 for _ in rows]),
        "null_deviation": alive([6.0 for _ in rows]),
        "quantile_levels": list(NULL_LEVELS),
        "quantiles": alive([[26.0, 30.0, 34.0, 39.5, 46.0, 53.0, 63.0] for _ in rows]),
        "width": alive([3.0 for _ in rows]),
        "t_chunk": alive([40.0 + i % 7 for i in rows]),
        "t_chunk_p": alive([0.4 for _ in rows]),
        "t_chunk_z": alive([0.25 for _ in rows]),
        "t_chunk_null_mean": alive([41.0 for _ in rows]),
        "t_chunk_null_deviation": alive([7.0 for _ in rows]),
        "fit_seconds": alive([0.1 for _ in rows]),
        "trainer": alive(["worker-1" for _ in rows]),
        "alarm": ["ok" if i < 27 else "warning" if i < 30 else "alarm" for i in rows],
    }  # fmt: skip


def a_statistic(kind: str) -> dict[str, Any]:
    return {
        "kind": kind, "value": 80.0, "state": "frozen" if kind == "t_agg" else "closed form", "p": 1e-5,
        "p_resolution": 5e-5, "z": 4.3, "null_mean": 40.0, "null_deviation": 6.0, "null_quantiles": [],
        "threshold": 62.0, "warning_threshold": 55.0, "p_threshold": 0.002, "width": 3.0, "sequence": CHUNKS,
        "note": "",
    }  # fmt: skip


def a_feature(name: str, rank: int) -> dict[str, Any]:
    return {
        "name": name, "unit": "GeV" if name == "pt" else "", "edges": [0, 1, 2, 3, 4], "data": [9000, 100, 4, 3],
        "reference": [9000.0, 90.0, 1.0, 0.0], "reference_error": [90.0, 9.0, 1.0, 0.0],
        "learned": [1.0, 1.1, 2.0, 1.0], "shift": 0.05, "shift_error": 0.01, "shift_low": 0.03, "shift_high": 0.07,
        "contribution": 30.0, "contribution_null_mean": 4.0, "contribution_null_deviation": 3.0, "rank": rank,
    }  # fmt: skip


RUN = {
    "monitor": "dimuon", "name": "night", "state": "open", "epoch": 1, "monitor_epoch": 1, "accepted": CHUNKS,
    "applied": CHUNKS - 1, "dead": 1, "opened_at": OPENED, "closed_at": None,
}  # fmt: skip

JOURNAL = [
    {"id": f"{i}-0", "at": OPENED + at, "kind": kind, "run": "night", "level": None, "sequence": sequence,
     "chunk": None, "who": who, "text": text}
    for i, (at, kind, sequence, who, text) in enumerate([
        (3960.0, "acknowledged", 30, "Ada", "I look"),
        (3900.0, "alarm", 30, "", "t_score = 65 >= 62"),
        (3870.0, "warning", 27, "", ""),
        (0.0, "run-opened", None, "", ""),
    ])
]  # fmt: skip


def the_statistic() -> dict[str, Any]:
    kinds = ("t_score", "t_agg", "t_sum", "t_chunk")
    snapshot = {
        "monitor": "dimuon", "run": "night", "sequence": CHUNKS, "chunks": CHUNKS - 1, "dead": 1,
        "events": 39_000, "exposure_ratio": 0.4, "exposure_budget": 0.5, "pool_left": None, "pool_used": 0,
        "statistics": {kind: a_statistic(kind) for kind in kinds}, "rate": None, "tolerance": None,
        "effect_size": {"value": 0.02, "null_mean": 0.01, "null_deviation": 0.002, "excess": 0.01, "note": ""},
        "deciding": "t_score", "updated_at": OPENED + 4000,
        "alarm": {"level": "alarm", "kind": "t_score", "rule": "t_score = 65 >= 62", "sequence": 30},
        "calibration": {"source": "closed form", "run_length": 1000, "warning_run_length": 100, "toys": 0,
                        "chunks": 0, "disagreement": "", "note": ""},
    }  # fmt: skip
    return {"run": RUN, "snapshot": snapshot, "pending": 0, "trainers": 1}


def an_entry(chunk: str) -> dict[str, Any]:
    sequence = int(chunk[1:])
    return {
        "chunk": chunk, "run": "night", "state": "applied", "receipt": {"source_time": None},
        "entry": {"sequence": sequence, "chunk": chunk, "state": "applied", "events": 1000, "exposure": None,
                  "accepted_at": OPENED, "applied_at": OPENED + 1, "fit_seconds": 0.1, "trainer": "worker-1",
                  "statistics": {"t_score": a_statistic("t_score")}, "alarm": "ok", "error": ""},
    }  # fmt: skip


WHERE = {
    "monitor": "dimuon", "run": "night", "sequence": CHUNKS, "features": FEATURES, "ranked": FEATURES,
    "anomalous": [
        {"chunk": f"c{i}", "sequence": i, "row": i, "log_ratio": 2.0 - i / 10, "values": [30.0 + i, 0.1]}
        for i in (1, 2, 3)
    ],
    "pair": {"x": "pt", "y": "eta", "x_edges": [0, 1, 2], "y_edges": [-1, 0, 1], "data": [[4, 0], [3, 9]],
             "reference": [[1.0, 0.0], [0.0, 4.0]], "learned": [[2.0, 1.0], [1.0, 1.5]], "excess": 4.0},
}  # fmt: skip

EVENTS = f'event: hello\ndata: {{"now": {OPENED + 4100}, "version": "0"}}\n\n'


class Stage:
    """Plays the service for one page; whatever the browser complains about is in `complaints`."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.chunks = CHUNKS
        self.complaints: list[str] = []
        page.route("**/*", self._answer)
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))

    def open(self, path: str) -> None:
        """Open a view and wait until its first plot is drawn."""
        self.page.goto(ADDRESS + path)
        self.page.wait_for_selector(".canvas[data-drawn]")

    def _hear(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(f"{kind}: {text}")

    def _answer(self, route: Route) -> None:
        address = urlsplit(route.request.url)
        if f"{address.scheme}://{address.netloc}" != ADDRESS:
            self.complaints.append(f"left the machine: {route.request.url}")
            route.abort()
        elif address.path.startswith("/v1/events"):
            route.fulfill(body=EVENTS, content_type="text/event-stream")
        elif address.path.startswith("/v1/"):
            found = self._told(address.path.removeprefix("/v1/"), parse_qs(address.query))
            status = 404 if found is None else 200
            route.fulfill(body=json.dumps(found), content_type="application/json", status=status)
        else:
            file = _file(address.path)
            route.fulfill(body=file.body, headers={**PAGE_HEADERS, "Content-Type": file.content_type})

    def _told(self, path: str, query: dict[str, list[str]]) -> Any:
        parts = path.split("/")
        plain = {
            "session": {"access": "open", "name": "", "scopes": [], "monitor": None, "expires_at": None},
            "overview": {"now": OPENED + 4100, "version": "0", "tiles": []},
            "monitors/dimuon/runs": {"runs": [RUN]},
            "monitors/dimuon/statistic": the_statistic(),
            "monitors/dimuon/journal": {"entries": JOURNAL},
            "monitors/dimuon/where": WHERE,
            "monitors/dimuon/density-ratio": {
                "features": [a_feature(name, i + 1) for i, name in enumerate(FEATURES)]
            },
        }
        if path == "monitors/dimuon/course":
            return a_course(query["kind"][0], self.chunks)
        if parts[-2:-1] == ["chunks"]:
            return an_entry(parts[-1])
        return plain.get(path)


def _file(path: str) -> PageFile:
    if path == "/page/plotly.min.js":
        return plotly_file()
    return page_files().get(path.removeprefix("/page/"), page_files()["index.html"])
