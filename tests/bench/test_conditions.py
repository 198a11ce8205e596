# SPDX-License-Identifier: BSD-2-Clause
"""Under what conditions figures are taken: idle machines and others, warm-up, time, peers, launch."""

import io
import json
import os
import shutil
import subprocess
import tempfile
import unittest
from unittest import mock

import support

import idle  # from bench/, as the next ones
import machine
import measure
import peers
import progress


def written(directory, name, text):
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


class Idle(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def test_busy_seconds(self):
        hertz = os.sysconf("SC_CLK_TCK")
        ticks = [1, 2, 4, 1000, 500, 8, 16, 32, 64, 128]  # idle and iowait are not; guests are user's
        path = written(self.directory.name, "stat", f"cpu  {' '.join(map(str, ticks))}\ncpu0 1 1\n")
        self.assertEqual(idle.busy_seconds(path), 63 / hertz)

    def test_a_file_that_says_nothing(self):
        for text in ("cpu  0 0 0 0 0 0 0 0 0 0\n", "", "intr 1\n"):
            self.assertIsNone(idle.busy_seconds(written(self.directory.name, "stat", text)))
        self.assertIsNone(idle.busy_seconds(self.directory.name + "/none"))

    def share(self, busy, own, seconds=1.0, cpus=2):
        """Of others, with so much taken by all and by us."""
        with mock.patch.multiple(idle, busy_seconds=mock.Mock(side_effect=[10.0, 10.0 + busy]),
                                 own_seconds=mock.Mock(side_effect=[1.0, 1.0 + own])), \
                mock.patch("time.monotonic", side_effect=[0.0, seconds]), \
                mock.patch("os.cpu_count", return_value=cpus):
            return idle.Watch().share()

    def test_what_others_took(self):
        for busy, own, share, disturbed in ((1.0, 1.0, 0.0, False), (1.5, 0.5, 0.5, True),
                                            (1.04, 1.0, 0.0, False), (1.0, 1.2, 0.0, False),
                                            (1.2, 1.0, 0.1, False), (1.3, 1.0, 0.15, True)):
            self.assertEqual(self.share(busy, own), share)
            self.assertEqual(idle.is_disturbed(share), disturbed)
        self.assertFalse(idle.is_disturbed(None))

    def wait(self, shares, seconds=100):
        clock, said = iter(range(1000)), []
        with mock.patch.object(idle, "look", side_effect=shares), \
                mock.patch("time.monotonic", side_effect=lambda: float(next(clock))):
            return *idle.wait(seconds, said.append), said

    def test_waits_for_three_quiet_looks(self):
        waited, share, said = self.wait([0.5, 0.0, 0.9, 0.05, 0.0, 0.01])
        self.assertEqual((waited, share), (6, 0.01))
        self.assertEqual(said, ["waiting for an idle machine: others take 50% of it",
                                "waiting for an idle machine: others take 90% of it"])

    def test_gives_up(self):
        self.assertEqual(self.wait([0.5] * 9, seconds=4)[:2], (4, 0.5))
        self.assertEqual(self.wait([0.5], seconds=0)[:2], (1, 0.5))
        self.assertEqual(self.wait([None])[:2], (1, None))

    def test_the_report_says_it(self):
        about = {"others_at_start": 0.4, "waited_seconds": 300.0}
        self.assertIn("others took 40% of it after 300 seconds", "".join(machine.notes(about)))
        self.assertEqual(list(machine.notes({"others_at_start": 0.02})), [])
        self.assertIn("can't be told", "".join(machine.notes({"others_at_start": None})))


class Machine(unittest.TestCase):
    def test_governor(self):
        with tempfile.TemporaryDirectory() as root:
            self.assertEqual(machine.governor(root), "no governor to be seen")
            for cpu in ("cpu0", "cpu1"):
                written(root, f"{cpu}/cpufreq/scaling_governor", "performance\n")
            self.assertEqual(machine.governor(root), "governor performance")
            written(root, "cpu1/cpufreq/scaling_governor", "powersave\n")
            written(root, "intel_pstate/no_turbo", "1\n")
            self.assertEqual(machine.governor(root), "governor performance/powersave, boost off")


class Turns(unittest.TestCase):
    """The order of runs and what is kept of them; nothing is run."""

    def cells(self, outcomes, **plan):
        names = []

        def run_once(command, allocator, plan, limit):
            names.append(allocator.name)
            return measure.Outcome(status="ok", detail="", **dict(outcomes[allocator.name].pop(0)))

        chosen = [peers.Allocator(name, "") for name in outcomes]
        with mock.patch.object(measure, "run_once", run_once), \
                mock.patch.object(idle, "wait", lambda *more, **words: (0, 0.0)):
            return measure.interleave(["true"], chosen, support.plan(**plan)), "".join(names)

    @staticmethod
    def runs(*seconds_and_others):
        return [{"seconds": seconds, "others": others} for seconds, others in seconds_and_others]

    def test_warm_up_is_not_kept(self):
        cells, order = self.cells({"a": self.runs((9.0, 0), (1.0, 0), (1.0, 0)),
                                   "b": self.runs((9.0, 0), (2.0, 0), (2.0, 0))}, rounds=2, warmup=1)
        self.assertEqual(order, "ababab")
        self.assertEqual(cells["a"]["seconds"]["runs"], [1.0, 1.0])
        self.assertEqual(cells["b"]["seconds"]["runs"], [2.0, 2.0])

    def test_what_takes_long_is_run_once(self):
        cells, order = self.cells({"a": self.runs((9.0, 0)), "b": self.runs((1.0, 0), (2.0, 0))},
                                  rounds=1, warmup=1, once_from=5)
        self.assertEqual(order, "abb")
        self.assertEqual(cells["a"]["seconds"]["runs"], [9.0])

    def test_a_disturbed_run_is_repeated(self):
        cells, order = self.cells({"a": self.runs((1.0, 0.02), (3.0, 0.5), (1.1, 0.0)),
                                   "b": self.runs((2.0, 0.0), (2.0, None))}, rounds=2, repeats=2)
        self.assertEqual(order, "ababa")
        self.assertEqual(cells["a"]["seconds"]["runs"], [1.0, 1.1])
        self.assertEqual((cells["a"]["disturbed"], cells["b"]["disturbed"]), (0, 0))

    def test_and_marked_where_that_is_in_vain(self):
        cells, order = self.cells({"a": self.runs((3.0, 0.5), (2.5, 0.4), (3.5, 0.6))}, rounds=1,
                                  repeats=2)
        self.assertEqual(order, "aaa")
        self.assertEqual(cells["a"]["seconds"]["runs"], [2.5])  # the least disturbed
        self.assertEqual((cells["a"]["disturbed"], cells["a"]["others"]), (1, 0.4))

    def test_time_is_over(self):
        cells, order = self.cells({"a": self.runs((1.0, 0.9))}, rounds=5, warmup=2,
                                  repeats=5, until=-1.0)
        self.assertEqual(order, "a")  # one there is always
        self.assertEqual(cells["a"]["disturbed"], 1)


class Time(unittest.TestCase):
    def test_what_one_case_leaves_is_for_the_others(self):
        with mock.patch("time.monotonic", side_effect=[0.0, 0.0, 10.0, 200.0]):
            share = progress.Share(100, 4)
            self.assertEqual([share.until() for _ in range(3)], [25.0, 40.0, 200.0])
        self.assertIsNone(progress.Share(None, 4).until())

    def test_what_was_taken_before_shortens_all(self):
        """By weight: a part has its share of what is left, not of what there was."""
        with mock.patch("time.monotonic", side_effect=[0.0, 20.0, 20.0, 80.0, 80.0]):
            deadline = progress.Deadline(100, {"a": 3, "b": 1})
            self.assertEqual(deadline.share("a", 1).end, 20.0 + 60.0)
            self.assertEqual(deadline.share("b", 1).end, 100.0)

    def test_no_time_is_left(self):
        with mock.patch("time.monotonic", side_effect=[0.0, 200.0, 200.0, 201.0]):
            self.assertEqual(progress.Deadline(100, {"a": 1}).share("a", 5).until(), 201.0)

    def test_progress_is_there_at_once(self):
        out = io.StringIO()
        shown = progress.Progress(40, out, seconds=600)
        shown.say("building")
        self.assertRegex(out.getvalue(), r"\[1/40\] (9:59|10:00) left  building\n")
        shown.step("a")
        with mock.patch("time.monotonic", return_value=shown.started + 700):
            self.assertGreater(shown.left(), 600)  # by what is done, as the time that there was is over
        shown.settle(40)
        self.assertEqual(shown.done, 40)


class Script(unittest.TestCase):
    """script/bench before the runner has a word: with stubs, in a directory of its own."""

    def test_it_says_what_it_does_from_the_first_second(self):
        source = os.path.join(os.path.dirname(support.SOURCE), "script", "bench")
        with tempfile.TemporaryDirectory() as directory:
            for name in ("script/bootstrap", "bin/meson", "bin/ninja"):
                path = written(directory, name, f"#!/bin/sh\necho stub {os.path.basename(name)} >&2\n")
                os.chmod(path, 0o755)
            shutil.copy(source, os.path.join(directory, "script", "bench"))
            written(directory, "bench/run.py", "print('the runner')\n")
            done = subprocess.run([os.path.join(directory, "script", "bench"), "--quick"], text=True,
                                  check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env={**os.environ, "PATH": f"{directory}/bin:{os.environ['PATH']}"})
        self.assertEqual(done.stderr.splitlines(), [
            "bench: looking for what is missing", "stub bootstrap",
            "bench: setting up the build directory", "stub meson", "bench: building", "stub ninja"])
        self.assertEqual(done.stdout, "the runner\n")


class Launch(unittest.TestCase):
    def launch(self, *command):
        reader, writer = os.pipe()
        done = subprocess.run([measure.find_launch(support.BUILD), str(writer), *command], check=False,
                              pass_fds=[writer], stderr=subprocess.DEVNULL)
        os.close(writer)
        with os.fdopen(reader) as file:
            text = file.read()
        return done.returncode, json.loads(text) if text else None

    def test_exit_status(self):
        for script, status in (("exit 7", 7), ("kill -TERM $$", 128 + 15), ("exit 0", 0)):
            self.assertEqual(self.launch("sh", "-c", script)[0], status)
        self.assertEqual(self.launch("/no/such/command")[0], 127)
        self.assertEqual(self.launch()[0], 2)

    def test_children_are_counted(self):
        spin = "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done"
        _, taken = self.launch("sh", "-c", f"sh -c '{spin}'; true")
        self.assertGreater(taken["user_seconds"], 0.01)
        self.assertGreater(taken["faults"], 0)

    def test_the_peak_is_the_command_s_own(self):
        """And not that of a large program that started it."""
        ballast = bytearray(64 << 20)
        ballast[::4096] = b"x" * len(ballast[::4096])
        _, taken = self.launch("true")
        self.assertLess(taken["rss_peak_bytes"], len(ballast) // 2)
        _, taken = self.launch("/usr/bin/python3", "-c", "x = bytearray(b'x' * (64 << 20))")
        self.assertGreater(taken["rss_peak_bytes"], 64 << 20)

    def test_the_descriptor_is_not_the_command_s(self):
        status, taken = self.launch("sh", "-c", "test $(ls /proc/self/fd | wc -l) -le 4")
        self.assertEqual(status, 0)
        self.assertIsNotNone(taken)


class Peers(unittest.TestCase):
    def test_the_newest(self):
        with tempfile.TemporaryDirectory() as place:
            for name in ("libpeer.so.2", "libpeer.so.2.11", "libpeer.so.10", "libpeer.so.10.1",
                         "libpeer.so"):
                written(place, name, "")
            self.assertEqual(peers.newest("libpeer.so.[0-9]*", [place]), "libpeer.so.10")
            self.assertEqual(peers.newest("libnobody.so.[0-9]*", [place]), "libnobody.so")

    def test_named(self):
        self.assertEqual(peers.named(f"mine={support.LIBRARY}"), ("mine", support.LIBRARY))
        for wrong in ("mine", "=x", f"oomreclaim={support.LIBRARY}", "mine=/no/such/file.so",
                      f"a b={support.LIBRARY}"):
            self.assertRaises(ValueError, peers.named, wrong)

    def test_a_file_that_is_no_library(self):
        with tempfile.NamedTemporaryFile() as file, self.assertRaises(SystemExit) as end:
            peers.choose(support.LIBRARY, [("mine", file.name)])
        self.assertIn("can't be preloaded", str(end.exception))

    def test_choice(self):
        chosen = peers.choose(support.LIBRARY, [("mine", support.LIBRARY)])
        self.assertEqual([one.name for one in chosen], [*peers.MAIN, "mine"])
        self.assertIsNone(chosen[-1].missing)
        chosen = peers.choose(support.LIBRARY, names="glibc")
        self.assertEqual([one.name for one in chosen], ["glibc"])
        self.assertRaises(SystemExit, peers.choose, support.LIBRARY, names="nobody")


if __name__ == "__main__":
    unittest.main()
