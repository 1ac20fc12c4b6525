"""What can stop `nplmon up` from starting."""

from __future__ import annotations


class SupervisorError(Exception):
    """The service cannot run: the message is one line that says what is wrong and what to do."""
