# SPDX-License-Identifier: BSD-2-Clause
"""The Python package's groups, in a process on the library or without it."""

import ctypes
import errno
import json
import os
import re
import sys
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

import oomreclaim

MIB = 1 << 20


def groups_left():
    """How many there are in the process."""
    library, pieces = ctypes.CDLL(None), []
    put = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)(lambda _, piece: pieces.append(piece))
    library.malloc_stats_print(put, None, b"Jgmdablxeh")
    return json.loads(b"".join(pieces))["oomreclaim"]["groups_total"]


def wait_until(holds):
    """A thread goes on for a moment when join() has returned."""
    end = time.monotonic() + 60
    while not holds() and time.monotonic() < end:
        time.sleep(0.001)
    return holds()


@unittest.skipUnless(oomreclaim.available(), "the other run")
class With(unittest.TestCase):
    def tearDown(self):
        self.assertEqual(groups_left(), 0)

    def test_what_is_made_inside_is_charged(self):
        outside = bytearray(8 * MIB)
        with oomreclaim.group("job") as job:
            block = bytearray(16 * MIB)
            stats = job.stats()
            self.assertGreaterEqual(stats["charged"], 16 * MIB)
            self.assertLess(stats["charged"], 24 * MIB)
            self.assertEqual(stats["threads"], 1)
            self.assertLessEqual(stats["allocated"], stats["charged"])
            outside.extend(bytes(8 * MIB))
            del block
            self.assertGreaterEqual(job.stats()["peak"], 16 * MIB)
        with self.assertRaises(OSError):
            job.stats()
        with self.assertRaises(RuntimeError):
            with job.enter():
                pass

    def test_max(self):
        kept = []
        with oomreclaim.group("job", max="24M") as job:
            with self.assertRaises(MemoryError):
                for _ in range(200):
                    kept.append(bytearray(MIB))
            self.assertGreater(len(kept), 16)
            self.assertLessEqual(job.stats()["charged"], 24 * MIB)
            self.assertGreater(job.stats()["max_met"], 0)
            del kept[:8]
            kept.append(bytearray(4 * MIB))
        bytearray(64 * MIB)
        # What has survived the group is whole, and can be grown outside of it.
        self.assertFalse(any(any(block) for block in kept))
        kept[-1].extend(bytes(64 * MIB))

    @unittest.skipUnless(os.environ.get("PYTHONMALLOC") == "malloc", "small objects are Python's own")
    def test_small_objects(self):
        with oomreclaim.group("job", max="16M") as job:
            numbers = []
            with self.assertRaises(MemoryError):
                for number in range(3000000):
                    numbers.append(float(number))
            self.assertGreater(len(numbers), 100000)
            self.assertEqual(numbers[4711], 4711.0)
            self.assertLessEqual(job.stats()["peak"], 16 * MIB)
            text = json.dumps(list(range(1000)))
            del numbers
            self.assertEqual(json.loads(text)[999], 999)
            self.assertEqual(re.sub("9+", "x", text).count("x"), 280)

    def test_tree(self):
        with oomreclaim.group("outer", max="32M", low="1M", min="512K", high="30M", score_adj=-5) as outer:
            with oomreclaim.group("inner", parent=outer, policy="cancel") as inner:
                block = bytearray(16 * MIB)
                self.assertGreaterEqual(inner.stats()["own"], 16 * MIB)
                self.assertLess(outer.stats()["own"], 4 * MIB)
                self.assertGreaterEqual(outer.stats()["charged"], 16 * MIB)
                self.assertEqual(outer.stats()["children"], 1)
                with self.assertRaises(MemoryError):
                    bytearray(24 * MIB)
            self.assertGreaterEqual(outer.stats()["own"], 16 * MIB)
            with outer.enter():
                del block
            self.assertEqual(outer.stats()["children"], 0)

    def test_one_that_outlives_its_parent(self):
        begun, may_end = threading.Event(), threading.Event()

        def work():
            with oomreclaim.group("inner", parent=outer):
                begun.set()
                may_end.wait()

        with oomreclaim.group("outer") as outer:
            thread = threading.Thread(target=work)
            thread.start()
            begun.wait()
        self.assertEqual(groups_left(), 2)
        may_end.set()
        thread.join()

    def test_threads(self):
        begun, may_end, seen = threading.Barrier(5), threading.Event(), []

        def work():
            with job.enter():
                block = bytearray(2 * MIB)
                begun.wait()
                may_end.wait()
                seen.append(job.stats()["charged"])
                del block

        with oomreclaim.group("pool") as job:
            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            begun.wait()
            self.assertEqual(job.stats()["threads"], 5)
        # The last one ends it.
        self.assertEqual(groups_left(), 1)
        self.assertEqual(job.stats()["threads"], 4)
        may_end.set()
        for thread in threads:
            thread.join()
        self.assertEqual(len(seen), 4)
        self.assertTrue(all(charged > 0 for charged in seen))

    def test_threads_that_are_made_inside(self):
        current = ctypes.CDLL(None).oomreclaim_group_current
        current.restype = ctypes.c_uint64
        seen = []

        def work():
            seen.append(current())
            with self.assertRaises(MemoryError):
                bytearray(32 * MIB)

        for inherit in (False, True):
            with oomreclaim.group("job", max="16M", inherit=inherit) as job:
                thread = threading.Thread(target=work if inherit else lambda: seen.append(current()))
                thread.start()
                thread.join()
                self.assertEqual(seen.pop(), current() if inherit else 0)
                with ThreadPoolExecutor(2) as pool:
                    self.assertEqual(pool.submit(current).result(), current() if inherit else 0)
                self.assertTrue(wait_until(lambda: job.stats()["threads"] == 1))

    def test_a_thread_that_goes_on(self):
        may_end = threading.Event()
        with oomreclaim.group("outer") as outer, oomreclaim.group("job", parent=outer, inherit=True) as job:
            thread = threading.Thread(target=may_end.wait)
            thread.start()
        self.assertEqual(groups_left(), 2)
        with oomreclaim.group("other"):
            self.assertEqual(groups_left(), 3)
        may_end.set()
        thread.join()
        self.assertTrue(wait_until(lambda: job.stats()["threads"] == 0))
        with oomreclaim.group("other"):
            self.assertEqual(groups_left(), 1)

    def test_an_error_leaves_it(self):
        with self.assertRaises(KeyError):
            with oomreclaim.group("outer"), oomreclaim.group("inner"):
                raise KeyError
        self.assertEqual(ctypes.CDLL(None).oomreclaim_group_current(), 0)

    def test_wrong(self):
        for wrong in ({"max": "1Z"}, {"policy": "panic"}, {"high": -1}, {"low": "x"}, {"min": -1}):
            with self.assertRaises(ValueError):
                with oomreclaim.group("job", **wrong):
                    self.fail("entered")
        for name, error in (("", errno.EINVAL), ("x" * 32, errno.ENAMETOOLONG)):
            with self.assertRaises(OSError) as raised:
                with oomreclaim.group(name):
                    self.fail("entered")
            self.assertEqual(raised.exception.errno, error)
        with self.assertRaises(OSError):
            with oomreclaim.group("job", score_adj=1001):
                self.fail("entered")

    def test_fork(self):
        with oomreclaim.group("forked", max="32M") as job:
            child = os.fork()
            if child == 0:
                try:
                    bytearray(64 * MIB)
                except MemoryError:
                    os._exit(0 if job.stats()["threads"] == 1 else 2)
                os._exit(1)
            self.assertEqual(os.waitpid(child, 0)[1], 0)


@unittest.skipUnless(oomreclaim.available(), "the other run")
class Refused(unittest.TestCase):
    @unittest.skipUnless("hpa" in os.environ.get("MALLOC_CONF", ""), "groups can be had")
    def test_refused(self):
        with self.assertRaises(OSError) as raised:
            with oomreclaim.group("job"):
                self.fail("entered")
        self.assertEqual(raised.exception.errno, errno.ENOTSUP)


@unittest.skipIf(oomreclaim.available(), "the other run")
class Without(unittest.TestCase):
    def test_nothing_is_done(self):
        with oomreclaim.group("job", max="1M", policy="cancel", inherit=True) as job:
            with oomreclaim.group("part", max=4096, parent=job) as part, part.enter():
                block = bytearray(2 * MIB)
            self.assertEqual(len(block), 2 * MIB)
            with self.assertRaises(RuntimeError):
                job.stats()
        with self.assertRaises(RuntimeError):
            with job.enter():
                self.fail("entered")
        with self.assertRaises(ValueError):
            with oomreclaim.group("job", max="1Z"):
                self.fail("entered")


if __name__ == "__main__":
    sys.exit(unittest.main())
