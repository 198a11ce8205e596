# SPDX-License-Identifier: BSD-2-Clause
"""The ladder's own cost: runs the program `ladder`."""

import json
import os
import statistics
import subprocess

KINDS = 20  # about as many lines as it prints: for the progress
SECONDS = 300


def run(program, allocator, mode, step):
    """Rows, and a line for what went wrong."""
    if allocator.missing:
        return [], [f"ladder: skipped: {allocator.missing}"]
    env = {**os.environ, "LD_PRELOAD": allocator.preload, "OOMRECLAIM_CONF": "limit:64G"}
    env.pop("MALLOC_CONF", None)
    rows, notes = [], []
    with subprocess.Popen([program, "31" if mode == "quick" else "301"], env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for line in process.stdout:
            row = json.loads(line)
            step(f"ladder: {row['kind']} {row['number']}")
            values = sorted(row["us"])
            row["us"] = {"median": statistics.median(values), "least": values[0],
                         "p99": values[min(len(values) - 1, len(values) * 99 // 100)]}
            rows.append(row)
        err = process.stderr.read()
        if process.wait(SECONDS):
            notes.append(f"ladder: ended with status {process.returncode}: {err.strip()}")
    return rows, notes
