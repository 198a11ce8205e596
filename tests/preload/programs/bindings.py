# SPDX-License-Identifier: BSD-2-Clause
"""The Python package, in a process on the library (limit:128M,high:64M) or without it."""

import os
import signal
import sys
import threading
import time
import unittest

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


@unittest.skipIf(oomreclaim.available(), "the other run")
class Without(unittest.TestCase):
    def test_callback(self):
        cache = Cache()
        self.assertEqual(oomreclaim.callback(cache.drop), cache.drop)
        self.assertEqual(oomreclaim.reclaim("1M"), 0)
        self.assertEqual(len(cache.threads), 1)

    def test_refused(self):
        for call in (oomreclaim.version, oomreclaim.stats, oomreclaim.get_limit,
                     oomreclaim.limit("1G").__enter__, oomreclaim.scope(1).__enter__):
            with self.assertRaises(RuntimeError):
                call()


class Sizes(unittest.TestCase):
    def test_sizes(self):
        for text, size in {"0": 0, "7K": 7 << 10, "512M": 512 * MIB, "2G": 2 << 30, 9: 9}.items():
            self.assertEqual(oomreclaim.parse_size(text), size)
        for text in ("", "M", "-1", -1, "1.5M", "1m", True, "99999999T", 1 << 64):
            with self.assertRaises(ValueError):
                oomreclaim.parse_size(text)


if __name__ == "__main__":
    unittest.main()
