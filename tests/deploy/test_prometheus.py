"""The configurations of Prometheus: every role is scraped where it listens, alerts go to Alertmanager."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.deploy.tools import ROOT, Model, execute, system_tool

from nplmon.settings import Settings
from nplmon.supervisor.addresses import TARGETS, Addresses

FOLDER = ROOT / "deploy" / "prometheus"


def configuration(name: str) -> Any:
    return YAML(typ="safe").load((FOLDER / name).read_text(encoding="utf-8"))


def scrape_jobs() -> dict[str, Any]:
    return {job["job_name"]: job for job in configuration("prometheus.yml")["scrape_configs"]}


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


def test_compose_gives_it_this_folder(compose_model: Callable[..., Model]) -> None:
    prometheus = compose_model()["services"]["prometheus"]
    (mount,) = [volume for volume in prometheus["volumes"] if volume["target"] == "/etc/prometheus"]
    assert Path(mount["source"]) == FOLDER
    assert mount["read_only"] is True
    assert "--config.file=/etc/prometheus/prometheus.yml" in prometheus["command"]


def test_links_in_alerts_lead_to_the_page(compose_model: Callable[..., Model]) -> None:
    services = compose_model()["services"]
    prometheus = services["prometheus"]
    assert configuration("prometheus.yml")["global"]["external_labels"] == {
        "nplmon_url": "${NPLMON_PUBLIC_URL}"
    }
    assert "--enable-feature=expand-external-labels" in prometheus["command"]
    page = Settings().url
    assert prometheus["environment"] == {"NPLMON_PUBLIC_URL": page}
    assert services["aggregator"]["environment"]["NPLMON_PUBLIC_URL"] == page
    assert configuration("one-machine.yml")["global"]["external_labels"] == {"nplmon_url": page}


def test_alerts_go_to_alertmanager(compose_model: Callable[..., Model]) -> None:
    service = compose_model()["services"]["alertmanager"]
    (port,) = [port["target"] for port in service["ports"]]
    assert "default" in service["networks"]
    for name, host in (("prometheus.yml", "alertmanager"), ("one-machine.yml", "127.0.0.1")):
        alerting = configuration(name)["alerting"]
        assert alerting["alertmanagers"] == [{"static_configs": [{"targets": [f"{host}:{port}"]}]}]
        assert configuration(name)["rule_files"] == ["alerts.yml"]


def test_what_nplmon_up_writes_is_read() -> None:
    """The jobs that the rules name come from that file."""
    (job,) = [job for job in configuration("one-machine.yml")["scrape_configs"] if "file_sd_configs" in job]
    (file,) = job["file_sd_configs"][0]["files"]
    assert (FOLDER / file).resolve() == ROOT / Settings().data_dir / TARGETS
    addresses = Addresses(
        pid=1,
        api="http://127.0.0.1:8471",
        docs="",
        metrics={"api": "http://127.0.0.1:8471/metrics", "trainer-1": "http://127.0.0.1:9/metrics"},
        store="",
        logs="",
    )
    assert [one["labels"]["job"] for one in addresses.targets()] == ["nplmon-api", "nplmon-trainer"]


@pytest.mark.parametrize("name", ["prometheus.yml", "one-machine.yml"])
def test_promtool_accepts_it(name: str) -> None:
    answer = execute(system_tool("promtool"), "check", "config", FOLDER / name)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "rules found" in answer.stdout


@pytest.mark.parametrize("name", ["prometheus.yml", "one-machine.yml"])
def test_promtool_accepts_it_with_a_token(name: str, tmp_path: Path) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert text.count("# authorization: ") == 1
    text = re.sub(r"# (authorization: .*file: ).*token", rf"\1{tmp_path}/token", text)
    (tmp_path / "token").write_text("nplmon_x", encoding="utf-8")
    (tmp_path / "alerts.yml").write_bytes((FOLDER / "alerts.yml").read_bytes())
    (tmp_path / name).write_text(text, encoding="utf-8")
    answer = execute(system_tool("promtool"), "check", "config", tmp_path / name)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_promtool_refuses_a_broken_one(tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text("rule_files: [alerts.yml]\n", encoding="utf-8")
    rules = (FOLDER / "alerts.yml").read_text(encoding="utf-8")
    (tmp_path / "alerts.yml").write_text(rules.replace("max by (", "max of ("), encoding="utf-8")
    answer = execute(system_tool("promtool"), "check", "config", tmp_path / "prometheus.yml")
    assert answer.returncode != 0
