# SPDX-License-Identifier: BSD-2-Clause
"""Tables from results that are made up: each way a run can go has its word."""

import unittest

import support  # noqa: F401  sets the path

import figures
import peers
import tables


def cell(status="ok", detail="", **values):
    return {"status": status, "detail": detail,
            **{key: figures.summary(runs) for key, runs in values.items()}}


ROWS = [{"workload": "w", "threads": 2, "allocators": {
    "oomreclaim": cell(seconds=[1.0, 1.0, 1.0]),
    "jemalloc": cell(seconds=[2.0, 2.0, 2.0]),
    "glibc": cell(seconds=[4.0, 2.0, 3.0]),
    "mimalloc": cell("missing", "libmimalloc.so.2 is not installed"),
    "tcmalloc": cell("refused", "7 allocations failed", seconds=[5.0])}}]


class Tables(unittest.TestCase):
    def test_each_way(self):
        _, row = tables.seconds_table(ROWS)
        self.assertEqual(row, ["w", "2", "1.000", "2.000", "~3.000", "missing", "5.000 (7 refused)"])

    def test_crashed_and_hung(self):
        for status in ("crashed", "hung", "failed"):
            self.assertEqual(tables.figure(cell(status), "seconds", str), status)

    def test_ratio_only_of_those_that_finished(self):
        cells = ROWS[0]["allocators"]
        self.assertEqual(figures.ratio(cells, "oomreclaim", "seconds"), 0.5)
        for name in ("mimalloc", "tcmalloc", "nobody"):
            self.assertIsNone(figures.ratio(cells, name, "seconds"))

    def test_geometric_mean(self):
        rows = [{"allocators": {"a": cell(seconds=[1.0]), "jemalloc": cell(seconds=[4.0])}},
                {"allocators": {"a": cell(seconds=[1.0]), "jemalloc": cell(seconds=[1.0])}}]
        mean = figures.geometric_means(rows, [peers.Allocator("a", "")])["a"]
        self.assertAlmostEqual(mean["seconds"], 0.5)
        self.assertIsNone(mean["rss_peak_bytes"])

    def test_text_is_aligned(self):
        lines = tables.text([["a", "b"], ["longer", "1"], ["x", "22"]]).splitlines()
        self.assertEqual(lines, ["a        b", "longer   1", "x       22"])

    def test_markdown(self):
        self.assertEqual(tables.markdown([["a", "b"], ["1", "2"]]),
                         "| a | b |\n| --- | ---: |\n| 1 | 2 |")

    def test_wide(self):
        notes = list(tables.doubts("workloads", ROWS, 1))
        self.assertEqual(notes, ["workloads, cases in which runs differed by over a fifth: 1, "
                                 "w, 2, glibc: 67%"])

    def test_disturbed(self):
        busy = {**cell(seconds=[1.0], rss_peak_bytes=[1 << 20]), "disturbed": 1, "others": 0.5}
        rows = [{"workload": "w", "allocators": {"glibc": busy}}]
        self.assertEqual(tables.seconds_table(rows), [["workload", "glibc"], ["w", "!1.000"]])
        self.assertEqual(tables.rss_table(rows)[1], ["w", "1"])  # memory is as it is
        self.assertIn("w, glibc: up to 50%", "".join(tables.doubts("programs", rows, 1)))

    def test_fewer_rounds(self):
        self.assertIn("w, 2, oomreclaim: 3", "".join(tables.doubts("workloads", ROWS, 5)))

    def test_an_outlier_is_named(self):
        rows = [{"workload": "w", "threads": 2, "allocators": {
            "glibc": cell(seconds=[1.0, 1.01, 3.0, 1.02, 0.99])}}]
        self.assertIn("w, 2, glibc: run 3 of 5 took 3.000 s, the median 1.010 s",
                      "".join(tables.doubts("workloads", rows, 5)))

    def test_no_outlier(self):
        for runs in ([1.0, 3.0, 1.0], [1.0, 1.0, 1.0, 1.05], [1.0, 1.4, 1.8, 2.2, 2.6]):
            self.assertEqual(figures.outliers(runs), [], runs)


if __name__ == "__main__":
    unittest.main()
