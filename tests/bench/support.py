# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the benchmarks share: where things are, and how to start a part."""

import json
import os
import subprocess
import sys

SOURCE, BUILD, LIBRARY = (os.environ[key] for key in ("BENCH_SOURCE", "BENCH_BUILD", "BENCH_LIBRARY"))
sys.path.insert(0, SOURCE)

import measure  # noqa: E402  from bench/


def plan(**changes):
    return measure.Plan(measure.find_launch(BUILD), **changes)


def run(script, out, *arguments):
    """(exit status, standard output, what it wrote as JSON)."""
    done = subprocess.run([sys.executable, "-B", os.path.join(SOURCE, script), "--build", BUILD,
                           "--out", out, *arguments], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    try:
        with open(os.path.join(out, "results.json"), encoding="utf-8") as file:
            return done.returncode, done.stdout, json.load(file)
    except OSError:
        return done.returncode, done.stdout + done.stderr, None
