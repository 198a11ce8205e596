# SPDX-License-Identifier: BSD-2-Clause
"""Caches with the size that the library gives: what is made of results, and that the workloads run."""

import json
import os
import subprocess
import unittest

import support  # noqa: F401  sets the path

import figures
import report
import tables
import targets


def cell(status="ok", **values):
    return {"status": status, "detail": "", **{key: figures.summary([one]) for key, one in values.items()}}


ONE = [{"percent": 50, "bytes": 1 << 25, "cells": {
    "90": cell(cpu_seconds=2.0, ops=100), "80": cell(cpu_seconds=1.0, ops=100),
    "70": cell("hung"), "target": cell(cpu_seconds=1.25, ops=90, reclaimed_bytes=3 << 20),
    "headroom": cell("crashed")}}]
TWO = {"bytes": 32 << 20, "total_bytes": 27 << 20, "cells": {
    "50": cell(cpu_seconds=2.0, ops=400, requests=1000), "90": cell("failed"),
    "target": cell(cpu_seconds=1.0, ops=205, requests=1000)}}
RESULTS = {"targets": {"one": ONE, "two": TWO}, "settings": {}}


def workload(*words, conf=""):
    program = os.path.join(os.environ["BENCH_BUILD"], "bench/workloads/workload")
    done = subprocess.run([program, *words], text=True, stdout=subprocess.PIPE, check=True,
                          env={"LD_PRELOAD": os.environ["BENCH_LIBRARY"], "OOMRECLAIM_CONF": conf})
    return done.stdout


class Targets(unittest.TestCase):
    def test_best_is_of_those_by_hand_that_finished(self):
        cells = ONE[0]["cells"]
        self.assertEqual(targets.best_by_hand(cells), "80")
        self.assertEqual(targets.part_of_best(cells, "target"), 0.8)
        self.assertIsNone(targets.part_of_best(cells, "headroom"))
        self.assertIsNone(targets.best_by_hand({"70": cell("hung")}))

    def test_tables(self):
        _, target, headroom = tables.targets_table(ONE)
        self.assertEqual(target, ["50", "80", "target", "80 %", "90 %", "3"])
        self.assertEqual(headroom, ["50", "80", "headroom", "-", "-", "-"])
        self.assertEqual(tables.shares_table(TWO)[1:], [["50 %", "40.0", "2.0"], ["90 %", "failed", "failed"],
                                                        ["target", "20.5", "1.0"]])

    def test_sections_and_charts(self):
        self.assertEqual([name for name, *_ in report.sections(RESULTS)], ["targets", "shares"])
        pictures = report.draw(RESULTS)
        if pictures:  # else there is nothing to draw with, and it has said so
            self.assertEqual(set(pictures), {"targets", "shares"})

    def test_the_workloads(self):
        for words in (["--cache-headroom", "cache"], ["--cache-target", "cache"], ["--cache-target", "shares"],
                      ["--cache-bytes", "8000000", "--share", "20", "shares"]):
            told = json.loads(workload("--scale", "5", *words, conf="limit:16M"))
            self.assertEqual((told["failed"], told["requests"]), (0, 75000), words)
            self.assertGreater(told["ops"], 0)

    def test_no_allocators_are_compared_by_it(self):
        self.assertNotIn("shares", (workload("--list") + workload("--list-apart")).split())


if __name__ == "__main__":
    unittest.main()
