# SPDX-License-Identifier: BSD-2-Clause
"""Charts, page and exports from results that are made up: nothing is measured."""

import csv
import os
import re
import tempfile
import unittest
from unittest import mock

from matplotlib.backends.backend_agg import FigureCanvasAgg
import matplotlib.pyplot as plt

import support  # noqa: F401  sets the path

import charts
import export
import figures
import report
import theme


def cell(*seconds, status="ok", **more):
    if seconds:
        more["seconds"] = seconds
    return {"status": status, "detail": "", "disturbed": 0, "others": 0.0,
            **{key: figures.summary(value) for key, value in more.items()}}


ROWS = [{"workload": "w", "threads": 2, "allocators": {
    "oomreclaim": cell(0.95, 1.0, 1.05, rss_peak_bytes=[1 << 20]), "jemalloc": cell(1.0, 1.0, 1.0),
    "glibc": cell(37.0, 38.0, 39.0), "mine": cell(1.0), "tcmalloc": cell(status="hung")}}]
LIMITS = [{"workload": "w", "limit": limit, "percent": percent, "bytes": 1 << 20, "allocators": {
    "oomreclaim": cell(1.0, 2.0), "jemalloc": cell(status="crashed") if percent else cell(1.0)}}
          for limit, percent in (("none", None), ("as", 100), ("as", 50))]
LADDER = [{"kind": kind, "number": number, "us": {"median": 2.0, "least": 1.0, "p99": 9.0}}
          for kind, number in (("no failure", 1), ("callbacks", 1), ("callbacks", 10),
                               ("MiB of heap", 128), ("MiB of heap", 512))]
FAST = [{"operation": "malloc-16", "instructions": {"jemalloc": 78.0, "oomreclaim": 62.0}}]
RESULTS = {"machine": {"cpu": "a", "cpu_family": "1 2 3", "virtual": True, "governor": "governor x",
                       "smt": "1", "cpus": 2, "memory_bytes": 8 << 30, "kernel": "6", "system": "s",
                       "thp": "never", "date": "2000-01-01", "others_at_start": 0.0},
           "settings": {"rounds": 3, "warmup": 1, "limit_rounds": 2}, "versions": {}, "notes": [],
           "workloads": ROWS, "means": {}, "limits": LIMITS}


class Charts(unittest.TestCase):
    svgs = {"ratios": charts.ratios(ROWS, "seconds", "Time"),
            "limits": charts.under_limits(LIMITS, "w", "somebody"),
            "ladder": charts.ladder_cost(LADDER), "fast": charts.instructions(FAST)}

    def texts(self, name):
        return re.findall(r"<text[^>]*>([^<]*)</text>", self.svgs[name])

    def test_night_is_in_each(self):
        for name, svg in self.svgs.items():
            self.assertIn("prefers-color-scheme:dark", svg, name)
            # A colour in a style would be the same by night.
            self.assertEqual(re.findall(r'style="[^"]*(?:fill|stroke): #', svg), [], name)
            day, night = re.search(r"<style>(.*?)@media[^{]*{(.*)}</style>", svg).groups()
            self.assertEqual(len(re.findall(r"{", day)), len(re.findall(r"{", night)), name)
            # What is drawn in black without a word about it would vanish.
            inherits = re.sub(r'<g class="f-[^>]*>\s*<text>', "", svg)
            self.assertEqual([line for line in re.findall(r"<text[^>]*>", inherits)
                              if "class=" not in line], [], name)

    def test_colours_can_be_told_apart(self):
        for colours in zip(*theme.ALLOCATORS.values(), *theme.OTHERS):
            self.assertEqual(len(set(colours)), len(colours))
        self.assertEqual(theme.colour("mine", ["glibc", "mine"]), theme.OTHERS[0][0])

    def test_a_cut_bar_has_its_number(self):
        self.assertIn("38.0", self.texts("ratios"))
        self.assertIn("hung", self.texts("ratios"))

    def test_many_cases_take_several_rows(self):
        for count, rows in ((16, 1), (17, 2), (40, 3)):
            svg = charts.ratios(ROWS * count, "seconds", "Time")
            self.assertEqual(svg.count('<g id="axes_'), rows)
            self.assertEqual(svg.count(">38.0<"), count)

    def test_what_100_percent_is(self):
        words = " ".join(self.texts("limits"))
        self.assertIn("the peak that somebody had", words)
        self.assertIn("% of somebody's peak", words)

    def test_one_unit_an_axis(self):
        texts = self.texts("ladder")
        for unit in ("callbacks", "MiB of heap", "microseconds"):
            self.assertIn(unit, texts)
        self.assertEqual(self.svgs["ladder"].count('<g id="axes_'), 2)

    def test_the_legend_covers_nothing(self):
        """Neither bars, nor the labels below them, as they are drawn."""
        for draw in (lambda: charts.ratios(ROWS * 20, "seconds", "Time"),
                     lambda: charts.under_limits(LIMITS, "w"), lambda: charts.ladder_cost(LADDER),
                     lambda: charts.instructions(FAST)):
            with mock.patch.object(charts, "svg", lambda figure: figure):
                figure = draw()
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            top = figure.legends[0].get_window_extent(canvas.get_renderer()).y1
            for axes in figure.axes:
                self.assertLessEqual(top, axes.get_tightbbox(canvas.get_renderer()).y0)
            plt.close(figure)


class Written(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def test_csv(self):
        export.write_csv(RESULTS, self.path("x.csv"))
        with open(self.path("x.csv"), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 5 + 3 * 2)
        first = rows[0]
        self.assertEqual([first[key] for key in ("part", "case", "threads", "allocator", "status",
                                                 "runs", "seconds_median", "seconds_least",
                                                 "seconds_most", "rss_peak_bytes")],
                         ["workloads", "w", "2", "oomreclaim", "ok", "3", "1.0", "0.95", "1.05",
                          str(1 << 20)])
        self.assertEqual((rows[4]["status"], rows[4]["seconds_median"]), ("hung", ""))

    def test_markdown(self):
        report.write_markdown(RESULTS, self.path("x.md"))
        with open(self.path("x.md"), encoding="utf-8") as file:
            text = file.read()
        for words in ("governor x", "a (family, model, stepping: 1 2 3)", "of a virtual machine",
                      "SMT on", "| w | 2 | 1.000 | 1.000 | 38.000", "| hung |"):
            self.assertIn(words, text)

    def test_page_by_night(self):
        report.write_html(RESULTS, self.path("x.html"))
        with open(self.path("x.html"), encoding="utf-8") as file:
            page = file.read()
        self.assertIn('name="color-scheme" content="light dark"', page)
        self.assertIn("@media (prefers-color-scheme: dark) {", page)
        style = page[page.index("body {"):page.index("</style>")]
        self.assertEqual(re.findall(r"#[0-9a-f]{3,6}\b", style), [])  # by the variables alone


if __name__ == "__main__":
    unittest.main()
