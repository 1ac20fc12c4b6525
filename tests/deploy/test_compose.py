"""docker-compose.yml, checked by the compose library and by the published schema."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.deploy.tools import ROOT, Model, compose, tool

ROLES = {"api", "trainer", "aggregator"}
ALWAYS = ROLES | {"redis", "prometheus", "alertmanager", "grafana"}
FILE = ROOT / "docker-compose.yml"


def schema_check(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_gpu_profile_adds_one_trainer(compose_model: Callable[..., Model]) -> None:
    assert set(compose_model()["services"]) == ALWAYS
    assert set(compose_model("gpu")["services"]) == ALWAYS | {"trainer-gpu"}


def test_the_file_fits_the_published_schema() -> None:
    answer = schema_check(FILE)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("condition: service_healthy", "condition: service_happy"),
        ("    restart: unless-stopped", "    restat: unless-stopped"),
    ],
)
def test_schema_and_compose_refuse_a_broken_file(tmp_path: Path, right: str, wrong: str) -> None:
    """The two checks above are worth nothing if they pass everything."""
    broken = tmp_path / "docker-compose.yml"
    text = FILE.read_text(encoding="utf-8")
    assert right in text
    broken.write_text(text.replace(right, wrong), encoding="utf-8")
    assert schema_check(broken).returncode != 0
    assert compose(broken, "config", "--quiet").stderr != ""


def test_compose_refuses_a_dependency_that_does_not_exist(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(
        FILE.read_text(encoding="utf-8").replace(
            "    redis:\n      condition", "    rediss:\n      condition"
        ),
        encoding="utf-8",
    )
    assert "rediss" in compose(broken, "config", "--quiet").stderr


def test_every_service_has_a_healthcheck_and_is_confined(compose_model: Callable[..., Model]) -> None:
    for name, service in compose_model("gpu")["services"].items():
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        assert service["healthcheck"]["retries"] >= 3, name
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["restart"] == "unless-stopped", name
        uid, _, gid = service["user"].partition(":")
        assert int(uid) > 0, name
        assert int(gid) > 0, name


def test_every_image_has_a_pinned_tag(compose_model: Callable[..., Model]) -> None:
    for name, service in compose_model("gpu")["services"].items():
        _, _, tag = service["image"].rpartition(":")
        assert re.match(r"v?\d+\.\d+\.\d+", tag), f"{name}: {service['image']}"


def test_ports_are_published_on_loopback_only(compose_model: Callable[..., Model]) -> None:
    published = {
        name: [(port["host_ip"], port["published"], port["target"]) for port in service.get("ports", [])]
        for name, service in compose_model("gpu")["services"].items()
    }
    assert published == {
        "api": [("127.0.0.1", "8471", 8471)],
        "prometheus": [("127.0.0.1", "9090", 9090)],
        "alertmanager": [("127.0.0.1", "9093", 9093)],
        "grafana": [("127.0.0.1", "3000", 3000)],
        "redis": [],
        "trainer": [],
        "trainer-gpu": [],
        "aggregator": [],
    }


def test_roles_wait_for_a_healthy_store_and_are_built_from_their_target(
    compose_model: Callable[..., Model],
) -> None:
    services = compose_model("gpu")["services"]
    for name in ROLES | {"trainer-gpu"}:
        assert services[name]["depends_on"]["redis"]["condition"] == "service_healthy", name
        assert services[name]["environment"]["NPLMON_REDIS_URL"] == "redis://redis:6379/0", name
        assert services[name]["build"]["target"] == name.removesuffix("-gpu"), name
        assert services[name]["user"] == "10001:10001", name


def test_the_store_keeps_what_was_accepted(compose_model: Callable[..., Model]) -> None:
    """The Redis contract asks for AOF and noeviction; without a volume the AOF is worth nothing."""
    redis = compose_model()["services"]["redis"]
    options = dict(zip(redis["command"][1::2], redis["command"][2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    assert [(volume["type"], volume["target"]) for volume in redis["volumes"]] == [("volume", "/data")]
    assert list(redis["networks"]) == ["store"]


def test_only_the_gpu_trainer_reserves_a_device(compose_model: Callable[..., Model]) -> None:
    services = compose_model("gpu")["services"]
    reserving = {
        name: service["deploy"]["resources"]["reservations"]["devices"]
        for name, service in services.items()
        if "resources" in service.get("deploy", {})
    }
    assert list(reserving) == ["trainer-gpu"]
    (device,) = reserving["trainer-gpu"]
    assert (device["driver"], device["count"], device["capabilities"]) == ("nvidia", 1, ["gpu"])
    assert services["trainer-gpu"]["environment"]["NPLMON_DEVICE"] == "cuda"
    assert services["trainer"]["environment"]["NPLMON_DEVICE"] == "cpu"


def test_every_volume_is_named_and_every_named_volume_is_used(compose_model: Callable[..., Model]) -> None:
    model = compose_model("gpu")
    used = {
        volume["source"]
        for service in model["services"].values()
        for volume in service.get("volumes", [])
        if volume["type"] == "volume"
    }
    assert used == set(model["volumes"]) == {"store", "references", "metrics", "alerts", "dashboards"}
