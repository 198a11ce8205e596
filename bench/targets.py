# SPDX-License-Identifier: BSD-2-Clause
"""Caches with the size that the library gives, beside sizes by hand: one at parts of its memory, and two
that share, with a load that changes halfway. By the processor's time and by misses: what else the machine
does has next to no part in these."""

import figures
import limits
import measure

STEPS = (25, 50, 75)                        # per cent of the memory that the cache has without a limit
SIZES = (95, 90, 85, 80, 75, 70, 60)        # by hand, per cent of the limit
ASKING = {"target": "--cache-target", "headroom": "--cache-headroom"}
SHARES = (10, 20, 30, 40, 50, 60, 70, 80, 90)  # of the first cache, per cent of both
TOTALS = (98, 96, 94, 92, 90, 88, 86, 84, 82, 80, 75, 70)
SHARED_BYTES = 32 << 20                     # half of what both can use

QUICK = {"rounds": 1, "scale": 50, "shared_rounds": 1, "shared_scale": 1000}
# So long that the first half second, in which the cache fills and the target finds its place, is no more
# than its part.
FULL = {"rounds": 3, "scale": 1000, "shared_rounds": 1, "shared_scale": 2000}
SECONDS = 300  # that a run may take


def command(program, workload, scale, *more):
    return [program, "--threads", "1", "--scale", str(scale), *more, workload]


class Runner:
    """What all runs share."""

    def __init__(self, program, ours, plan, settings, step):
        self.program, self.ours, self.settings, self.step = program, ours, settings, step
        self.plan = plan.but(seconds=SECONDS)

    def once(self, words, limit=limits.NO_LIMIT):
        return measure.run_once(words, self.ours, self.plan, limit)

    def in_turns(self, columns, limit, rounds, what):
        """columns: a command for each name."""
        runs = {name: [] for name in columns}
        for _ in range(rounds):
            for name, words in columns.items():
                self.step(f"{what}: {name}")
                runs[name].append(self.once(words, limit))
        return {name: figures.combine(outcomes) for name, outcomes in runs.items()}

    def of_one(self):
        scale = self.settings["scale"]
        self.step("cache without a limit")
        free = self.once(command(self.program, "cache", scale))
        rows = []
        for percent in STEPS if free.ok else ():
            limit = limits.make("budget", free["data_peak_bytes"] * percent / 100)
            columns = {f"{size}": command(self.program, "cache", scale, "--cache-bytes",
                                          str(limit.size * size // 100)) for size in SIZES}
            columns |= {name: command(self.program, "cache", scale, option)
                        for name, option in ASKING.items()}
            rows.append({"percent": percent, "bytes": limit.size,
                         "cells": self.in_turns(columns, limit, self.settings["rounds"],
                                                f"cache at {percent} %")})
        return rows

    def largest_total(self, limit):
        """That nothing is reclaimed with."""
        for total in TOTALS:
            self.step(f"two caches by hand: {total} %")
            words = command(self.program, "shares", 100, "--cache-bytes", str(limit.size * total // 100))
            if self.once(words, limit).get("reclaimed_bytes") == 0:
                return limit.size * total // 100
        return None

    def of_two(self):
        limit, scale = limits.make("budget", SHARED_BYTES), self.settings["shared_scale"]
        total = self.largest_total(limit)
        if not total:
            return None
        columns = {f"{share}": command(self.program, "shares", scale, "--cache-bytes", str(total),
                                       "--share", str(share)) for share in SHARES}
        columns["target"] = command(self.program, "shares", scale, "--cache-target")
        return {"bytes": limit.size, "total_bytes": total,
                "cells": self.in_turns(columns, limit, self.settings["shared_rounds"], "two caches")}


def count_steps(mode):
    settings = FULL if mode == "full" else QUICK
    return (1 + len(STEPS) * (len(SIZES) + len(ASKING)) * settings["rounds"] + len(TOTALS)
            + (len(SHARES) + 1) * settings["shared_rounds"])


def run(program, ours, mode, plan, step):
    runner = Runner(program, ours, plan, FULL if mode == "full" else QUICK, step)
    return {"one": runner.of_one(), "two": runner.of_two()}


def best_by_hand(cells, key="cpu_seconds"):
    """The name of the size, or of the share, that takes least; None where none has finished."""
    done = [name for name in cells if name.isdigit() and cells[name]["status"] == "ok"]
    return min(done, key=lambda name: cells[name][key]["median"], default=None)


def part_of_best(cells, name, key="cpu_seconds"):
    """Of the best one's throughput, or of its misses' inverse; None where either has not finished."""
    best = best_by_hand(cells, key)
    return figures.ratio(cells, best, key, name) if best else None
