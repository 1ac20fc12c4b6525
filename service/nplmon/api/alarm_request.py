"""What is asked of alarms: to take note of one, to fire a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from nplmon.api.monitor_settings import settings_problem
from nplmon.api.problems import Problem
from nplmon.api.strict import Strict

if TYPE_CHECKING:
    from nplmon.access import Identity


def said(text: str) -> str:
    """Check that a text says something.

    Raises
    ------
    ValueError
        If it is blank.
    """
    if not text.strip():
        message = "it is blank; say something"
        raise ValueError(message)
    return text.strip()


Who = Annotated[str, Field(max_length=100), AfterValidator(said)]
Comment = Annotated[str, Field(max_length=2000)]


class AcknowledgeRequest(Strict):
    """Take note of an alarm: its level and the chunk that raised it, as they were looked at."""

    who: Who | None = None
    """Needed where no token says it; elsewhere it is the token's name, whatever is said here."""
    comment: Annotated[Comment, AfterValidator(said)]
    level: Literal["warning", "alarm"]
    sequence: Annotated[int, Field(ge=1, lt=2**53)]


class TestRequest(Strict):
    """Fire a test alarm."""

    __test__ = False
    who: Who | None = None
    """As in an acknowledgement."""
    comment: Comment = ""
    seconds: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)] = 300.0


def signed(identity: Identity, who: str | None) -> str:
    """Give the name that stands under what is done: nobody signs with the name of another.

    Raises
    ------
    Problem
        `settings`, if no token and nothing else says it.
    """
    name = identity.signs(who or "")
    if not name:
        raise Problem(
            "settings", "who: it says nobody.", field="who", value=who, remedy="Send your name as `who`."
        )
    return name


RequestT = TypeVar("RequestT", AcknowledgeRequest, TestRequest)


def read_alarm_request(body: bytes | bytearray, form: type[RequestT]) -> RequestT:
    """Read and check what is asked.

    Raises
    ------
    Problem
        `body-unreadable`, `body-truncated` or `settings`.
    """
    try:
        return form.model_validate_json(bytes(body))
    except ValidationError as error:
        raise settings_problem(error) from error
