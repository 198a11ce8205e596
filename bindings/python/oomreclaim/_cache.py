# SPDX-License-Identifier: BSD-2-Clause
"""functools.lru_cache() that breathes."""

import collections
import contextlib
import functools
import sys
import types
import weakref
from typing import Any, Callable, Dict, Generic, Hashable, NamedTuple, Optional, Tuple, TypeVar, overload

import oomreclaim

_T = TypeVar("_T")

# What is dropped at least is this part of the cache, whatever is wanted: others allocate meanwhile.
_STEP = 8


class CacheInfo(NamedTuple):
    """As functools.lru_cache()'s, and two more."""
    hits: int
    misses: int
    maxsize: Optional[int]
    currsize: int
    bytes: int  # of the results, as they were estimated
    dropped: int  # results that were given up for memory


class _Key:
    """A key's hash is found once, and with no lock held: it may be a long way to it."""
    __slots__ = ("parts", "value")

    def __init__(self, parts: Tuple[Any, ...]) -> None:
        self.parts, self.value = parts, hash(parts)

    def __hash__(self) -> int:
        return self.value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.parts == other.parts


_SEPARATOR = object()


def _key(args: Tuple[Any, ...], keywords: Dict[str, Any], typed: bool) -> Hashable:
    parts = args
    if keywords:
        parts += (_SEPARATOR, *(part for item in keywords.items() for part in item))
    if typed:
        parts += tuple(type(value) for value in (*args, *keywords.values()))
    return _Key(parts)


class _Cached(Generic[_T]):
    """The decorated function. All that changes is guarded by the package's lock: a child of fork() has that free."""

    def __init__(self, function: Callable[..., _T], maxsize: Optional[int], typed: bool,
                 size: Callable[[_T], int]) -> None:
        self._function, self._maxsize, self._typed, self._size = function, maxsize, typed, size
        self._results: "collections.OrderedDict[Hashable, Tuple[_T, int]]" = collections.OrderedDict()
        self._hits = self._misses = self._bytes = self._dropped = 0
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **keywords: Any) -> _T:
        key = _key(args, keywords, self._typed)
        with oomreclaim._lock:
            found = self._results.get(key)
            if found is not None:
                self._results.move_to_end(key)
                self._hits += 1
                return found[0]
            self._misses += 1
        result = self._function(*args, **keywords)
        try:
            self._keep(key, result)
        except MemoryError:  # it is not kept, but it is there
            pass
        except Exception:  # size()'s, which the caller knows nothing of
            sys.excepthook(*sys.exc_info())
        return result

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method it has self among the arguments, as lru_cache()'s."""
        return self if instance is None else types.MethodType(self, instance)

    def _keep(self, key: Hashable, result: _T) -> None:
        size = max(int(self._size(result)), 1)
        self._make_room(size)
        gone = []  # let go behind the lock: what ends may do anything
        with oomreclaim._lock:
            if key in self._results or self._maxsize == 0:
                return
            self._results[key] = (result, size)
            self._bytes += size
            while self._maxsize is not None and len(self._results) > self._maxsize:
                gone.append(self._pop())
        gone.clear()

    def _make_room(self, size: int) -> None:
        """Without a watermark nobody else asks for memory before there is none."""
        headroom = oomreclaim._headroom()
        if headroom is not None and headroom < max(size, self._bytes // _STEP):
            self._drop(size)

    def _pop(self) -> Tuple[_T, int]:
        _, oldest = self._results.popitem(last=False)
        self._bytes -= oldest[1]
        return oldest

    def _drop(self, bytes_wanted: int) -> int:
        gone, freed = [], 0
        with oomreclaim._lock:
            wanted = max(bytes_wanted, self._bytes // _STEP)
            while self._results and freed < wanted:
                gone.append(self._pop())
                freed += gone[-1][1]
                self._dropped += 1
        gone.clear()
        return freed

    def cache_info(self) -> CacheInfo:
        """Hits, misses and what is there."""
        with oomreclaim._lock:
            return CacheInfo(self._hits, self._misses, self._maxsize, len(self._results), self._bytes, self._dropped)

    def cache_clear(self) -> None:
        """Forgets all results, and counts anew."""
        with oomreclaim._lock:
            gone, self._results = self._results, collections.OrderedDict()
            self._hits = self._misses = self._bytes = self._dropped = 0
        gone.clear()

    def cache_parameters(self) -> Dict[str, Any]:
        """maxsize and typed."""
        return {"maxsize": self._maxsize, "typed": self._typed}


def _enlist(cached: "_Cached[Any]", priority: int) -> None:
    """Registers it for as long as it lives, and does not keep it alive."""
    alive = weakref.ref(cached)

    def drop(bytes_wanted: int) -> int:
        there = alive()
        if there is None:
            with contextlib.suppress(ValueError):  # another thread was faster
                oomreclaim.unregister(drop)
            return 0
        return there._drop(bytes_wanted)

    oomreclaim.callback(drop, priority=priority)


@overload
def cache(function: Callable[..., _T]) -> _Cached[_T]: ...


@overload
def cache(function: None = None, *, maxsize: Optional[int] = None, typed: bool = False, priority: int = 0,
          size: Callable[[Any], int] = sys.getsizeof) -> Callable[[Callable[..., _T]], _Cached[_T]]: ...


def cache(function: Any = None, *, maxsize: Optional[int] = None, typed: bool = False, priority: int = 0,
          size: Callable[[Any], int] = sys.getsizeof) -> Any:
    """Decorator: functools.lru_cache() that gives its oldest results back when memory is wanted.

    So it needs no maxsize. It is a callback with this priority (see callback()): what it drops it counts by
    size(result), which sys.getsizeof() is right about for bytes, str and arrays, but not for what contains others.
    It does so too when it keeps a result, where the heap is near its limit and no watermark stands before that.
    Without the library, or a limit, it is functools.lru_cache(maxsize).
    """
    if function is None:
        return lambda decorated: _make(decorated, maxsize, typed, priority, size)
    return _make(function, maxsize, typed, priority, size)


def _make(function: Callable[..., _T], maxsize: Optional[int], typed: bool, priority: int,
          size: Callable[[_T], int]) -> _Cached[_T]:
    if not callable(function):
        raise TypeError("not callable")
    if maxsize is not None:
        maxsize = max(maxsize, 0)
    cached = _Cached(function, maxsize, typed, size)
    _enlist(cached, priority)
    return cached
