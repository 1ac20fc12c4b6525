"""Atomic changes of the store as typed Python functions, executed as Lua by the server.

A function is declared by a signature and a docstring that states invariant, keys and return value; its body is
Lua. The parameters are locals of the script: those annotated `Key` come through KEYS (so that a cluster can check
the slot), a `Sequence` becomes a table, all others are strings. Sequences stand last.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, get_type_hints

from redis.exceptions import NoScriptError

from nplmon.broker.keys import GROUP, NOBODY, Key

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection

P = ParamSpec("P")
R = TypeVar("R")
W = TypeVar("W", bound=str)

_PRELUDE = f"""
local GROUP, NOBODY = '{GROUP}', '{NOBODY}'

local function sequence_at(position, source)
  local list, count = {{}}, tonumber(source[position])
  for i = 1, count do list[i] = source[position + i] end
  return list, position + count + 1
end

-- One moment for the whole of a change: Redis 7.0 reads its clock anew at each call.
local clock
local function now()
  clock = clock or redis.call('TIME')
  local time = clock
  return time[1], time[2], string.format('%d.%06d', time[1], time[2])
end

-- The pending record of an entry: its consumer and the number of its deliveries; nil when there is none.
local function pending(work, entry)
  local found = redis.pcall('XPENDING', work, GROUP, entry, entry, 1)
  if found.err or not found[1] then return nil, 0 end
  return found[1][2], found[1][4]
end

-- Acknowledge and delete together: XACK alone frees nothing. True when the entry was pending.
local function settle(work, entry)
  local acknowledged = redis.call('XACK', work, GROUP, entry)
  redis.call('XDEL', work, entry)
  return acknowledged == 1
end

local function wake(done, run)
  redis.call('XADD', done, 'MAXLEN', '~', 1000, '*', 'run', run)
end

-- unpack() has a limit of some thousand values.
local function in_batches(command, key, values)
  for i = 1, #values, 1000 do
    redis.call(command, key, unpack(values, i, math.min(i + 999, #values)))
  end
end
"""


def _header(stub: Callable[..., object]) -> str:
    """Write the lines of Lua that name KEYS and ARGV after the parameters."""
    hints = get_type_hints(stub)
    keys = [name for name in inspect.signature(stub).parameters if hints[name] is Key]
    key_lists = [name for name in hints if hints[name] == Sequence[Key]]
    others = [name for name in inspect.signature(stub).parameters if name not in keys + key_lists]
    scalars = [name for name in others if hints[name] in (str, int, float, bytes)]
    lists = [name for name in others if name not in scalars]
    if len(key_lists) > 1 or others != scalars + lists:
        message = f"{stub.__name__}: at most one sequence of keys, and sequences last"
        raise TypeError(message)
    lines = [f"local {name} = KEYS[{i}]" for i, name in enumerate(keys, 1)]
    lines += [
        f"local {name} = {{}}; for i = {len(keys) + 1}, #KEYS do {name}[i - {len(keys)}] = KEYS[i] end"
        for name in key_lists
    ]
    lines += [f"local {name} = ARGV[{i}]" for i, name in enumerate(scalars, 1)]
    if lists:
        lines.append(f"local position, {', '.join(lists)} = {len(scalars) + 1}")
        lines += [f"{name}, position = sequence_at(position, ARGV)" for name in lists]
    return "\n".join(lines)


class Function(Generic[P, R]):
    """One atomic change; call it with a connection and the arguments of its declaration.

    Raises
    ------
    TypeError
        At the declaration, if sequences do not stand last.
    """

    def __init__(self, stub: Callable[P, R], body: str) -> None:
        self.name = stub.__name__
        self.__doc__ = stub.__doc__
        self._signature = inspect.signature(stub)
        hints = get_type_hints(stub)
        self._keys = {name for name, kind in hints.items() if kind in (Key, Sequence[Key])}
        self.source = f"-- {self.name}{_PRELUDE}{_header(stub)}\n{body}"
        # The protocol names a script by its SHA-1; nothing is protected by it.
        self._sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, connection: Connection, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it: by its hash, with its text only when the server does not know it yet."""
        keys: list[Any] = []
        arguments: list[Any] = []
        for name, value in self._signature.bind(*args, **kwargs).arguments.items():
            if name in self._keys:
                keys.extend([value] if isinstance(value, str) else value)
            elif isinstance(value, (str, bytes, int, float)):
                arguments.append(value)
            else:
                arguments += [len(value), *value]
        try:
            reply = await connection.ask("EVALSHA", self._sha, len(keys), *keys, *arguments)
        except NoScriptError:
            reply = await connection.ask("EVAL", self.source, len(keys), *keys, *arguments)
        return cast("R", reply)


def function(body: str) -> Callable[[Callable[P, R]], Function[P, R]]:
    """Declare an atomic change: `body` is its Lua, the decorated stub its signature and contract."""

    def declare(stub: Callable[P, R]) -> Function[P, R]:
        return Function(stub, body)

    return declare


def word(reply: bytes, *known: W) -> W:
    """Give the status word of a reply.

    Raises
    ------
    ValueError
        If the script answered something else than it declares.

    Examples
    --------
    >>> word(b"saved", "saved", "fenced")
    'saved'
    """
    for candidate in known:
        if reply == candidate.encode():
            return candidate
    message = f"the store answered {reply!r}, expected one of {known}"
    raise ValueError(message)
