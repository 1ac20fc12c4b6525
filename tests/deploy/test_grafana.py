"""The provisioning of Grafana agrees with docker-compose.yml, Prometheus and the dashboards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.deploy.dashboards import DASHBOARDS, NAMES, load
from tests.deploy.tools import ROOT, Model

PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
OUTSIDE = (
    "GF_ANALYTICS_REPORTING_ENABLED",
    "GF_ANALYTICS_CHECK_FOR_UPDATES",
    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES",
    "GF_NEWS_NEWS_FEED_ENABLED",
    "GF_PLUGINS_PLUGIN_ADMIN_ENABLED",
    "GF_SNAPSHOTS_EXTERNAL_ENABLED",
)
"""Each on by default, each a request to the internet."""


def read(path: str) -> Any:
    return YAML(typ="safe").load((PROVISIONING / path).read_text(encoding="utf-8"))


@pytest.fixture
def grafana(compose_model: Callable[..., Model]) -> Model:
    service: Model = compose_model()["services"]["grafana"]
    return service


def mounts(service: Model) -> dict[str, Path]:
    return {
        volume["target"]: Path(volume["source"]) for volume in service["volumes"] if volume["type"] == "bind"
    }


def test_the_data_source_is_the_prometheus_of_compose(compose_model: Callable[..., Model]) -> None:
    (source,) = read("datasources/nplmon.yml")["datasources"]
    prometheus = compose_model()["services"]["prometheus"]
    (port,) = prometheus["ports"]
    assert source["url"] == f"http://prometheus:{port['target']}"
    assert (source["type"], source["access"], source["editable"]) == ("prometheus", "proxy", False)
    scraping = YAML(typ="safe").load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    assert source["jsonData"]["timeInterval"] == scraping["global"]["scrape_interval"]
    for name in NAMES:
        (chosen,) = (one for one in load(name)["templating"]["list"] if one["name"] == "datasource")
        assert chosen["current"]["value"] == source["uid"]


def test_dashboards_are_read_where_compose_mounts_them(grafana: Model) -> None:
    (provider,) = read("dashboards/nplmon.yml")["providers"]
    assert provider["allowUiUpdates"] is False
    assert provider["disableDeletion"] is True
    mounted = mounts(grafana)
    assert mounted.pop(provider["options"]["path"]) == DASHBOARDS
    assert mounted == {
        f"/etc/grafana/provisioning/{kind}": PROVISIONING / kind for kind in ("datasources", "dashboards")
    }
    assert all(volume["read_only"] for volume in grafana["volumes"] if volume["type"] == "bind")
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/shifter.json"


def test_the_page_tells_all_three() -> None:
    page = (ROOT / "docs" / "grafana.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert f"| `deploy/grafana/dashboards/{name}.json` | `{load(name)['uid']}` |" in page


def test_it_asks_nothing_of_the_internet(grafana: Model) -> None:
    environment = grafana["environment"]
    assert {name: environment[name] for name in OUTSIDE} == dict.fromkeys(OUTSIDE, "false")
    assert environment["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"
    assert environment["GF_SECURITY_DISABLE_GRAVATAR"] == "true"
    assert not [name for name in environment if name.startswith(("GF_INSTALL_PLUGINS", "GF_SMTP_"))]


def test_who_has_no_account_may_look_and_nobody_may_more(grafana: Model) -> None:
    environment = grafana["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environment["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert not [name for name in environment if "PASSWORD" in name]
