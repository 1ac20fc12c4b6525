"""The methods that both clients share: each call of `nplmon.client.calls`, blocking or awaitable."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar, overload

from nplmon.client import access, alarms, calibrations, calls, course, dead_letters, overview, system
from nplmon.client.conversation import Call

P = ParamSpec("P")
T = TypeVar("T")


class Blocking:
    """A client whose methods give their result."""

    def perform(self, call: Call[T]) -> T:
        """Carry out a call, with its retries."""
        raise NotImplementedError


class Awaiting:
    """A client whose methods give an awaitable."""

    async def perform(self, call: Call[T]) -> T:
        """Carry out a call, with its retries."""
        raise NotImplementedError


class Operation(Generic[P, T]):
    """A method made from the description of a call: `client.monitor("m")` performs `calls.monitor("m")`."""

    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Callable[P, Call[T]]: ...
    @overload
    def __get__(self, client: Blocking, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: Awaiting, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, client: Blocking | Awaiting | None, owner: type) -> Callable[P, Any]:
        if client is None:
            return self._describe

        def method(*args: P.args, **kwargs: P.kwargs) -> T | Coroutine[Any, Any, T]:
            return client.perform(self._describe(*args, **kwargs))

        method.__doc__ = self._describe.__doc__
        method.__name__ = self._describe.__name__
        method.__wrapped__ = self._describe  # type: ignore[attr-defined]  # so that help() shows the parameters
        return method


class Operations:
    """All requests of the interface."""

    put_reference = Operation(calls.put_reference)
    references = Operation(calls.references)
    reference = Operation(calls.reference)
    add_to_pool = Operation(calls.add_to_pool)
    pool = Operation(calls.pool)
    create_monitor = Operation(calls.create_monitor)
    monitors = Operation(calls.monitors)
    monitor = Operation(calls.monitor)
    change_monitor = Operation(calls.change_monitor)
    delete_monitor = Operation(calls.delete_monitor)
    push = Operation(calls.push)
    push_chunk = Operation(calls.push_chunk)
    statistic = Operation(calls.statistic)
    history = Operation(calls.history)
    chunk = Operation(calls.chunk)
    density_ratio = Operation(calls.density_ratio)
    where = Operation(calls.where)
    evaluate_ratio = Operation(calls.evaluate_ratio)
    runs = Operation(calls.runs)
    run = Operation(calls.run)
    close_run = Operation(calls.close_run)
    reset_run = Operation(calls.reset_run)
    dead = Operation(dead_letters.dead)
    replay = Operation(dead_letters.replay)
    delete_dead = Operation(dead_letters.delete_dead)
    overview = Operation(overview.overview)
    course = Operation(course.course)
    system = Operation(system.system)
    acknowledge = Operation(alarms.acknowledge)
    test_alarm = Operation(alarms.test_alarm)
    begin_test_alarm = Operation(alarms.begin_test_alarm)
    end_test_alarm = Operation(alarms.end_test_alarm)
    journal = Operation(alarms.journal)
    runbook = Operation(alarms.runbook)
    calibrate = Operation(calibrations.calibrate)
    calibration = Operation(calibrations.calibration)
    cancel_calibration = Operation(calibrations.cancel_calibration)
    create_token = Operation(access.create_token)
    tokens = Operation(access.tokens)
    revoke_token = Operation(access.revoke_token)
    audit = Operation(access.audit)
