"""prometheus.yml scrapes every role on the port that the role uses in docker-compose.yml."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tests.deploy.tools import ROOT, Model, execute, system_tool

FILE = ROOT / "deploy" / "prometheus" / "prometheus.yml"


def scrape_jobs() -> dict[str, Any]:
    configuration = YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))
    return {job["job_name"]: job for job in configuration["scrape_configs"]}


def test_every_role_is_scraped_where_its_healthcheck_looks(compose_model: Callable[..., Model]) -> None:
    services = compose_model("gpu")["services"]
    for role in ("api", "trainer", "aggregator"):
        (lookup,) = scrape_jobs()[f"nplmon-{role}"]["dns_sd_configs"]
        assert lookup["names"] == [role]
        assert lookup["type"] == "A"
        (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)/", services[role]["healthcheck"]["test"][-1])
        assert lookup["port"] == int(port)
        exposed = services[role].get("expose") or [p["target"] for p in services[role]["ports"]]
        assert [int(p) for p in exposed] == [lookup["port"]]
        # Prometheus finds a role by name only on a network that both are on.
        assert "default" in services[role]["networks"]
    assert services["trainer-gpu"]["networks"]["default"]["aliases"] == ["trainer"]


def test_the_image_listens_where_prometheus_looks() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    ports = dict(re.findall(r"(NPLMON_(?:METRICS_)?PORT)=(\d+)", dockerfile))
    jobs = scrape_jobs()
    assert int(ports["NPLMON_PORT"]) == jobs["nplmon-api"]["dns_sd_configs"][0]["port"]
    assert int(ports["NPLMON_METRICS_PORT"]) == jobs["nplmon-trainer"]["dns_sd_configs"][0]["port"]
    assert "NPLMON_HOST=0.0.0.0" in dockerfile


def test_compose_mounts_this_file(compose_model: Callable[..., Model]) -> None:
    prometheus = compose_model()["services"]["prometheus"]
    mounts = {volume["target"]: volume for volume in prometheus["volumes"]}
    mount = mounts["/etc/prometheus/prometheus.yml"]
    assert Path(mount["source"]) == FILE
    assert mount["read_only"] is True
    assert "--config.file=/etc/prometheus/prometheus.yml" in prometheus["command"]


def test_promtool_accepts_it() -> None:
    answer = execute(system_tool("promtool"), "check", "config", FILE)
    assert answer.returncode == 0, answer.stdout + answer.stderr
