"""Structured log lines, the same in every role."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog


def configure(role: str, log_format: Literal["auto", "json", "console"]) -> None:
    """Send structlog's events and the standard library's records to standard error, one line each.

    Lines for people on a terminal, JSON elsewhere; every line carries `role`, a UTC timestamp and a level.

    Parameters
    ----------
    role:
        Which process speaks: "api", "trainer", "aggregator" or "up".
    log_format:
        "json" and "console" force a form; "auto" decides by whether standard error is a terminal.
    """
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    renderer = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(role=role)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
