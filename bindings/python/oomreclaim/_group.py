# SPDX-License-Identifier: BSD-2-Clause
"""Groups: a part of the heap with a limit of its own, for what threads allocate inside a `with` block."""

import contextlib
import ctypes
import errno
import os
from typing import Dict, Iterator, List, Optional

import oomreclaim

_ROOT = 0
_NONE = 2**63 - 1
_MAX, _POLICY, _SCORE_ADJ, _HIGH, _LOW, _INHERIT, _MIN = 1, 2, 3, 5, 6, 7, 8
_POLICIES = {"return": 0, "abort": 1, "kill": 2, "cancel": 4}


class _Stats(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in """
        charged own peak allocated max_met reclaimed threads children cancels high_met""".split()]


def _find_functions() -> Optional[ctypes.CDLL]:
    library = oomreclaim._library
    if library is None:
        return None
    handle = ctypes.c_uint64
    library.oomreclaim_group_create.argtypes = [ctypes.c_char_p, handle, ctypes.POINTER(handle)]
    library.oomreclaim_group_enter.argtypes = [handle]
    library.oomreclaim_group_enter.restype = handle
    library.oomreclaim_group_current.restype = handle
    library.oomreclaim_group_set.argtypes = [handle, ctypes.c_int, ctypes.c_int64]
    library.oomreclaim_group_stats.argtypes = [handle, ctypes.c_void_p, ctypes.c_size_t]
    library.oomreclaim_group_destroy.argtypes = [handle, ctypes.c_uint]
    return library


_library = _find_functions()


def _check(error: int, what: str) -> None:
    if error != 0:
        raise OSError(error, os.strerror(error), what)


class Group:
    """What group() gives to its block. Other threads come in by enter()."""

    def __init__(self, name: str, parent: Optional["Group"]) -> None:
        self.name = name
        self._parent = parent
        self._handle = ctypes.c_uint64(_ROOT)
        self._held = 1  # by the block of group(), by each of enter(), and by each group below
        if _library is not None:
            above = _ROOT if parent is None else parent._handle.value
            _check(_library.oomreclaim_group_create(name.encode(), above, ctypes.byref(self._handle)), name)

    def _set(self, attribute: int, value: int) -> None:
        if _library is not None:
            _check(_library.oomreclaim_group_set(self._handle, attribute, value), self.name)

    @contextlib.contextmanager
    def enter(self) -> Iterator[None]:
        """What this thread allocates in the block is the group's. Not over an await or a yield."""
        self._hold()
        if _library is None:
            try:
                yield
            finally:
                self._release()
            return
        try:
            former = _library.oomreclaim_group_enter(self._handle)
            if _library.oomreclaim_group_current() != self._handle.value:
                raise MemoryError(f"group {self.name} can't be entered")
            try:
                yield
            finally:
                _library.oomreclaim_group_enter(former)
        finally:
            self._release()

    def _hold(self) -> None:
        with oomreclaim._lock:
            if self._held == 0:
                raise RuntimeError(f"group {self.name} has ended")
            self._held += 1

    def _release(self) -> None:
        """The last one ends it."""
        with oomreclaim._lock:
            self._held -= 1
            is_last = self._held == 0
        if not is_last:
            return
        _end(self)

    def _destroy(self) -> bool:
        if _library is not None and _library.oomreclaim_group_destroy(self._handle, 0) != 0:
            return False
        if self._parent is not None:
            self._parent._release()
        return True

    def stats(self) -> Dict[str, int]:
        """Its counters as a dict, those of struct oomreclaim_group_stats."""
        raw = _Stats()
        if _library is None:
            raise RuntimeError("oomreclaim is not in this process; start it by `oomreclaim run`")
        _check(_library.oomreclaim_group_stats(self._handle, ctypes.byref(raw), ctypes.sizeof(raw)), self.name)
        return {field[0]: int(getattr(raw, field[0])) for field in _Stats._fields_}


# Those that threads are still inside of, which began there or were left there by C code: they keep the group, and those
# above it, and nobody says when they leave.
_unended: List[Group] = []


def _end(ended: Optional[Group] = None) -> None:
    """Destroys a group, and those that could not be destroyed before."""
    with oomreclaim._lock:
        due, _unended[:] = _unended + ([ended] if ended is not None else []), []
    left = [group for group in due if not group._destroy()]
    with oomreclaim._lock:
        _unended.extend(left)


def _bytes(size: Optional["oomreclaim.Size"]) -> int:
    return _NONE if size is None else min(oomreclaim.parse_size(size), _NONE - 1)


@contextlib.contextmanager
def group(name: str, max: Optional["oomreclaim.Size"] = None, *, high: Optional["oomreclaim.Size"] = None,
          low: "oomreclaim.Size" = 0, min: "oomreclaim.Size" = 0, policy: str = "return", score_adj: int = 0,
          parent: Optional[Group] = None, inherit: bool = False) -> Iterator[Group]:
    """A group for the block, and this thread in it: MemoryError above max, whatever else is free.

    With inherit, threads that are started in it begin in it too. What is left of it goes to its parent when the block
    has ended, and no thread is in enter() any more. Where threads that began in it go on, that comes later: when the
    next group begins or ends.
    """
    if policy not in _POLICIES:
        raise ValueError(f"not a policy: {policy!r}")
    settings = {_MAX: _bytes(max), _HIGH: _bytes(high), _LOW: _bytes(low), _MIN: _bytes(min),
                _POLICY: _POLICIES[policy], _SCORE_ADJ: score_adj, _INHERIT: int(inherit)}
    _end()
    if parent is not None:
        parent._hold()
    try:
        made = Group(name, parent)
    except BaseException:
        if parent is not None:
            parent._release()
        raise
    try:
        for attribute, value in settings.items():
            made._set(attribute, value)
        with made.enter():
            yield made
    finally:
        made._release()
