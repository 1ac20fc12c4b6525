"""Monitor settings as they are asked for: read strictly, checked, and turned into a monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec
from pydantic import AfterValidator, Field, ValidationError

from nplmon.api.bodies import THREAD_BYTES
from nplmon.api.handling import HandlingRequest, handling_of
from nplmon.api.names import NAME_PATTERN, checked_features
from nplmon.api.problems import Problem
from nplmon.api.strict import Strict
from nplmon.api.templates import MOST_TEMPLATES, checked_templates
from nplmon.broker.alarm_messages import Handling
from nplmon.broker.messages import (
    AlarmPolicy,
    AlarmStatistic,
    Control,
    KernelSettings,
    Mode,
    Monitor,
    Reference,
    ToleranceSettings,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTINGS_LIMIT = THREAD_BYTES

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
RunLength = Annotated[float, Field(ge=2, le=100_000, allow_inf_nan=False)]
Probability = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Sigma = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
MOST_WIDTHS = 8


def increasing(widths: tuple[float, ...]) -> tuple[float, ...]:
    """Sort kernel widths, or the quantiles that give them; each is named once.

    Raises
    ------
    ValueError
        If one is named twice.
    """
    if len(set(widths)) < len(widths):
        twice = next(width for width in widths if widths.count(width) > 1)
        message = f"{twice:g} is there twice; give each width once"
        raise ValueError(message)
    return tuple(sorted(widths))


class KernelRequest(Strict):
    """Settings of the kernel model; see `KernelSettings`."""

    centres: Annotated[int, Field(ge=10, le=20_000)] = 1000
    lambda_: Annotated[float, Field(alias="lambda", gt=0, le=1, allow_inf_nan=False)] = 1e-5
    sigmas: Annotated[tuple[Sigma, ...], Field(max_length=MOST_WIDTHS), AfterValidator(increasing)] = ()
    sigma_quantiles: Annotated[
        tuple[Probability, ...], Field(min_length=1, max_length=MOST_WIDTHS), AfterValidator(increasing)
    ] = (0.25, 0.5, 0.75)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class AlarmRequest(Strict):
    """When the cumulative statistic raises an alarm; see `AlarmPolicy`."""

    expected_run_length: RunLength = 1000.0
    warning_run_length: RunLength = 100.0
    statistic: AlarmStatistic = "t_score"
    false_alarm_probability: Probability = 0.01


class ControlRequest(Strict):
    """Events counted elsewhere, which say what rate to expect; see `Control`."""

    events: Annotated[int, Field(ge=1, le=10**12)]
    exposure: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ToleranceRequest(Strict):
    """What difference raises no alarm; see `ToleranceSettings`. `templates` are names of references."""

    effect_size: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    templates: Annotated[list[Name], Field(max_length=MOST_TEMPLATES)] = Field(default_factory=list)


class MonitorChange(Strict):
    """What may be changed of a monitor; members that are absent stay as they are."""

    reference: Name = ""
    features: list[str] | None = None
    mode: Literal["shape", "rate"] = "shape"
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    control: ControlRequest | None = None
    kernel: KernelRequest = KernelRequest()
    alarm: AlarmRequest = AlarmRequest()
    tolerance: ToleranceRequest = ToleranceRequest()
    handling: HandlingRequest = HandlingRequest()
    description: Annotated[str, Field(max_length=2000)] = ""


class MonitorRequest(MonitorChange):
    """A new monitor."""

    name: Name
    reference: Name


RequestT = TypeVar("RequestT", bound=MonitorChange)


def read_settings(body: bytes | bytearray, form: type[RequestT]) -> RequestT:
    """Read and check monitor settings.

    Raises
    ------
    Problem
        `body-unreadable`, `body-truncated`, `name`, `features`, or `settings`.
    """
    try:
        return form.model_validate_json(bytes(body))
    except ValidationError as error:
        raise settings_problem(error) from error


def monitor_of(
    request: MonitorChange,
    reference: Reference,
    present: Monitor | None,
    *,
    templates: Sequence[Reference] = (),
    name: str,
    now: float,
) -> Monitor:
    """Make the monitor that a request asks for.

    Parameters
    ----------
    request:
        New settings; with `present`, only its members that were sent count.
    reference:
        The version that the monitor has from now on.
    present:
        The monitor as it is; None for a new one.
    templates:
        The versions of the templates that the monitor has from now on.

    Raises
    ------
    Problem
        `features`, if one is not the reference's; `settings`, if mode "rate" has no rate, there is a control where
        the rate is known, or a template does not fit.
    """
    sent = request.model_fields_set if present is not None else set(type(request).model_fields)
    kernel = _merged(
        request.kernel, "kernel" in sent, KernelSettings() if present is None else present.kernel
    )
    alarm = _merged(request.alarm, "alarm" in sent, AlarmPolicy() if present is None else present.alarm)
    if alarm.warning_run_length > alarm.expected_run_length:
        raise Problem(
            "settings",
            f"A warning_run_length of {alarm.warning_run_length:g} chunks is longer than the expected_run_length of "
            f"{alarm.expected_run_length:g}: warnings would be rarer than alarms.",
            field="alarm.warning_run_length",
            value=alarm.warning_run_length,
            remedy="Give a warning_run_length of 2 to expected_run_length chunks.",
        )
    features = reference.features if present is None else present.features
    if "features" in sent and request.features is not None:
        features = checked_features(tuple(request.features))
    elif "features" in sent:
        features = reference.features
    mode = request.mode if present is None or "mode" in sent else present.mode
    rate, control = _expected(request, sent, present, mode)
    units = tuple(_unit(feature, reference) for feature in features)
    tolerance = ToleranceSettings() if present is None else present.tolerance
    if "tolerance" in sent and "effect_size" in request.tolerance.model_fields_set:
        tolerance = msgspec.structs.replace(tolerance, effect_size=request.tolerance.effect_size)
    return Monitor(
        name=name,
        epoch=1 if present is None else present.epoch,
        reference=reference.name if present is None or "reference" in sent else present.reference,
        reference_hash=reference.hash,
        features=features,
        units=units,
        mode=mode,
        rate=rate,
        control=control,
        kernel=msgspec.structs.replace(kernel, centres=min(kernel.centres, reference.events)),
        alarm=alarm,
        tolerance=msgspec.structs.replace(
            tolerance, templates=checked_templates(templates, reference, features, units, alarm.statistic)
        ),
        description=request.description if present is None or "description" in sent else present.description,
        handling=handling_of(request.handling, Handling() if present is None else present.handling),
        created_at=now if present is None else present.created_at,
        changed_at=now,
    )


def settings_problem(error: ValidationError) -> Problem:
    """Tell the first of pydantic's complaints as a problem."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "body"
    value, message = first.get("input"), first["msg"]
    if first["type"] == "json_invalid":
        if "EOF" in message:
            return Problem(
                "body-truncated", message, field="body", value=None, remedy="Send the whole JSON body."
            )
        return Problem("body-unreadable", message, field="body", value=None, remedy="Send a JSON object.")
    if first["type"] == "missing":
        value = None
    if field in {"name", "reference"} and first["type"] == "string_pattern_mismatch":
        return Problem(
            "name",
            f"{field}: {message}",
            field=field,
            value=value,
            remedy="Use 1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit.",
        )
    remedy = {
        "missing": f"Give {field!r}.",
        "extra_forbidden": "Leave it out; the settings are listed in the interface's description.",
    }.get(first["type"], "Send a value that fits.")
    if field == "alarm.warning_probability":
        remedy = "Give alarm.warning_run_length, the expected chunks between false warnings."
    slug: Literal["features", "settings"] = "settings"
    if field.startswith("features"):
        slug = "features"
    return Problem(slug, f"{field}: {message}.", field=field, value=value, remedy=remedy)


def _expected(
    request: MonitorChange, sent: set[str], present: Monitor | None, mode: Mode
) -> tuple[float | None, Control | None]:
    """Give what says how many events to expect: a rate, a control, or nothing."""
    rate = request.rate if present is None or "rate" in sent else present.rate
    control = None if present is None else present.control
    if present is None or "control" in sent:
        asked = request.control
        control = None if asked is None else Control(events=asked.events, exposure=asked.exposure)
    if rate is not None and control is not None:
        if present is None or {"rate", "control"} <= sent:
            raise Problem(
                "settings",
                "Both a rate and a control are given, and each says how many events to expect.",
                field="control",
                value=control.events,
                remedy='Give "rate" where it is known, or "control" where it was counted.',
            )
        # What is sent takes the place of the other.
        rate, control = (None, control) if "control" in sent else (rate, None)
    if mode == "rate" and rate is None:
        raise Problem(
            "settings",
            'Mode "rate" needs a rate.',
            field="rate",
            value=None,
            remedy='Give "rate", the expected events per unit of exposure, or use mode "shape".',
        )
    return rate, control


MergedT = TypeVar("MergedT", KernelSettings, AlarmPolicy)


def _merged(request: KernelRequest | AlarmRequest, sent: bool, present: MergedT) -> MergedT:
    """Put the members that were sent in place of the present ones."""
    if not sent:
        return present
    members = {name: getattr(request, name) for name in request.model_fields_set}
    if "sigma_quantiles" in members:  # asked for by quantiles, the present widths must not win over them
        members.setdefault("sigmas", ())
    return msgspec.structs.replace(present, **members)


def _unit(feature: str, reference: Reference) -> str:
    if feature not in reference.features:
        raise Problem(
            "features",
            f"The reference {reference.name!r} has no feature {feature!r}; it has "
            f"{', '.join(reference.features[:20])}.",
            field="features",
            value=feature,
            remedy="Choose among the reference's features.",
        )
    return reference.units[reference.features.index(feature)]
