"""Errors of the numerical core.

NplmError
 +- FitError          a fit did not reach its minimum
 +- StateError        a saved state does not belong to what should continue from it
"""


class NplmError(Exception):
    """Base of the core's errors."""


class FitError(NplmError):
    """A fit did not reach the minimum of its loss."""


class StateError(NplmError):
    """A saved state does not belong to the reference, the settings or the version that should continue from it."""
