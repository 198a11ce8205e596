# SPDX-License-Identifier: BSD-2-Clause
"""The runner on a tiny workload: every part of what it writes."""

import os
import tempfile
import unittest

import support

import figures  # from bench/, as the next ones
import limits
import measure
import peers


def scripted(script):
    return ["sh", "-c", script]


class RunOnce(unittest.TestCase):
    plain = peers.Allocator("glibc", "")

    def status(self, command, limit=limits.NO_LIMIT, **kind):
        return measure.run_once(command, self.plain, support.plan(**kind), limit)

    def test_ok_and_its_figures(self):
        outcome = self.status(scripted("echo noise; echo '{\"ops\": 3, \"failed\": 0}'"))
        self.assertEqual((outcome["status"], outcome["ops"]), ("ok", 3))

    def test_refused(self):
        outcome = self.status(scripted("echo '{\"failed\": 2}'"))
        self.assertEqual(outcome["status"], "refused")
        self.assertIn("2 allocations", outcome["detail"])

    def test_failed_with_stderr(self):
        outcome = self.status(scripted("echo oops >&2; exit 3"))
        self.assertEqual((outcome["status"], outcome["detail"]), ("failed", "exit status 3"))
        self.assertEqual(outcome["stderr"], "oops\n")

    def test_crashed(self):
        outcome = self.status(scripted("kill -SEGV $$"))
        self.assertEqual((outcome["status"], outcome["detail"]), ("crashed", "killed by SIGSEGV"))

    def test_hung_with_its_children(self):
        with tempfile.TemporaryDirectory() as directory:
            pid_file = os.path.join(directory, "pid")
            outcome = self.status(scripted(f"sleep 1000 & echo $! >{pid_file}; wait"), seconds=1)
            self.assertEqual(outcome["status"], "hung")
            with open(pid_file, encoding="ascii") as file:
                pid = int(file.read())
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                self.assertEqual(file.read().rsplit(")", 1)[1].split()[0], "Z")
        except FileNotFoundError:
            pass  # gone entirely

    def test_missing_command(self):
        outcome = self.status(["/no/such/command"])
        self.assertEqual(outcome["status"], "missing")
        self.assertIn("/no/such/command", outcome["detail"])

    def test_missing_peer_is_not_glibc(self):
        peer = peers.Allocator("nobody", "libnobody.so.7", "libnobody7")
        peer.probe()
        outcome = measure.run_once(["true"], peer, support.plan())
        self.assertEqual(outcome["status"], "missing")
        self.assertIn("libnobody.so.7", outcome["detail"])
        self.assertIn("libnobody7", outcome["detail"])

    def test_the_limit_holds(self):
        script = scripted("ulimit -v; ulimit -d")
        for kind, line in (("as", 0), ("data", 1)):
            with tempfile.NamedTemporaryFile("r") as out:
                self.status(scripted(f"({script[2]}) >{out.name}"),
                            limit=limits.make(kind, 256 << 20))
                self.assertEqual(out.read().split()[line], str(256 << 10))

    def test_the_budget_reaches_only_ours(self):
        limit = limits.make("budget", 64 << 20)
        ours = peers.Allocator("oomreclaim", support.LIBRARY)
        self.assertIn(f"OOMRECLAIM_CONF=limit:{64 << 20}", measure.environment(ours, limit)[1])
        self.assertEqual(measure.environment(self.plain, limit)[1], [])

    def test_own_settings_do_not_leak_in(self):
        os.environ["MALLOC_CONF"] = "retain:false"
        try:
            self.assertNotIn("MALLOC_CONF", measure.environment(self.plain, limits.NO_LIMIT)[0])
        finally:
            del os.environ["MALLOC_CONF"]


class Interleave(unittest.TestCase):
    def test_order_and_no_repetition_of_what_failed(self):
        chosen = [peers.Allocator("a", ""), peers.Allocator("b", "", env={"END": "1"}),
                  peers.Allocator("c", "")]
        turns = []
        cells = measure.interleave(scripted("exit ${END:-0}"), chosen, support.plan(rounds=2),
                                   step=turns.append)
        self.assertEqual(turns, ["a", "b", "c", "a", "c"])
        self.assertEqual([cells[name]["status"] for name in "abc"], ["ok", "failed", "ok"])
        self.assertEqual(len(cells["a"]["seconds"]["runs"]), 2)

    def test_spread(self):
        self.assertFalse(figures.summary([1.0, 1.1, 1.05])["wide"])
        self.assertTrue(figures.summary([1.0, 1.5, 1.05])["wide"])
        self.assertEqual(figures.summary([3.0, 1.0, 2.0])["median"], 2.0)


class Whole(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.status, cls.text, cls.results = support.run(
            "run.py", cls.directory.name, "--quick", "--only", "workloads", "--only", "limits",
            "--workload", "cache", "--scale", "1", "--rounds", "1", "--warmup", "0", "--wait", "0",
            "--library", support.LIBRARY)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def test_form(self):
        self.assertEqual(self.status, 0, self.text)
        self.assertEqual(self.results["format"], 2)
        for key in ("cpu", "cpus", "governor", "memory_bytes", "kernel", "system"):
            self.assertTrue(self.results["machine"][key], key)
        self.assertEqual([(row["workload"], row["threads"]) for row in self.results["workloads"]],
                         [("cache", 1), ("cache", 2)])
        names = {"oomreclaim", "oomreclaim-limit", "jemalloc", "glibc", "mimalloc", "tcmalloc"}
        for row in self.results["workloads"]:
            self.assertEqual(set(row["allocators"]), names)
            for name in ("oomreclaim", "oomreclaim-limit", "glibc"):
                cell = row["allocators"][name]
                self.assertEqual(cell["status"], "ok", name)
                for key in ("seconds", "cpu_seconds", "rss_peak_bytes", "address_peak_bytes",
                            "faults", "ops"):
                    self.assertGreater(cell[key]["median"], 0, key)

    def test_limits(self):
        rows = self.results["limits"]
        for kind in ("as", "data", "budget"):
            steps = [row for row in rows if row["limit"] == kind]
            self.assertEqual([row["percent"] for row in steps], [100, 90, 75, 50, 25])
        kinds = {row["limit"] for row in rows}
        skipped = any("cgroup: skipped" in note for note in self.results["notes"])
        self.assertNotEqual("cgroup" in kinds, skipped)

    def test_the_callback_is_what_makes_it_finish(self):
        reclaimed = []
        for row in self.results["limits"]:
            if row["limit"] == "as":
                cell = row["allocators"]["oomreclaim"]
                if row["percent"] >= 75:
                    self.assertEqual(cell["status"], "ok", cell)
                if cell["status"] == "ok":
                    reclaimed.append(cell["reclaimed_bytes"]["median"])
        # The need was measured once: a run that differs may find room under three quarters of it.
        self.assertGreater(max(reclaimed), 0)

    def test_table(self):
        lines = self.text.splitlines()
        head = next(line for line in lines if line.startswith("workload"))
        self.assertEqual(head.split(), ["workload", "threads", "oomreclaim", "oomreclaim-limit",
                                        "jemalloc", "glibc",
                                        "mimalloc", "tcmalloc"])
        self.assertTrue(any(line.startswith("RLIMIT_AS") for line in lines))

    def test_page_needs_nothing_else(self):
        with open(os.path.join(self.directory.name, "report.html"), encoding="utf-8") as file:
            page = file.read()
        self.assertIn("<svg", page)
        for outside in ("<script", "<link", "<img", 'src="'):
            self.assertNotIn(outside, page)

    def test_time_is_kept(self):
        """A thousand rounds were asked for; there is time for few, and the report says how many."""
        with tempfile.TemporaryDirectory() as out:
            status, text, results = support.run(
                "run.py", out, "--quick", "--only", "workloads", "--workload", "churn", "--scale", "1",
                "--rounds", "1000", "--minutes", "0.05", "--wait", "0", "--library", support.LIBRARY)
        self.assertEqual(status, 0, text)
        for row in results["workloads"]:
            rounds = len(row["allocators"]["glibc"]["seconds"]["runs"])
            self.assertLess(0, rounds)
            self.assertLess(rounds, 1000)
        self.assertIn("workloads, cases with fewer rounds than 1000", text)

    def test_bad_usage(self):
        for words in (["--rounds", "0"], ["--minutes", "0"], ["--warmup", "-1"], ["--peer", "x"]):
            with tempfile.TemporaryDirectory() as out:
                self.assertEqual(support.run("run.py", out, *words)[0], 2, words)

    def test_unknown_workload(self):
        with tempfile.TemporaryDirectory() as out:
            status, text, _ = support.run("run.py", out, "--workload", "nonsense")
        self.assertNotEqual(status, 0)
        self.assertIn("no such workload: nonsense", text)


class Refusals(unittest.TestCase):
    def test_form(self):
        with tempfile.TemporaryDirectory() as out:
            status, text, results = support.run("run.py", out, "--quick", "--only", "refusals",
                                                "--wait", "0", "--library", support.LIBRARY)
        self.assertEqual(status, 0, text)
        for row in results["refusals"]:
            self.assertGreater(row["instructions"]["oomreclaim"], 0, row)
        self.assertEqual([row["limit"] for row in results["maps"]], ["as", "data", "budget", "none"])
        for row in results["maps"]:
            self.assertEqual(len(row["maps"]["oomreclaim"]), 5, row)
        self.assertIn("A failure that can't be helped", text)
        self.assertIn("Mappings over time", text)


if __name__ == "__main__":
    unittest.main()
