"""Scopes: what each route asks of who calls it. A route that is not here is closed to everyone who needs a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from nplmon.api.metrics import ALL_EVENTS_ROUTE, EVENTS_ROUTE, PUSH_ROUTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nplmon.broker.access_messages import Scope

Rule = Literal["open", "known"]
"""Asks for less than a scope. `open`: nothing. `known`: to be somebody."""

_M = "/v1/monitors/{monitor}"
_R = _M + "/runs/{run}"

RULES: Mapping[str, Scope | Rule] = {
    # The service itself; what is not about data.
    "GET /healthz": "open",
    "GET /readyz": "open",
    "GET /metrics": "read",
    "GET /docs": "open",
    "GET /docs/oauth2-redirect": "open",
    # The page: the same files for everyone, without data.
    "GET /": "open",
    "GET /system": "open",
    "GET /monitors/{monitor}": "open",
    "GET /monitors/{monitor}/alarm": "open",
    "GET /monitors/{monitor}/where": "open",
    "GET /page/plotly.min.js": "open",
    "GET /page/{name:path}": "open",
    # What comes with nplmon for each alert.
    "GET /runbooks/style.css": "open",
    "GET /runbooks/{alert}": "open",
    # References and pools.
    "GET /v1/references": "read",
    "GET /v1/references/{name}": "read",
    "GET /v1/references/{name}/pool": "read",
    "PUT /v1/references/{name}": "admin",
    "PUT /v1/references/{name}/pool": "admin",
    # Monitors.
    "GET /v1/monitors": "read",
    "POST /v1/monitors": "admin",
    f"GET {_M}": "read",
    f"PATCH {_M}": "admin",
    f"DELETE {_M}": "admin",
    f"POST {_M}/calibration": "operate",
    f"GET {_M}/calibration": "read",
    f"DELETE {_M}/calibration": "operate",
    # Runs and their alarms.
    f"GET {_M}/runs": "read",
    f"GET {_R}": "read",
    f"POST {_R}/close": "operate",
    f"POST {_R}/reset": "operate",
    f"POST {_R}/acknowledge": "operate",
    f"GET {_M}/test-alarm": "read",
    f"POST {_M}/test-alarm": "operate",
    f"DELETE {_M}/test-alarm": "operate",
    f"GET {_M}/journal": "read",
    f"GET {_M}/runbook": "read",
    # Chunks.
    f"POST {PUSH_ROUTE}": "push",
    f"GET {_M}/chunks/{{chunk}}": "read",
    f"GET {_M}/dead": "read",
    f"POST {_R}/chunks/{{chunk}}/replay": "operate",
    f"DELETE {_R}/chunks/{{chunk}}": "operate",
    # Statistics. To evaluate the ratio is to read it, although the points come in a body.
    f"GET {_M}/statistic": "read",
    f"GET {_M}/history": "read",
    f"GET {_M}/course": "read",
    f"GET {_M}/course.csv": "read",
    f"GET {_M}/density-ratio": "read",
    f"POST {_M}/density-ratio": "read",
    f"GET {_M}/where": "read",
    f"GET {_M}/where.csv": "read",
    f"GET {EVENTS_ROUTE}": "read",
    "GET /v1/overview": "read",
    "GET /v1/system": "read",
    f"GET {ALL_EVENTS_ROUTE}": "read",
    # Access.
    "GET /v1/session": "known",
    "POST /v1/session": "known",
    "DELETE /v1/session": "known",
    "GET /v1/audit": "admin",
    "GET /v1/tokens": "admin",
    "POST /v1/tokens": "admin",
    "DELETE /v1/tokens/{token}": "admin",
}
"""Method and route -> scope or rule."""

BARE_ROUTES = frozenset({"/openapi.json", "/static-offline-docs"})
"""What the application serves beside its routes: the description of the interface, the same for everyone."""

BOUND_READS = frozenset({"GET /v1/references/{name}", "GET /v1/references/{name}/pool"})
"""Routes without a monitor that a token for one monitor may read, where they are about its reference."""


def rule_of(method: str, route: str) -> Scope | Rule | None:
    """Give what a route asks, None if nothing says.

    Examples
    --------
    >>> rule_of("HEAD", "/"), rule_of("GET", "/v1/secret")
    ('open', None)
    """
    return RULES.get(f"{'GET' if method == 'HEAD' else method} {route}")
