"""`nplmon up` as it is, but with the fake roles: `python fake_up.py [OPTIONS]`."""

from __future__ import annotations

import functools
import sys

import nplmon.supervisor
from nplmon.cli import main

FAKES = {role: f"tests.up.fake_roles:{role}" for role in ("api", "trainer", "aggregator")}

if __name__ == "__main__":
    nplmon.supervisor.Service = functools.partial(nplmon.supervisor.Service, roles=FAKES)
    main(["up", *sys.argv[1:]])
