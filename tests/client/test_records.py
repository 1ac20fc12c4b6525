"""The client's own records against the messages of the service."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from nplmon.api import answers, course_columns, sparkline, system_messages, tiles
from nplmon.broker import alarm_messages, judgement, messages, pool_messages, toy_messages
from nplmon.client import alarm_records, findings, overview, records, system
from nplmon.client import course as course_room

HOMES = (records, findings, alarm_records, overview, course_room, system)
# Of no use outside the service.
# `Where` has what is in its answer alone.
INTERNAL = {"Snapshot": {"log_normalisation", "anomalous", "pair"}}
# The client's own.
ADDED = {"Receipt": {"duplicate"}}
NAMES = {"Kernel": "KernelSettings"}


@pytest.mark.parametrize(
    "name",
    [
        "Reference",
        "PoolSegment",
        "Kernel",
        "AlarmPolicy",
        "Control",
        "Monitor",
        "RateTested",
        "CalibrationUsed",
        "TemplateFraction",
        "ToleranceState",
        "Run",
        "Receipt",
        "Statistic",
        "Alarm",
        "Handling",
        "Acknowledgement",
        "TestAlarm",
        "JournalEntry",
        "EffectSize",
        "FeatureRatio",
        "AnomalousEvent",
        "PairMap",
        "Snapshot",
        "HistoryEntry",
        "Death",
        "CalibrationPlan",
        "ToyCalibration",
        "Worker",
        "Tile",
        "WorstFeature",
        "SparklineColumns",
        "Overview",
        "Course",
        "System",
        "StoreState",
        "Queue",
        "CalibrationSummary",
        "MonitorResources",
        "DeadLetter",
        "Runbook",
    ],
)
def test_a_record_has_the_members_of_its_message(name: str) -> None:
    record = next(getattr(home, name) for home in HOMES if hasattr(home, name))
    homes = (
        *(messages, alarm_messages, judgement, pool_messages, toy_messages),
        *(tiles, sparkline, course_columns, system_messages, answers),
    )
    message = next(
        getattr(home, NAMES.get(name, name)) for home in homes if hasattr(home, NAMES.get(name, name))
    )
    ours = {f.metadata.get("name", f.name): f for f in dataclasses.fields(record)}
    theirs = {f.encode_name: f for f in msgspec.structs.fields(message)}
    assert set(ours) - ADDED.get(name, set()) == set(theirs) - INTERNAL.get(name, set())
    for member, field in theirs.items():
        if member in ours and ours[member].default is not dataclasses.MISSING and not field.required:
            assert ours[member].default == field.default
