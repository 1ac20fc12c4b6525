"""How alarms are handled, as it is asked for: runbook, contact, and who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from pydantic import AfterValidator, Field, HttpUrl, TypeAdapter

from nplmon.api.strict import Strict

if TYPE_CHECKING:
    from nplmon.broker.alarm_messages import Handling

MOST_ADDRESSES = 20
ADDRESS_PATTERN = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$"

_URL = TypeAdapter(HttpUrl)


def web_address(text: str) -> str:
    """Check the address of a webhook: http or https, no credentials, which the journal and the log would show.

    Raises
    ------
    ValueError
        If it is not one.
    """
    url = _URL.validate_python(text)
    if url.username or url.password:
        message = "an address with credentials would be shown in the journal and in logs; leave them out"
        raise ValueError(message)
    return text


WebAddress = Annotated[str, Field(max_length=500), AfterValidator(web_address)]
EmailAddress = Annotated[str, Field(pattern=ADDRESS_PATTERN)]


class HandlingRequest(Strict):
    """What people do about alarms; see `Handling`. Changing it begins no new epoch."""

    runbook: Annotated[str, Field(max_length=20_000)] = ""
    contact: Annotated[str, Field(max_length=200)] = ""
    stale_after: Annotated[float, Field(ge=1, le=604_800, allow_inf_nan=False)] = 600.0
    webhooks: Annotated[list[WebAddress], Field(max_length=MOST_ADDRESSES)] = Field(default_factory=list)
    emails: Annotated[list[EmailAddress], Field(max_length=MOST_ADDRESSES)] = Field(default_factory=list)


def handling_of(request: HandlingRequest, present: Handling) -> Handling:
    """Put the members that were sent in place of the present ones."""
    sent = request.model_fields_set
    members = {name: getattr(request, name) for name in sent}
    for several in sent & {"webhooks", "emails"}:
        members[several] = tuple(members[several])
    return msgspec.structs.replace(present, **members)
