"""Whatever goes wrong, told in one line."""

from __future__ import annotations

import os

START = "Start the service with `nplmon up`, or give its address with --url or NPLMON_URL."
DEBUG = "NPLMON_DEBUG"


def debugging() -> bool:
    """Whether tracebacks are wanted."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def explain(error: BaseException) -> str:
    """Say what went wrong and what to do, in one line.

    Examples
    --------
    >>> explain(KeyError("x"))
    "unexpected KeyError: 'x'. Set NPLMON_DEBUG=1 and run it again for the traceback."
    """
    from nplmon.client import ClientError, Unreachable

    if isinstance(error, Unreachable):
        said = f"{error}. {START}"
    elif isinstance(error, ClientError):
        said = str(error)
    elif hasattr(error, "format_message"):  # wrong usage of the command line
        said = f"{str(error.format_message()).rstrip('.')}. {_usage(error)}"
    elif isinstance(error, OSError) and error.strerror:
        said = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    else:
        detail = str(error) or "no message"
        said = (
            f"unexpected {type(error).__name__}: {detail}. Set {DEBUG}=1 and run it again for the traceback."
        )
    return " ".join(said.split())


def _usage(error: BaseException) -> str:
    context = getattr(error, "ctx", None)
    return f"See: {context.command_path} --help" if context is not None else "See: nplmon --help"
