# SPDX-License-Identifier: BSD-2-Clause
"""Tables from results that are made up: each way a run can go has its word."""

import unittest

import support  # noqa: F401  sets the path

import measure
import suite
import tables


def cell(status="ok", detail="", **figures):
    return {"status": status, "detail": detail,
            **{key: measure.summary(values) for key, values in figures.items()}}


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
        self.assertEqual(measure.ratio(cells, "oomreclaim", "seconds"), 0.5)
        for name in ("mimalloc", "tcmalloc", "nobody"):
            self.assertIsNone(measure.ratio(cells, name, "seconds"))

    def test_geometric_mean(self):
        rows = [{"allocators": {"a": cell(seconds=[1.0]), "jemalloc": cell(seconds=[4.0])}},
                {"allocators": {"a": cell(seconds=[1.0]), "jemalloc": cell(seconds=[1.0])}}]
        mean = suite.geometric_means(rows, [measure.Allocator("a", "")])["a"]
        self.assertAlmostEqual(mean["seconds"], 0.5)
        self.assertIsNone(mean["rss_peak_bytes"])

    def test_text_is_aligned(self):
        lines = tables.text([["a", "b"], ["longer", "1"], ["x", "22"]]).splitlines()
        self.assertEqual(lines, ["a        b", "longer   1", "x       22"])

    def test_markdown(self):
        self.assertEqual(tables.markdown([["a", "b"], ["1", "2"]]),
                         "| a | b |\n| --- | ---: |\n| 1 | 2 |")

    def test_wide(self):
        self.assertEqual(tables.wide_cells(ROWS), ["w, 2, glibc: 67%"])


if __name__ == "__main__":
    unittest.main()
