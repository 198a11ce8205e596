# SPDX-License-Identifier: BSD-2-Clause
"""Instructions of malloc's family, counted by callgrind, ours beside jemalloc's; and the time."""

import os
import re
import shutil
import statistics
import subprocess

COUNTS = {"quick": (2000, 22000), "full": (10000, 210000)}
TIMED = {"quick": (3, 2000000), "full": (15, 10000000)}
PER_CALL = {"realloc-16-to-4096": 10}  # so many times slower than a pair


def operations(program):
    return subprocess.run([program, "--list"], text=True, stdout=subprocess.PIPE,
                          check=True).stdout.split()


def clean_environment(preload):
    env = {key: value for key, value in os.environ.items()
           if key not in ("MALLOC_CONF", "OOMRECLAIM_CONF")}
    return {**env, "LD_PRELOAD": preload}


def instructions(program, operation, count, preload):
    """Of a whole run; None if the allocator does not have the operation."""
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                           program, operation, str(count)], text=True, check=False,
                          env=clean_environment(preload), stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE)
    found = re.search(r"Collected *: *(\d+)", done.stderr)
    return int(found.group(1)) if found and not done.returncode else None


def per_operation(program, operation, counts, preload):
    """The difference of two runs: start-up and exit cancel out."""
    few, many = (instructions(program, operation, count, preload) for count in counts)
    if few is None or many is None:
        return None
    return round((many - few) / (counts[1] - counts[0]), 2)


def nanoseconds(program, operation, count, preload):
    done = subprocess.run([program, "--time", operation, str(count)], text=True, check=False,
                          env=clean_environment(preload), stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    return float(done.stdout) if not done.returncode else None


def time_ratio(program, operation, timed, pair):
    """The median of the ratios of neighbours, each going first every other time."""
    rounds, count = timed
    count //= PER_CALL.get(operation, 1)
    found = []
    for i in range(rounds):
        times = {}
        for allocator in pair if i % 2 else pair[::-1]:
            times[allocator.name] = nanoseconds(program, operation, count, allocator.preload)
        if None in times.values():
            return None
        found.append(times["oomreclaim"] / times["jemalloc"])
    return round(statistics.median(found), 4)


def count_steps(program):
    return len(operations(program))


def run(program, chosen, mode, step):
    """Rows, and a line for each thing that is missing."""
    pair = [one for one in chosen if one.name in ("oomreclaim", "jemalloc") and not one.missing]
    if not shutil.which("valgrind"):
        return [], ["fast path: skipped: valgrind is not installed"]
    rows = []
    for operation in operations(program):
        step(f"instructions: {operation}")
        row = {"operation": operation, "instructions": {}, "time_ratio": None}
        for allocator in pair:
            row["instructions"][allocator.name] = per_operation(
                program, operation, COUNTS[mode], allocator.preload)
        if len(pair) == 2 and None not in row["instructions"].values():
            row["time_ratio"] = time_ratio(program, operation, TIMED[mode], pair)
        rows.append(row)
    return rows, []
