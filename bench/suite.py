# SPDX-License-Identifier: BSD-2-Clause
"""The parts of script/bench that run the workloads: all of them, then some under limits."""

import math
import os

import limits
import measure

QUICK = {"rounds": 3, "scale": 25, "threads": [1, 2], "limit_rounds": 1, "limit_scale": 10,
         "limit_workloads": ["cache", "parser"], "seconds": 20}
FULL = {"rounds": 5, "scale": 100, "threads": [1, 2, 4, 16], "limit_rounds": 3, "limit_scale": 40,
        "limit_workloads": ["cache", "parser", "survivors", "large"], "seconds": 60}
# Under limits some take a hundred times as long as without: once shows it.
ONCE_FROM_SECONDS = 5
# The kernel kills where the others refuse, and that takes it a while.
LIMIT_THREADS = 2


def command(program, workload, threads, scale, cache_bytes=0):
    words = [program, "--threads", str(threads), "--scale", str(scale)]
    if cache_bytes:
        words += ["--cache-bytes", str(int(cache_bytes))]
    return [*words, workload]


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


def run_workloads(program, chosen, names, settings, step):
    rows = []
    for name in names:
        for threads in settings["threads"]:
            cells = measure.interleave(
                command(program, name, threads, settings["scale"]), chosen,
                rounds=settings["rounds"], seconds=settings["seconds"],
                step=lambda who, what=f"{name}, {threads} threads": step(f"{what}: {who}"))
            rows.append({"workload": name, "threads": threads, "allocators": cells})
    return rows


def geometric_means(rows, chosen):
    """Of the ratios to jemalloc, over the workloads that both have finished."""
    means = {}
    for allocator in chosen:
        means[allocator.name] = {}
        for key in ("seconds", "rss_peak_bytes"):
            ratios = [measure.ratio(row["allocators"], allocator.name, key) for row in rows]
            ratios = [value for value in ratios if value]
            means[allocator.name][key] = (
                math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None)
            means[allocator.name]["cases"] = len(ratios)
    return means


def with_retain_off(chosen):
    """jemalloc has a setting for limits, which deserves its own column."""
    return with_variant(chosen, "jemalloc", "jemalloc-noretain", {"MALLOC_CONF": "retain:false"})


def limit_kinds():
    """The kinds that can be tried here, and a line for each that can't."""
    why = limits.why_no_cgroup()
    kinds = [kind for kind in limits.KINDS if kind != "cgroup" or not why]
    return kinds, [f"memory cgroup: skipped: {why}"] if why else []


def count_limit_runs(chosen, settings, kinds):
    columns = len(with_retain_off(chosen))
    each = len(limits.STEPS) * settings["limit_rounds"]
    others = sum(columns for kind in kinds if kind != "budget")
    budget = "budget" in kinds
    by_hand = 1 + len(HAND_PARTS)
    return len(settings["limit_workloads"]) * (columns + each * (others + budget)) + by_hand


def run_limits(program, chosen, settings, kinds, step):
    columns = with_retain_off(chosen)
    rows = []
    for name in settings["limit_workloads"]:
        words = command(program, name, LIMIT_THREADS, settings["limit_scale"])

        def say(who, what=name):
            step(f"{what} under limits: {who}")

        free = measure.interleave(words, columns, rounds=1, seconds=settings["seconds"], step=say)
        rows.append({"workload": name, "limit": "none", "percent": None, "bytes": None,
                     "allocators": free})
        for kind, percent, limit in limits.ladder(kinds, free, "jemalloc"):
            # The budget is ours alone.
            who = [one for one in columns if kind != "budget" or one.name == "oomreclaim"]
            rows.append({"workload": name, "limit": kind, "percent": percent, "bytes": limit.size,
                         "allocators": measure.interleave(
                             words, who, limit, settings["limit_rounds"], settings["seconds"],
                             step=say, once_from=ONCE_FROM_SECONDS)})
    return rows


HAND_PARTS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4)


def by_hand(program, chosen, settings, rows, step):
    """The cache at half its peak of address space: with the callback, and with the largest size set by
    hand at which nothing fails. In turns."""
    ours = next(one for one in chosen if one.name == "oomreclaim")
    half = next((row for row in rows if row["workload"] == "cache" and row["limit"] == "as"
                 and row["percent"] == 50), None)
    if not half or ours.missing:
        return None
    limit = limits.make("as", half["bytes"])
    for part in HAND_PARTS:
        step(f"cache by hand: {part:.0%} of the limit")
        sized = command(program, "cache", LIMIT_THREADS, settings["limit_scale"], part * limit.size)
        if measure.run_once(sized, ours, limit, 3 * settings["seconds"]).get("reclaimed_bytes") == 0:
            break
    else:
        return None
    free = command(program, "cache", LIMIT_THREADS, settings["limit_scale"])
    step("cache by hand and by callback, in turns")
    runs = {"hand": [], "callback": []}
    for _ in range(max(3, settings["limit_rounds"])):
        for name, words in (("hand", sized), ("callback", free)):
            runs[name].append(measure.run_once(words, ours, limit, 3 * settings["seconds"]))
    cells = {name: measure.combine(outcomes) for name, outcomes in runs.items()}
    speed = measure.ratio(cells, "hand", "seconds", "callback")
    return {"limit_bytes": limit.size, "cache_bytes": int(part * limit.size), "cells": cells,
            "throughput_ratio": speed}


def find_workload(build):
    program = os.path.join(build, "bench/workloads/workload")
    if not os.access(program, os.X_OK):
        raise SystemExit(f"bench: {program} is not built: ninja -C {build}")
    return program
