# SPDX-License-Identifier: BSD-2-Clause
"""A hundredth of the workloads of others' kinds and of the programs: they work, and are told of."""

import os
import subprocess
import tempfile
import unittest
from unittest import mock

import support

import programs  # from bench/, as the next one
import suite

WORKLOAD = os.path.join(support.BUILD, suite.WORKLOAD)


class Parts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.status, cls.text, cls.results = support.run(
            "run.py", cls.directory.name, "--quick", "--only", "apart", "--only", "programs", "--scale",
            "1", "--rounds", "1", "--warmup", "0", "--wait", "0", "--allocators", "glibc", "--peer",
            f"mine={support.LIBRARY}", "--library", support.LIBRARY,
            "--export-csv", os.path.join(cls.directory.name, "own.csv"),
            "--export-markdown", os.path.join(cls.directory.name, "own.md"))

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def cells(self, part):
        self.assertEqual(self.status, 0, self.text)
        for row in self.results[part]:
            self.assertEqual(set(row["allocators"]), {"oomreclaim", "oomreclaim-limit", "jemalloc",
                                                      "glibc", "mine"})
            for name in ("oomreclaim", "glibc", "mine"):
                yield row, name, row["allocators"][name]

    def test_apart(self):
        self.assertEqual(
            [(row["workload"], row["threads"]) for row in self.results["apart"]],
            [(name, threads) for name in ("larson", "xmalloc", "mstress", "rptest", "cache-scratch",
                                          "cache-thrash", "sh6bench") for threads in (1, 2)])
        for row, name, cell in self.cells("apart"):
            self.assertEqual(cell["status"], "ok", (row["workload"], name, cell))
            self.assertGreater(cell["ops"]["median"], 0)

    def test_they_are_not_in_the_means_of_the_others(self):
        self.assertNotIn("means", self.results)
        self.assertEqual(self.results["apart_means"]["mine"]["cases"], 14)
        self.assertEqual(set(suite.listed(WORKLOAD))
                         & set(suite.listed(WORKLOAD, "--list-apart")), set())

    def test_programs(self):
        """Each that is installed ends well; each that is not is named."""
        rows = {row["workload"] for row in self.results["programs"]}
        for program in programs.ALL:
            there = all(map(programs.is_there, program.needs))
            self.assertEqual(program.name in rows, there, program.name)
            self.assertEqual(any(note.startswith(f"{program.name}: skipped: ")
                                 for note in self.results["notes"]), not there, program.name)
        self.assertLessEqual({"python-json", "python-objects-malloc"}, rows)
        for row, name, cell in self.cells("programs"):
            self.assertEqual(cell["status"], "ok", (row["workload"], name, cell))
            for key in ("seconds", "cpu_seconds", "rss_peak_bytes", "faults"):
                self.assertGreater(cell[key]["median"], 0, (row["workload"], name, key))

    def test_they_are_in_the_report(self):
        for words in ("Apart from tuning: Time", "Programs: Processor time", "Programs: Peak RSS"):
            self.assertIn(words, self.text)
        for own, usual, words in (("own.csv", "results.csv", "programs,python-json,"),
                                  ("own.md", "report.md", "## Programs: Time")):
            with open(os.path.join(self.directory.name, own), encoding="utf-8") as file:
                text = file.read()
            with open(os.path.join(self.directory.name, usual), encoding="utf-8") as file:
                self.assertEqual(text, file.read())
            self.assertIn(words, text)


class Inputs(unittest.TestCase):
    def test_a_program_that_is_missing(self):
        with tempfile.TemporaryDirectory() as parent, \
                mock.patch.object(programs, "is_there", lambda need: need != "redis-cli"):
            cases, notes = programs.prepare(parent, ["redis", "python-json"], 1, lambda what: None)
        self.assertEqual([row["workload"] for row, _ in cases], ["python-json"])
        self.assertEqual(notes, ["redis: skipped: redis-cli not installed "
                                 "(Debian: redis-server, redis-tools)"])

    def test_an_input_that_can_not_be_made(self):
        with tempfile.TemporaryDirectory() as parent:
            with mock.patch.object(subprocess, "run", side_effect=OSError("no room")):
                cases, notes = programs.prepare(parent, ["git"], 1, lambda what: None)
        self.assertEqual((cases, notes), ([], ["git: skipped: its input can't be made: no room"]))

    def test_python_finds_its_own_faults(self):
        for words in (["nonsense", "1"], ["json"]):
            done = subprocess.run([programs.PYTHON, "-B", programs.script("python.py"), *words],
                                  check=False, stderr=subprocess.PIPE)
            self.assertNotEqual(done.returncode, 0)

    def test_work_is_the_same_whatever_the_threads(self):
        for name in suite.listed(WORKLOAD, "--list-apart"):
            requests = set()
            for threads in ("1", "2", "4"):
                done = subprocess.run([WORKLOAD, "--threads", threads, "--scale", "1", name], text=True,
                                      check=True, stdout=subprocess.PIPE)
                requests.add(int(done.stdout.split('"requests":')[1].split(",")[0]))
            self.assertLessEqual(max(requests) - min(requests), 0.4 * max(requests), name)


if __name__ == "__main__":
    unittest.main()
