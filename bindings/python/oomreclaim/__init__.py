# SPDX-License-Identifier: BSD-2-Clause
"""Reclaim callbacks and heap limits for Python programs that run on oomreclaim.

    import oomreclaim

    @oomreclaim.callback
    def drop_caches(bytes_wanted):
        freed = cache.bytes
        cache.clear()
        return freed

    with oomreclaim.limit("512M"):
        work()

Callbacks are Python code, so they never run on a thread whose allocation has failed: that one holds the
interpreter's lock and stands in the midst of some C function. oomreclaimd, the thread that reclaims in the
background, only takes note of how much is wanted, and a thread of the interpreter's own calls them. So they
need a watermark (OOMRECLAIM_CONF=limit:512M,high:80%) or a source of pressure. A thread that allocates faster than
callbacks can free still meets the limit, and gets MemoryError.

`group` limits what threads allocate within a `with` block, and that alone.

`cache` is functools.lru_cache() that needs no size: it drops its oldest results by such a callback.

Where the program runs without the library, available() is False; registering, limit(), group() and scope() do nothing, and what
asks the library for a value raises RuntimeError.
"""

import contextlib
import ctypes
import os
import re
import sys
import threading
import warnings
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, TypeVar, Union, overload

__version__ = "0.1.0"

__all__ = ["CacheInfo", "Group", "available", "cache", "callback", "get_limit", "group", "limit", "parse_size",
           "reclaim", "scope", "set_limit", "stats", "unregister", "version", "__version__",
           "NORETRY", "RETRY_MAYFAIL", "NOFAIL", "NORECLAIM", "RESERVE"]

Size = Union[int, str]
Callback = Callable[[int], Optional[int]]
_F = TypeVar("_F", bound=Callback)

NORETRY, RETRY_MAYFAIL, NOFAIL, NORECLAIM, RESERVE = 1, 2, 4, 8, 16

_NO_LIMIT = ctypes.c_size_t(-1).value


class _Stats(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in """
        struct_size heap_allocated heap_active heap_dirty heap_metadata heap_resident heap_mapped
        heap_retained limit charged charged_peak limit_times_met high low reserve failures served
        refused impossible own_reclaims flushes compactions borrows evictions full_evictions
        reserve_uses rounds timeouts policies kills waits
        direct_rounds direct_bytes_claimed direct_bytes_measured background_rounds
        background_bytes_claimed background_bytes_measured callbacks last_time_ns
        last_size""".split()] + [
            ("last_outcome", ctypes.c_uint32), ("last_pid", ctypes.c_int32),
            ("last_constraint", ctypes.c_char * 24),
            ("purgeable", ctypes.c_uint64), ("purged", ctypes.c_uint64),
            ("headroom", ctypes.c_uint64), ("level", ctypes.c_uint64),
            ("headroom_constraint", ctypes.c_char * 24)]


def _find_library() -> Optional[ctypes.CDLL]:
    library = ctypes.CDLL(None)
    try:
        library.oomreclaim_version.restype = ctypes.c_char_p
    except AttributeError:
        return None
    library.oomreclaim_reclaim.restype = ctypes.c_size_t
    library.oomreclaim_reclaim.argtypes = [ctypes.c_size_t]
    library.oomreclaim_set_limit.restype = ctypes.c_size_t
    library.oomreclaim_set_limit.argtypes = [ctypes.c_size_t]
    library.oomreclaim_get_limit.restype = ctypes.c_size_t
    library.oomreclaim_headroom.restype = ctypes.c_size_t
    library.oomreclaim_headroom.argtypes = [ctypes.POINTER(ctypes.c_char_p)]
    library.oomreclaim_scope_save.restype = ctypes.c_uint
    library.oomreclaim_scope_save.argtypes = [ctypes.c_uint]
    library.oomreclaim_scope_restore.restype = None
    library.oomreclaim_scope_restore.argtypes = [ctypes.c_uint]
    library.oomreclaim_stats_get.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library


_library = _find_library()


def _require() -> ctypes.CDLL:
    if _library is None:
        raise RuntimeError("oomreclaim is not in this process; start it by `oomreclaim run`")
    return _library


def available() -> bool:
    """True where the program runs on the library."""
    return _library is not None


def version() -> str:
    """The library's version; __version__ is the package's."""
    return str(_require().oomreclaim_version().decode())


def parse_size(text: Size) -> int:
    """Bytes of 512, "512", "512K", "512M", "1G" or "1T"."""
    if isinstance(text, int) and not isinstance(text, bool):
        size = text
    else:
        match = re.fullmatch(r"([0-9]+)([KMGT]?)", str(text))
        if match is None:
            raise ValueError(f"not a size: {text!r}")
        size = int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[match[2]]
    if not 0 <= size < _NO_LIMIT:
        raise ValueError(f"not a size: {text!r}")
    return size


def get_limit() -> Optional[int]:
    """The heap's limit in bytes, or None."""
    bytes_ = int(_require().oomreclaim_get_limit())
    return None if bytes_ == _NO_LIMIT else bytes_


def set_limit(size: Optional[Size]) -> int:
    """Limits the heap; None for no limit. Returns the bytes by which it is above that already."""
    return int(_require().oomreclaim_set_limit(_NO_LIMIT if size is None else parse_size(size)))


def _headroom() -> Optional[int]:
    """Bytes until malloc() fails, or None where something else is nearer."""
    constraint = ctypes.c_char_p()
    if _library is None:
        return None
    bytes_ = int(_library.oomreclaim_headroom(ctypes.byref(constraint)))
    return bytes_ if constraint.value in (b"BUDGET", b"RLIMIT_AS", b"RLIMIT_DATA") else None


@contextlib.contextmanager
def limit(size: Optional[Size]) -> Iterator[None]:
    """The heap's limit within a `with` block. It is the process's, not the thread's."""
    wanted = None if size is None else parse_size(size)
    if _library is None:
        yield
        return
    before = get_limit()
    set_limit(wanted)
    try:
        yield
    finally:
        set_limit(before)


@contextlib.contextmanager
def scope(flags: int) -> Iterator[None]:
    """How hard the allocator tries for what this thread allocates in the block."""
    if _library is None:
        yield
        return
    before = _library.oomreclaim_scope_save(flags)
    try:
        yield
    finally:
        _library.oomreclaim_scope_restore(before)


def stats() -> Dict[str, Any]:
    """All counters as a dict; None for a limit or a watermark that is not set."""
    raw = _Stats()
    if _require().oomreclaim_stats_get(ctypes.byref(raw), ctypes.sizeof(raw)) != 0:
        raise RuntimeError("oomreclaim_stats_get() failed")
    values: Dict[str, Any] = {field[0]: getattr(raw, field[0]) for field in _Stats._fields_}
    for name in ("limit", "high", "low"):
        if values[name] == 2**64 - 1:
            values[name] = None
    values["last_constraint"] = values["last_constraint"].decode()
    return values


# ---- Callbacks -----------------------------------------------------------

_callbacks: List[Tuple[int, Callback]] = []  # highest priority first
_lock = threading.RLock()  # a signal handler may fork while its thread has it
_waker: Any = None  # False: it can't be had
# A child would never get it where another thread has it at this moment.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release,
                    after_in_child=_lock.release)


def _call_all(bytes_wanted: int) -> int:
    with _lock:
        functions = [function for _, function in _callbacks]
    freed = 0
    for function in functions:
        if freed >= bytes_wanted:
            break
        try:
            freed += int(function(bytes_wanted - freed) or 0)
        except Exception:  # one that is wrong must not keep the others from giving
            sys.excepthook(*sys.exc_info())
    return freed


@overload
def callback(function: _F, *, priority: int = 0) -> _F: ...


@overload
def callback(function: None = None, *, priority: int = 0) -> Callable[[_F], _F]: ...


def callback(function: Any = None, *, priority: int = 0) -> Any:
    """Decorator: calls function(bytes_wanted) in the background when memory is wanted.

    It runs on a thread of its own, with the interpreter's lock, like any Python code, and returns the bytes that
    it believes it gave back.
    """
    if function is None:
        return lambda decorated: callback(decorated, priority=priority)
    if not callable(function):
        raise TypeError("not callable")
    with _lock:
        _callbacks.append((priority, function))
        _callbacks.sort(key=lambda entry: -entry[0])
        if _library is not None:
            _start()
    return function


def unregister(function: Callback) -> None:
    """Removes it; a call that is under way ends by itself."""
    with _lock:
        for index, (_, registered) in enumerate(_callbacks):
            if registered == function:
                del _callbacks[index]
                return
    raise ValueError("not registered")


def reclaim(size: Size) -> int:
    """Asks all callbacks of the program, those of Python on this thread; returns the bytes they claimed."""
    wanted = parse_size(size)
    freed = _call_all(wanted)
    if freed < wanted and _library is not None:
        freed += int(_library.oomreclaim_reclaim(wanted - freed))
    return freed


def _start() -> None:
    global _waker
    if _waker is None:
        from ._waker import Waker
        try:
            _waker = Waker(_call_all)
        except (OSError, RuntimeError) as error:  # the program does without
            _waker = False
            warnings.warn(f"oomreclaim: only reclaim() calls callbacks: {error}", RuntimeWarning, stacklevel=3)


from ._cache import CacheInfo, cache  # noqa: E402  behind what it needs
from ._group import Group, group  # noqa: E402
