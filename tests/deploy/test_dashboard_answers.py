"""Every query of the dashboards, evaluated by Prometheus itself over series of two replicas of each role.

That a query parses and names what is exported does not tell that its parts fit together: labels that match on both
sides, and no two series where one is needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from tests.deploy.dashboards import drawn
from tests.deploy.queries import METRICS_PAGE, ROW
from tests.deploy.tools import execute, system_tool

JOBS = {
    "Every process": ("nplmon-api", "nplmon-trainer", "nplmon-aggregator"),
    "API": ("nplmon-api",),
    "Trainer": ("nplmon-trainer",),
    "Aggregator": ("nplmon-aggregator",),
}
LABELS = {
    "monitor": ("m", "n"),
    "kind": ("t_score", "t_chunk", "log_e"),
    "state": ("running", "complete"),
    "le": ("0.1", "1", "+Inf"),
}
"""A few values of each label; of the others, one."""
LAST = 1200
"""Seconds that the series are long."""
ALERT = 'ALERTS{alertname="NplmonAnomaly", alertstate="firing", monitor="m"}'


ONE_FOR_EACH_JOB = [f'{{job="{job}"}}' for job in JOBS["Every process"]]


def series(name: str, kind: str, labels: list[str], job: str) -> Iterator[dict[str, str]]:
    """Give a metric of both replicas of a role, with every combination of labels."""
    growing = kind in ("counter", "histogram")
    if name == "nplmon_deciding_statistic":
        choices = [("m", "n"), ("t_score",)]
    else:
        choices = [LABELS.get(label, ("x",)) for label in labels]
    for instance, *values in product(("a", "b"), *choices):
        named = dict(zip(labels, values, strict=True)) | {"job": job, "instance": instance}
        level = 1 if named.get("monitor") == "n" else 2
        value = level if name == "nplmon_alarm_level" else 1
        matched = ", ".join(f'{label}="{one}"' for label, one in named.items())
        yield {"series": f"{name}{{{matched}}}", "values": f"{'1+1' if growing else value}x{LAST // 5}"}


def everything() -> list[dict[str, str]]:
    """Give all that the roles export, as docs/metrics.md has it."""
    found = [{"series": ALERT, "values": f"1x{LAST // 5}"}]
    for section in METRICS_PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        for job in JOBS[section.partition("\n")[0]]:
            found += series("up", "gauge", [], job)
            for name, kind, written in ROW.findall(section):
                labels = [] if written == "none" else written.split(", ")
                if kind == "histogram":
                    found += series(f"{name}_bucket", kind, [*labels, "le"], job)
                    found += series(f"{name}_count", kind, labels, job)
                else:
                    found += series(name, kind, labels, job)
    return list({one["series"]: one for one in found}.values())


def expectation(query: str) -> dict[str, Any]:
    """Ask for an answer without instances: what a process says of itself may differ, of a monitor it may not."""
    of_processes = re.search(r"\bprocess_", query) is not None
    return {
        "expr": f"count by ({'job' if of_processes else 'instance'}) ({query}) > bool 0",
        "eval_time": f"{LAST}s",
        "exp_samples": [
            {"labels": labels, "value": 1} for labels in (ONE_FOR_EACH_JOB if of_processes else ["{}"])
        ],
    }


def test_every_query_gives_an_answer(tmp_path: Path) -> None:
    promtool = system_tool("promtool")
    tests: dict[str, Any] = {
        "evaluation_interval": "5s",
        "tests": [
            {
                "interval": "5s",
                "input_series": everything(),
                "promql_expr_test": [expectation(query) for query in drawn(".+").values()],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(json.dumps(tests), encoding="utf-8")
    answer = execute(promtool, "test", "rules", tmp_path / "test.yml")
    assert answer.returncode == 0, answer.stdout + answer.stderr
