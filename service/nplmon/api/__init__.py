"""The HTTP interface: chunks in, statistics out; stateless, and without torch."""

from nplmon.api.app import create_app
from nplmon.api.server import serve

__all__ = ["create_app", "serve"]
