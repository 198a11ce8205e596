# SPDX-License-Identifier: BSD-2-Clause
"""The parts of script/bench that run the workloads: all of them, then some under limits."""

import os
import subprocess

import figures
import limits
import measure

# "minutes": of the whole, but for installing and building. What can't be cut short (the fast path, the
# ladder, refusals) comes first; the rest is divided among the other parts by "weights".
QUICK = {"minutes": 9, "rounds": 3, "warmup": 1, "scale": 25, "threads": [1, 2],
         "limit_rounds": 1, "limit_scale": 10, "limit_workloads": ["cache", "parser"], "seconds": 20,
         "limit_seconds": 20, "program_rounds": 2, "program_scale": 20, "repeats": 1, "wait": 30}
FULL = {"minutes": 56, "rounds": 5, "warmup": 1, "scale": 100, "threads": [1, 2, 4, 16],
        "limit_rounds": 3, "limit_scale": 40,
        "limit_workloads": ["cache", "parser", "survivors", "large"], "seconds": 60,
        "limit_seconds": 30, "program_rounds": 5, "program_scale": 100, "repeats": 2, "wait": 300}
WEIGHTS = {"workloads": 9, "apart": 5, "programs": 6, "limits": 9}
WORKLOAD = "bench/workloads/workload"  # below the build directory
PAIR = ("oomreclaim", "jemalloc")  # without which there is nothing to compare
# Some take a hundred times as long as others: once shows it.
ONCE_FROM_SECONDS = 5
# The kernel kills where the others refuse, and that takes it a while.
LIMIT_THREADS = 2


def command(program, workload, threads, scale, cache_bytes=0):
    words = [program, "--threads", str(threads), "--scale", str(scale)]
    if cache_bytes:
        words += ["--cache-bytes", str(int(cache_bytes))]
    return [*words, workload]


def listed(program, what="--list"):
    return subprocess.run([program, what], text=True, check=True,
                          stdout=subprocess.PIPE).stdout.split()


def with_variant(chosen, of, name, env):
    """One of them once more, in a column behind its own, with other settings."""
    columns = []
    for allocator in chosen:
        columns.append(allocator)
        if allocator.name == of:
            columns.append(allocator.with_env(name, env))
    return columns


def with_limit_unmet(chosen):
    """What our budget costs where it is never met: jemalloc's column is what that is held against."""
    return with_variant(chosen, "oomreclaim", "oomreclaim-limit", {"OOMRECLAIM_CONF": "limit:64G"})


def count_runs(plan, columns):
    return len(columns) * (plan.warmup + plan.rounds)


def run_cases(cases, columns, plan, share, progress):
    """cases: (what its row says, the command). One after the other, the allocators in turns."""
    rows = []
    for row, words in cases:
        done = progress.done + count_runs(plan, columns)
        what = row["workload"] + (f", {row['threads']} threads" if row.get("threads") else "")
        cells = measure.interleave(words, columns, plan.but(until=share.until()),
                                   step=lambda who, what=what: progress.step(f"{what}: {who}"))
        progress.settle(done)
        rows.append({**row, "allocators": cells})
    return rows


def workload_cases(program, names, settings):
    return [({"workload": name, "threads": threads},
             command(program, name, threads, settings["scale"]))
            for name in names for threads in settings["threads"]]


def with_retain_off(chosen):
    """jemalloc has a setting for limits, which deserves its own column."""
    return with_variant(chosen, "jemalloc", "jemalloc-noretain", {"MALLOC_CONF": "retain:false"})


def limit_kinds():
    """The kinds that can be tried here, and a line for each that can't."""
    why = limits.why_no_cgroup()
    kinds = [kind for kind in limits.KINDS if kind != "cgroup" or not why]
    return kinds, [f"memory cgroup: skipped: {why}"] if why else []


def limit_plan(plan, settings):
    return plan.but(rounds=settings["limit_rounds"], warmup=0, seconds=settings["limit_seconds"],
                    once_from=ONCE_FROM_SECONDS)


def count_limit_runs(chosen, settings, kinds):
    columns = len(with_retain_off(chosen))
    each = len(limits.STEPS) * settings["limit_rounds"]
    others = sum(columns for kind in kinds if kind != "budget")
    budget = "budget" in kinds
    by_hand = 1 + len(HAND_PARTS)
    return len(settings["limit_workloads"]) * (columns + each * (others + budget)) + by_hand


def count_limit_cases(settings, kinds):
    return len(settings["limit_workloads"]) * (1 + len(limits.STEPS) * len(kinds))


def run_limits(program, chosen, settings, kinds, plan, share, progress):
    columns, plan = with_retain_off(chosen), limit_plan(plan, settings)
    rows = []
    for name in settings["limit_workloads"]:
        words = command(program, name, LIMIT_THREADS, settings["limit_scale"])

        def say(who, what=name):
            progress.step(f"{what} under limits: {who}")

        free = measure.interleave(words, columns, plan.but(rounds=1, until=share.until()), step=say)
        rows.append({"workload": name, "limit": "none", "percent": None, "bytes": None,
                     "allocators": free})
        for kind, percent, limit in limits.ladder(kinds, free, "jemalloc"):
            # The budget is ours alone.
            who = [one for one in columns if kind != "budget" or one.name == "oomreclaim"]
            done = progress.done + count_runs(plan, who)
            cells = measure.interleave(words, who, plan.but(until=share.until()), limit, say)
            progress.settle(done)
            rows.append({"workload": name, "limit": kind, "percent": percent, "bytes": limit.size,
                         "allocators": cells})
    return rows


HAND_PARTS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4)


def by_hand(program, chosen, settings, rows, plan, step):
    """The cache at half its peak of address space: with the callback, and with the largest size set by
    hand at which nothing fails. In turns."""
    ours = next(one for one in chosen if one.name == "oomreclaim")
    half = next((row for row in rows if row["workload"] == "cache" and row["limit"] == "as"
                 and row["percent"] == 50), None)
    if not half or ours.missing:
        return None
    limit, plan = limits.make("as", half["bytes"]), plan.but(seconds=3 * settings["seconds"])
    for part in HAND_PARTS:
        step(f"cache by hand: {part:.0%} of the limit")
        sized = command(program, "cache", LIMIT_THREADS, settings["limit_scale"], part * limit.size)
        if measure.run_once(sized, ours, plan, limit).get("reclaimed_bytes") == 0:
            break
    else:
        return None
    free = command(program, "cache", LIMIT_THREADS, settings["limit_scale"])
    step("cache by hand and by callback, in turns")
    runs = {"hand": [], "callback": []}
    for _ in range(max(3, settings["limit_rounds"])):
        for name, words in (("hand", sized), ("callback", free)):
            runs[name].append(measure.run_once(words, ours, plan, limit))
    cells = {name: figures.combine(outcomes) for name, outcomes in runs.items()}
    speed = figures.ratio(cells, "hand", "seconds", "callback")
    return {"limit_bytes": limit.size, "cache_bytes": int(part * limit.size), "cells": cells,
            "throughput_ratio": speed}


def find_workload(build):
    program = os.path.join(build, WORKLOAD)
    if not os.access(program, os.X_OK):
        raise SystemExit(f"bench: {program} is not built: ninja -C {build}")
    return program
