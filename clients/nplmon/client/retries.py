"""How long to go on trying, and how long to wait between tries."""

from __future__ import annotations

import email.utils
import random
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Retries:
    """Exponential backoff with jitter under a total deadline.

    Attributes
    ----------
    deadline:
        Seconds for one call with all its tries.
    attempt:
        Longest wait for one answer, in s.
    unreachable:
        Seconds after which a service that cannot even be connected to is given up; None: the deadline.
    first, ceiling:
        The first pause between tries and the longest, in s; it doubles in between.
    """

    deadline: float = 60.0
    attempt: float = 30.0
    unreachable: float | None = None
    first: float = 0.1
    ceiling: float = 5.0

    def pause(self, tries: int, retry_after: float | None = None) -> float:
        """Seconds to wait after `tries` failed tries: at least what the service asked for, spread by jitter.

        Without jitter, all producers that were refused together would come back together.

        Examples
        --------
        >>> 0.05 <= Retries().pause(1) <= 0.1
        True
        >>> 2.0 <= Retries().pause(1, retry_after=2.0) <= 2.5
        True
        """
        if retry_after is not None:
            return retry_after * random.uniform(1.0, 1.25)  # noqa: S311  # jitter, not a secret
        longest = min(self.ceiling, self.first * 2.0 ** min(tries - 1, 30))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, not a secret


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds asked for by a Retry-After header: a number of seconds, or an HTTP date; None if unreadable.

    Examples
    --------
    >>> retry_after("3", now=0.0)
    3.0
    >>> retry_after("Thu, 01 Jan 1970 00:00:07 GMT", now=2.0)
    5.0
    """
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - now)
    except ValueError:
        return None
