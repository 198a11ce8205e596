# SPDX-License-Identifier: BSD-2-Clause
"""script/rlimit-bench on commands that do well, and on those that do not."""

import tempfile
import unittest

import support

# About 50 MiB, long enough for its peak to be read.
NEEDS_50_MIB = "import time; x = [bytes(1 << 20) for i in range(40)]; time.sleep(0.1)"


class Rlimit(unittest.TestCase):
    def bench(self, *command, limits="as", timeout="10"):
        with tempfile.TemporaryDirectory() as out:
            return support.run("rlimit.py", out, "--rounds", "1", "--timeout", timeout, "--limits",
                               limits, "--allocators", "oomreclaim,glibc", "--library",
                               support.LIBRARY, "--", *command)

    def test_a_command(self):
        status, text, results = self.bench("/usr/bin/python3", "-c", NEEDS_50_MIB, limits="as,budget")
        self.assertEqual(status, 0, text)
        self.assertEqual({row["limit"] for row in results["limits"]}, {"none", "as", "budget"})
        peak = results["limits"][0]["allocators"]["glibc"]["address_peak_bytes"]["median"]
        self.assertGreater(peak, 40 << 20)
        # Its live data are 40 MiB: less can never be enough.
        for size in results["needs"]["as"].values():
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


if __name__ == "__main__":
    unittest.main()
