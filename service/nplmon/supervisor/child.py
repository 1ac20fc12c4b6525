"""One role as a child process: `python -m nplmon.supervisor.child MODULE:FUNCTION --lifeline FD`."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import threading
import time

GRACE_SECONDS = 30.0
"""How long a role may take to stop after its parent has died, in s."""


def watch_lifeline(descriptor: int, grace: float = GRACE_SECONDS) -> threading.Thread:
    """Stop this process gracefully when the parent dies, however it dies.

    The parent holds the only write end of a pipe and never writes. When the parent is gone, even by SIGKILL,
    the kernel closes that end and the read here ends. A parent cannot be trusted to tell: a killed one runs
    no handler. Asking for the parent's id again and again can be fooled and is late, and PR_SET_PDEATHSIG is
    Linux's alone and is bound to the parent's thread.

    Parameters
    ----------
    descriptor:
        The inherited read end.
    grace:
        After this long a role that has not stopped is ended hard, so that no orphan keeps the port, in s.
    """

    def watch() -> None:
        while os.read(descriptor, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace)
        os._exit(1)

    thread = threading.Thread(target=watch, name="lifeline", daemon=True)
    thread.start()
    return thread


def main() -> None:
    """Run the named serve function with the settings of the environment until it returns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("serve")
    parser.add_argument("--lifeline", type=int, required=True)
    arguments = parser.parse_args()
    watch_lifeline(arguments.lifeline)
    from nplmon.settings import Settings  # noqa: PLC0415  # after the lifeline: imports take seconds

    module, _, function = arguments.serve.partition(":")
    getattr(importlib.import_module(module), function)(Settings())


if __name__ == "__main__":
    main()
