"""The whole service on one machine: store, API, trainers and aggregator as supervised processes."""

from nplmon.supervisor.errors import SupervisorError
from nplmon.supervisor.service import ROLES, Service

__all__ = ["ROLES", "Service", "SupervisorError"]
