# SPDX-License-Identifier: BSD-2-Clause
"""script/rlimit-bench on commands that do well, and on those that do not."""

import collections
import csv
import os
import tempfile
import unittest

import support

import parameters  # from bench/

# About 50 MiB, long enough for its peak to be read.
NEEDS_50_MIB = "import time; x = [bytes(1 << 20) for i in range(40)]; time.sleep(0.1)"


class Rlimit(unittest.TestCase):
    def bench(self, *command, limits="as", timeout="10", options=()):
        with tempfile.TemporaryDirectory() as out:
            return support.run("rlimit.py", out, "--rounds", "1", "--timeout", timeout, "--limits",
                               limits, "--allocators", "oomreclaim,glibc", "--wait", "0", "--library",
                               support.LIBRARY, *options, "--", *command)

    def test_a_command(self):
        status, text, results = self.bench("/usr/bin/python3", "-c", NEEDS_50_MIB, limits="as,budget")
        self.assertEqual(status, 0, text)
        self.assertEqual({row["limit"] for row in results["limits"]}, {"none", "as", "budget"})
        peak = results["limits"][0]["allocators"]["glibc"]["address_peak_bytes"]["median"]
        self.assertGreater(peak, 40 << 20)
        # Its live data are 40 MiB: less can never be enough.
        for size in results["commands"][0]["needs"]["as"].values():
            self.assertIsNotNone(size)
            self.assertGreater(size, 40 << 20)
        self.assertRegex(text, r"RLIMIT_AS, glibc: needs at least \d+ MiB")

    def check(self, cell_status, detail, *command, timeout="10"):
        status, text, results = self.bench(*command, timeout=timeout)
        self.assertEqual(status, 1, text)
        for name in ("oomreclaim", "glibc"):
            self.assertEqual(results["limits"][0]["allocators"][name]["status"], cell_status)
            self.assertIn(f"{name}: {cell_status}: {detail}", text)

    def test_missing(self):
        self.check("missing", "no such command: /no/such", "/no/such")

    def test_crashing(self):
        self.check("crashed", "killed by SIGABRT", "sh", "-c", "kill -ABRT $$")

    def test_hanging(self):
        self.check("hung", "no end within 0.3 s", "sleep", "1000", timeout="0.3")

    def test_failing(self):
        self.check("failed", "exit status 4", "sh", "-c", "exit 4")

    def test_stderr_is_shown(self):
        _, text, _ = self.bench("sh", "-c", "echo look here >&2")
        self.assertIn("glibc: stderr: look here", text)

    def test_bad_usage(self):
        self.assertEqual(self.bench()[0], 2)
        self.assertEqual(self.bench("true", limits="as,colour")[0], 2)
        for options in (["--warmup", "-1"], ["--wait", "-1"], ["--parameter-list", "n", "1,2"],
                        ["--peer", "nobody=/no/such/file.so"], ["--parameter-scan", "n", "5", "1"]):
            status, text, _ = self.bench("true", options=options)
            self.assertEqual(status, 2, text)

    def test_help_has_every_option(self):
        _, text, _ = self.bench(options=["--help"])
        for word in ("--warmup", "--prepare", "--parameter-list", "--parameter-scan",
                     "--parameter-step", "--export-csv", "--export-markdown", "--peer", "--wait", "examples:",
                     "exit status:"):
            self.assertIn(word, text)

    def test_parameters_warm_up_and_exports(self):
        with tempfile.TemporaryDirectory() as directory:
            log, table, markdown = (os.path.join(directory, name) for name in ("log", "csv", "md"))
            status, text, results = self.bench(
                "sh", "-c", f"echo {{word}} {{n}} >>{log}", limits="none", options=[
                    "--warmup", "1", "--rounds", "2", "-L", "word", "a,b c", "-P", "n", "1", "2",
                    "--prepare", f"echo before {{n}} >>{log}", "--export-csv", table,
                    "--export-markdown", markdown])
            self.assertEqual(status, 0, text)
            self.assertEqual([row["parameters"] for row in results["limits"]],
                             [{"word": word, "n": n} for word in ("a", "b c") for n in "12"])
            with open(log, encoding="ascii") as file:
                lines = file.read().splitlines()
            # Each twice and once to warm up, under both allocators, its preparation before each.
            self.assertEqual(lines[0:4], ["before 1", "a 1", "before 1", "a 1"])
            self.assertEqual(collections.Counter(lines), {
                "a 1": 6, "a 2": 6, "b c 1": 6, "b c 2": 6, "before 1": 12, "before 2": 12})
            self.assertEqual(len(results["limits"][0]["allocators"]["glibc"]["seconds"]["runs"]), 2)
            with open(table, encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            self.assertEqual([(row["allocator"], row["parameter_word"], row["parameter_n"], row["runs"])
                              for row in rows[-2:]],
                             [("oomreclaim", "b c", "2", "2"), ("glibc", "b c", "2", "2")])
            with open(markdown, encoding="utf-8") as file:
                text = file.read()
            self.assertIn("| word=b c, n=2 | glibc | ", text)
            self.assertIn("# Under limits: sh -c 'echo {word} {n}", text)

    def test_a_preparation_that_fails(self):
        status, text, _ = self.bench("true", options=["--prepare", "exit 3"])
        self.assertEqual(status, 1)
        self.assertIn("glibc: failed: the preparation failed: exit 3", text)


class Parameters(unittest.TestCase):
    def test_scan(self):
        self.assertEqual(parameters.scan("0.1", "0.5", "0.2"), ["0.1", "0.3", "0.5"])
        self.assertEqual(parameters.scan("1", "4", "2"), ["1", "3"])
        for wrong in (("a", "2", "1"), ("1", "2", "0"), ("2", "1", "1"), ("0", "1e9", "1"),
                      ("0", "inf", "1"), ("nan", "1", "1")):
            self.assertRaises(ValueError, parameters.scan, *wrong)

    def test_names(self):
        def tried(lists, words):
            return parameters.combinations(lists, [], "1", words)

        self.assertEqual(tried([], ["x"]), [{}])
        for lists, words in (([("n", "1")], ["x"]), ([("n", "1"), ("n", "2")], ["{n}"]),
                             ([("a b", "1")], ["{a b}"]),
                             ([("n", ",".join(map(str, range(1001))))], ["{n}"])):
            self.assertRaises(ValueError, tried, lists, words)

    def test_other_braces_stay(self):
        self.assertEqual(parameters.fill(["{n}{m} {{n}} {}", "${n}"], {"n": "{m}", "m": "1"}),
                         ["{m}1 {{m}} {}", "${m}"])
        self.assertEqual(parameters.fill(["{n}"], {}), ["{n}"])


if __name__ == "__main__":
    unittest.main()
