# SPDX-License-Identifier: BSD-2-Clause
"""The Python package, in a process on the library (limit:128M,high:64M) or without it."""

import functools
import gc
import os
import random
import signal
import sys
import threading
import time
import unittest
import weakref

import oomreclaim

MIB = 1 << 20


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


class Cache:
    def __init__(self):
        self.blocks, self.threads, self.wanted = [], [], []
        # Not 1 MiB sharp: each has a header.
        self.drop_lock = threading.Lock()

    def drop(self, bytes_wanted):
        self.threads.append(threading.current_thread().name)
        self.wanted.append(bytes_wanted)
        with self.drop_lock:
            count = len(self.blocks)
            self.blocks.clear()
        return count * MIB


@unittest.skipUnless(oomreclaim.available(), "the other run")
class With(unittest.TestCase):
    def setUp(self):
        self.cache = Cache()
        self.addCleanup(self.forget)

    def forget(self):
        try:
            oomreclaim.unregister(self.cache.drop)
        except ValueError:
            pass

    def grow(self):
        for _ in range(60):
            self.cache.blocks.append(bytearray(MIB))
            time.sleep(0.001)

    def test_callback_in_background(self):
        oomreclaim.callback(self.cache.drop)
        self.grow()
        self.assertTrue(wait_until(lambda: self.cache.threads))
        self.assertEqual(set(self.cache.threads), {"oomreclaim"})
        self.assertTrue(all(wanted > 0 for wanted in self.cache.wanted))
        # A round is counted when it ends.
        self.assertTrue(wait_until(lambda: oomreclaim.stats()["background_rounds"] > 0))

    def test_requests_while_the_interpreter_is_busy(self):
        begun, may_end, wanted = threading.Event(), threading.Event(), []

        def slow(bytes_wanted):
            wanted.append(bytes_wanted)
            begun.set()
            may_end.wait()
            return bytes_wanted

        oomreclaim.callback(slow)
        self.addCleanup(oomreclaim.unregister, slow)
        write = oomreclaim._waker._write
        os.write(write, b"4711 1000\n")
        self.assertTrue(begun.wait(60))
        for number in range(1, 301):
            os.write(write, b"4711 %d\n" % (7 ** (number % 12) + 1))
        os.write(write, b"4711 2000\n")
        may_end.set()
        self.assertTrue(wait_until(lambda: 2000 in wanted))
        # As where the buffer that it is read into ends.
        os.write(write, b"4711 30")
        time.sleep(0.1)
        os.write(write, b"00\n")
        self.assertTrue(wait_until(lambda: 3000 in wanted))
        self.assertNotIn(4711, wanted)

    def test_never_on_a_failing_thread(self):
        oomreclaim.callback(self.cache.drop)
        with self.assertRaises(MemoryError):
            bytearray(120 * MIB)
        self.assertNotIn("MainThread", self.cache.threads)

    def test_child_has_callbacks_of_its_own(self):
        oomreclaim.callback(self.cache.drop)
        pid = os.fork()
        if pid == 0:
            self.cache.threads.clear()
            self.grow()
            os._exit(0 if wait_until(lambda: self.cache.threads) else 1)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)

    @unittest.skipUnless(os.getuid() == 0, "to become somebody else takes root")
    def test_after_dropping_privileges(self):
        oomreclaim.callback(self.cache.drop)
        pid = os.fork()
        if pid == 0:
            self.cache.threads.clear()
            os.setgid(65534)
            os.setuid(65534)
            self.grow()
            os._exit(0 if wait_until(lambda: self.cache.threads) else 1)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def test_child_of_a_moment_of_registering(self):
        begun = threading.Event()

        class Slow(int):
            def __neg__(self):
                begun.set()
                time.sleep(0.5)
                return 0

        thread = threading.Thread(target=oomreclaim.callback, args=(self.cache.drop,),
                                  kwargs={"priority": Slow()})
        thread.start()
        begun.wait()
        pid = os.fork()
        if pid == 0:
            signal.alarm(30)
            oomreclaim.unregister(self.cache.drop)
            os._exit(0)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        thread.join()

    def test_one_that_raises(self):
        reported = []
        hook, sys.excepthook = sys.excepthook, lambda *error: reported.append(error[0])
        self.addCleanup(setattr, sys, "excepthook", hook)

        @oomreclaim.callback(priority=1)
        def wrong(bytes_wanted):
            raise KeyError

        self.addCleanup(oomreclaim.unregister, wrong)
        oomreclaim.callback(self.cache.drop)
        self.cache.blocks.append(bytearray(MIB))
        self.assertEqual(oomreclaim.reclaim("1M"), MIB)
        self.assertEqual(reported, [KeyError])

    def test_unregister(self):
        oomreclaim.callback(self.cache.drop)
        oomreclaim.unregister(self.cache.drop)
        oomreclaim.reclaim(1)
        self.assertEqual(self.cache.threads, [])
        with self.assertRaises(ValueError):
            oomreclaim.unregister(self.cache.drop)

    def test_limit(self):
        before = oomreclaim.get_limit()
        self.assertEqual(before, 128 * MIB)
        with oomreclaim.limit("96M"):
            self.assertEqual(oomreclaim.get_limit(), 96 * MIB)
            with self.assertRaises(MemoryError):
                bytearray(100 * MIB)
        self.assertEqual(oomreclaim.get_limit(), before)
        with oomreclaim.limit(None):
            self.assertIsNone(oomreclaim.get_limit())
            self.assertEqual(len(bytearray(200 * MIB)), 200 * MIB)
        with self.assertRaises(KeyError), oomreclaim.limit("96M"):
            raise KeyError
        self.assertEqual(oomreclaim.get_limit(), before)

    def test_cache_in_background(self):
        @oomreclaim.cache
        def block(number):
            return bytes([number % 256]) * MIB

        for number in range(300):
            self.assertEqual(block(number)[0], number % 256)
            time.sleep(0.001)
        self.assertTrue(wait_until(lambda: block.cache_info().dropped > 0))
        info = block.cache_info()
        self.assertEqual(info.misses, info.currsize + info.dropped)
        # The newest is the last to go.
        while block.cache_info().currsize > 0:
            self.assertGreater(oomreclaim.reclaim(MIB), 0)

    def test_cache_in_a_child_of_a_moment(self):
        begun = threading.Event()

        class Slow(int):
            def __eq__(self, other):
                begun.set()
                time.sleep(0.5)
                return True

            def __hash__(self):
                return 1

        @oomreclaim.cache
        def identity(value):
            return value

        identity(1)
        thread = threading.Thread(target=identity, args=(Slow(1),))
        thread.start()
        begun.wait()
        pid = os.fork()
        if pid == 0:
            signal.alarm(30)
            os._exit(0 if identity(2) == 2 else 1)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        thread.join()

    def test_scope(self):
        rounds = oomreclaim.stats()["direct_rounds"]
        with oomreclaim.scope(oomreclaim.NORETRY), self.assertRaises(MemoryError):
            bytearray(120 * MIB)
        self.assertEqual(oomreclaim.stats()["direct_rounds"], rounds)

    def test_stats(self):
        stats = oomreclaim.stats()
        self.assertEqual((stats["limit"], stats["high"]), (128 * MIB, 64 * MIB))
        self.assertGreater(stats["heap_allocated"], 0)
        self.assertRegex(oomreclaim.version(), r"^[0-9]+\.[0-9]+\.[0-9]+$")


@unittest.skipUnless(oomreclaim.available() and oomreclaim.stats()["high"] is None, "a run of its own")
class WithoutWatermark(unittest.TestCase):
    def test_cache(self):
        @oomreclaim.cache
        def block(number):
            return bytes([number % 256]) * MIB

        for number in range(1000):
            self.assertEqual(block(number)[0], number % 256)
        info = block.cache_info()
        self.assertEqual((info.misses, info.currsize + info.dropped), (1000, 1000))
        # It is no smaller than it has to be.
        self.assertGreater(info.currsize, 32)


def pipes():
    """Of each open descriptor of a pipe what it is. Others oomreclaimd opens and closes at any time."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink("/proc/self/fd/" + number)
        except FileNotFoundError:
            continue
        if target.startswith("pipe:"):
            found.append(target)
    return sorted(found)


@unittest.skipUnless("WithoutModule" in sys.argv, "a run of its own")
class WithoutModule(unittest.TestCase):
    def test_callbacks(self):
        cache = Cache()
        before = pipes()
        with self.assertWarnsRegex(RuntimeWarning, "only reclaim.*fifo.so"):
            oomreclaim.callback(cache.drop)

        @oomreclaim.cache(size=len)
        def block(number):
            return b"x" * 1000

        self.assertEqual(block(1), block(1))
        self.assertEqual(pipes(), before)
        oomreclaim.reclaim(MIB)
        self.assertEqual((len(cache.threads), block.cache_info().dropped), (1, 1))


@unittest.skipIf(oomreclaim.available(), "the other run")
class Without(unittest.TestCase):
    def test_callback(self):
        cache = Cache()
        self.assertEqual(oomreclaim.callback(cache.drop), cache.drop)
        self.assertEqual(oomreclaim.reclaim("1M"), 0)
        self.assertEqual(len(cache.threads), 1)

    def test_refused(self):
        for call in (oomreclaim.version, oomreclaim.stats, oomreclaim.get_limit,
                     lambda: oomreclaim.set_limit("1G")):
            with self.assertRaises(RuntimeError):
                call()

    def test_nothing_is_done(self):
        done = []
        with oomreclaim.limit("1G"), oomreclaim.limit(None), oomreclaim.scope(1):
            done.append(1)
        with self.assertRaises(KeyError), oomreclaim.limit("1G"), oomreclaim.scope(1):
            raise KeyError
        with self.assertRaises(ValueError), oomreclaim.limit("1.5G"):
            pass
        self.assertEqual(done, [1])


class Caching(unittest.TestCase):
    def setUp(self):
        self.calls = []

    def made(self, **options):
        @oomreclaim.cache(**options)
        def called(*args, **keywords):
            self.calls.append((args, keywords))
            return b"x" * 1000

        return called

    def test_as_lru_cache(self):
        own = self.made(maxsize=2)
        calls, self.calls = self.calls, []
        theirs = functools.lru_cache(maxsize=2)(lambda *args, **keywords: calls.append((args, keywords)))
        steps = [((1,), {}), ((2,), {}), ((1,), {}), ((3,), {}), ((2,), {}), ((1,), {}), ((), {"k": 1}),
                 ((), {"k": 1, "l": 2}), (("k", 1), {}), ((1.0,), {}), ((), {"k": 1})]
        for args, keywords in steps:
            own(*args, **keywords)
            theirs(*args, **keywords)
            self.assertEqual(own.cache_info()[:4], theirs.cache_info())
        self.assertEqual(self.calls, calls)
        self.assertEqual(own.cache_parameters(), theirs.cache_parameters())
        own.cache_clear()
        self.assertEqual(own.cache_info(), (0, 0, 2, 0, 0, 0))
        self.assertEqual((own.__name__, own.__wrapped__.__name__), ("called", "called"))

    def test_types(self):
        typed, untyped = self.made(typed=True), self.made()
        for cached, misses in ((typed, 4), (untyped, 2)):
            for value in (1, 1.0, True):
                cached(value)
            cached(k=1)
            self.assertEqual(cached.cache_info().misses, misses)

    def test_none_is_a_result_and_an_error_is_not(self):
        @oomreclaim.cache(size=lambda result: 10)
        def half(number):
            self.calls.append(number)
            return None if number % 2 else 1 // number

        self.assertEqual((half(1), half(1)), (None, None))
        for _ in range(2):
            with self.assertRaises(ZeroDivisionError):
                half(0)
        self.assertEqual(self.calls, [1, 0, 0])
        self.assertEqual(half.cache_info().bytes, 10)
        with self.assertRaises(TypeError):
            half([])

    def test_a_size_that_raises(self):
        reported = []
        hook, sys.excepthook = sys.excepthook, lambda *error: reported.append(error[0])
        self.addCleanup(setattr, sys, "excepthook", hook)
        sizes = iter([ZeroDivisionError, MemoryError])

        def size(result):
            raise next(sizes)

        cached = self.made(size=size)
        self.assertEqual((cached(1), cached(1)), (b"x" * 1000, b"x" * 1000))
        self.assertEqual(cached.cache_info(), (0, 2, None, 0, 0, 0))
        self.assertEqual(reported, [ZeroDivisionError])

    def test_the_oldest_are_dropped(self):
        cached = self.made(size=len)
        for number in range(100):
            cached(number)
        cached(0)
        self.assertEqual(oomreclaim.reclaim(20 * 1000), 20 * 1000)
        self.assertEqual(cached.cache_info()[3:], (80, 80 * 1000, 20))
        misses = cached.cache_info().misses
        cached(0)
        cached(99)
        self.assertEqual(cached.cache_info().misses, misses)
        cached(1)
        self.assertEqual(cached.cache_info().misses, misses + 1)
        # An eighth at least.
        self.assertEqual(oomreclaim.reclaim(1), 11 * 1000)

    def test_priorities(self):
        first, second = self.made(size=len, priority=1), self.made(size=len)
        second(1)
        first(1)
        self.assertEqual(oomreclaim.reclaim(1), 1000)
        self.assertEqual((first.cache_info().dropped, second.cache_info().dropped), (1, 0))
        self.assertEqual(oomreclaim.reclaim(1), 1000)

    def test_methods(self):
        class Holder:
            @oomreclaim.cache
            def method(self, value):
                return value, self

        one, two = Holder(), Holder()
        self.assertEqual((one.method(1), two.method(1)), ((1, one), (1, two)))
        one.method(1)
        self.assertEqual(one.method.cache_info()[:2], (1, 2))
        Holder.method.cache_clear()

    def test_it_ends_with_its_last_reference(self):
        before = len(oomreclaim._callbacks)
        cached = self.made()
        alive = weakref.ref(cached)
        self.assertEqual(len(oomreclaim._callbacks), before + 1)
        del cached
        gc.collect()
        self.assertIsNone(alive())
        oomreclaim.reclaim(1)
        self.assertLessEqual(len(oomreclaim._callbacks), before)

    def test_a_result_whose_end_uses_the_cache(self):
        class Ends:
            def __del__(self):
                self.cached(0)

        @oomreclaim.cache(size=lambda result: 1000)
        def make(number):
            return Ends() if number else None

        Ends.cached = staticmethod(make)
        for number in range(10):
            make(number)
        self.assertGreaterEqual(oomreclaim.reclaim(5000), 5000)
        make.cache_clear()

    def test_threads(self):
        cached = self.made(maxsize=50, size=len)

        def use(seed):
            numbers = random.Random(seed)
            for _ in range(2000):
                self.assertEqual(len(cached(numbers.randrange(100))), 1000)
                if numbers.randrange(100) == 0:
                    cached._drop(3000)

        threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        info = cached.cache_info()
        self.assertEqual(info.hits + info.misses, 8000)
        self.assertEqual(info.bytes, info.currsize * 1000)

    def test_wrong(self):
        with self.assertRaises(TypeError):
            oomreclaim.cache(3)
        self.assertEqual(self.made(maxsize=-1).cache_parameters()["maxsize"], 0)


class Version(unittest.TestCase):
    def test_version(self):
        self.assertRegex(oomreclaim.__version__, r"^[0-9]+\.[0-9]+\.[0-9]+$")
        if oomreclaim.available():
            self.assertEqual(oomreclaim.__version__, oomreclaim.version())


class Sizes(unittest.TestCase):
    def test_sizes(self):
        for text, size in {"0": 0, "7K": 7 << 10, "512M": 512 * MIB, "2G": 2 << 30, 9: 9}.items():
            self.assertEqual(oomreclaim.parse_size(text), size)
        for text in ("", "M", "-1", -1, "1.5M", "1m", True, "99999999T", 1 << 64):
            with self.assertRaises(ValueError):
                oomreclaim.parse_size(text)


if __name__ == "__main__":
    unittest.main()
