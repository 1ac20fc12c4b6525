"""A real Prometheus and Alertmanager on free ports, with the files that are shipped, made faster."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from ruamel.yaml import YAML
from tests.deploy.tools import ROOT, system_tool

DEPLOY = ROOT / "deploy"
FASTER = 5
"""Each `for:` is divided by it."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def shipped(name: str) -> Any:
    return YAML(typ="safe").load((DEPLOY / name).read_text(encoding="utf-8"))


def shortened(duration: str) -> str:
    """Divide a duration of a rule.

    Examples
    --------
    >>> shortened("10s"), shortened("3m")
    ('2000ms', '36000ms')
    """
    number, unit = re.fullmatch(r"(\d+)(s|m)", duration).groups()  # type: ignore[union-attr]
    return f"{int(number) * {'s': 1000, 'm': 60_000}[unit] // FASTER}ms"


class Inbox(ThreadingHTTPServer):
    """Where Alertmanager's notifications arrive: (receiver, status, alert name) in order."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str, str]] = []
        inbox = self

        class Webhook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                inbox.notes += [
                    (body["receiver"], alert["status"], alert["labels"]["alertname"])
                    for alert in body["alerts"]
                ]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Webhook)


class Monitoring:
    """Prometheus and Alertmanager as people run them beside `nplmon up`, and where alerts end up.

    What differs from the files in deploy/: ports; scrapes every two seconds, which a busy machine answers in time;
    evaluations and groups each second; each `for:` is a fifth; the receivers send to `inbox`; the address of the page
    is that of the service under test.
    """

    def __init__(self, folder: Path, targets: Path, page: str) -> None:
        self._folder = folder
        self._programs: list[subprocess.Popen[bytes]] = []
        self.inbox = Inbox()
        self.prometheus, self.alertmanager = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._write("alertmanager.yml", self._alertmanager_configuration())
        self._write("prometheus.yml", self._prometheus_configuration(targets, page))
        self._write("alerts.yml", self._rules())

    def __enter__(self) -> Self:
        """Start both and wait until they are ready."""
        threading.Thread(target=self.inbox.serve_forever, daemon=True).start()
        try:
            self._start(
                system_tool("prometheus-alertmanager", "alertmanager"),
                "alertmanager.yml",
                self.alertmanager,
                "--storage.path=alertmanager",
                "--cluster.listen-address=",
            )
            self._start(
                system_tool("prometheus"),
                "prometheus.yml",
                self.prometheus,
                "--storage.tsdb.path=prometheus",
            )
            for address in (self.alertmanager, self.prometheus):
                self._wait_ready(f"{address}/-/ready")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End both."""
        for program in self._programs:
            program.terminate()
        for program in self._programs:
            try:
                program.wait(20)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        self.inbox.shutdown()
        self.inbox.server_close()

    def alerts(self) -> dict[str, dict[str, Any]]:
        """Give the alerts that Alertmanager holds now, by name."""
        answer = httpx.get(f"{self.alertmanager}/api/v2/alerts", trust_env=False, timeout=10)
        return {alert["labels"]["alertname"]: alert for alert in answer.json()}

    def targets_up(self) -> set[str]:
        """Give the jobs of which a target was scraped."""
        return {series["metric"]["job"] for series in self.ask("up == 1")}

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Give the series that answer a query now."""
        answer = httpx.get(
            f"{self.prometheus}/api/v1/query", params={"query": query}, trust_env=False, timeout=10
        ).json()
        assert answer["status"] == "success", f"{answer['error']}: {query}"
        series: list[dict[str, Any]] = answer["data"]["result"]
        return series

    def _start(self, program: str, configuration: str, address: str, *flags: str) -> None:
        with (self._folder / f"{Path(program).name}.log").open("wb") as output:
            self._programs.append(
                subprocess.Popen(
                    [
                        program,
                        f"--config.file={configuration}",
                        f"--web.listen-address={address.removeprefix('http://')}",
                        *flags,
                    ],
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )

    def _wait_ready(self, address: str) -> None:
        deadline = time.monotonic() + 30
        while True:
            for program in self._programs:
                assert program.poll() is None, "\n".join(
                    path.read_text() for path in self._folder.glob("*.log")
                )
            try:
                if httpx.get(address, trust_env=False).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, f"not ready: {address}"
            time.sleep(0.1)

    def _write(self, name: str, content: Any) -> None:
        # JSON is YAML.
        (self._folder / name).write_text(json.dumps(content), encoding="utf-8")

    def _alertmanager_configuration(self) -> Any:
        content = shipped("alertmanager/alertmanager.yml")
        route = content["route"]
        for one in (route, *route["routes"]):
            one |= {"group_wait": "1s", "group_interval": "1s"}
        url = f"http://127.0.0.1:{self.inbox.server_port}/"
        for receiver in content["receivers"]:
            receiver["webhook_configs"] = [{"url": url, "send_resolved": True}]
        return content

    def _prometheus_configuration(self, targets: Path, page: str) -> Any:
        content = shipped("prometheus/one-machine.yml")
        content["global"] |= {
            "scrape_interval": "2s",
            "evaluation_interval": "1s",
            "external_labels": {"nplmon_url": page},
        }
        (manager,) = content["alerting"]["alertmanagers"]
        manager["static_configs"] = [{"targets": [self.alertmanager.removeprefix("http://")]}]
        nplmon, _ = content["scrape_configs"]
        nplmon["file_sd_configs"][0] |= {"files": [str(targets)], "refresh_interval": "1s"}
        content["scrape_configs"] = [nplmon]
        return content

    def _rules(self) -> Any:
        content = shipped("prometheus/alerts.yml")
        for group in content["groups"]:
            for rule in group["rules"]:
                if "for" in rule:
                    rule["for"] = shortened(rule["for"])
        return content
