# SPDX-License-Identifier: BSD-2-Clause
"""What is made of several runs of one thing."""

import math
import statistics

import idle

WIDE_SPREAD = 0.20  # of the median, from the fastest run to the slowest

# Of one run, and so of a cell.
FIGURES = ("seconds", "user_seconds", "system_seconds", "cpu_seconds", "rss_peak_bytes",
           "address_peak_bytes", "data_peak_bytes", "faults", "major_faults", "failed", "ops",
           "requests", "reclaimed_bytes")

# A run is an outlier where it is further from the median than that part of it, and than so many standard
# deviations, told by the middle one of all distances (the modified z-score of Iglewicz and Hoaglin,
# 1993). They take 3.5, of many runs: of five, noise alone would give one in every sixth case.
OUTLIER_SCORE, OUTLIER_PART, OUTLIER_RUNS = 10, 0.10, 4
NORMAL = 0.6745  # what makes the middle distance a standard deviation, of a normal distribution


def summary(values):
    """Median and spread. None where there is nothing."""
    if not values:
        return None
    median = statistics.median(values)
    spread = (max(values) - min(values)) / median if median else 0.0
    return {"median": median, "spread": round(spread, 4), "wide": spread > WIDE_SPREAD,
            "mean": statistics.fmean(values), "least": min(values), "most": max(values),
            "deviation": statistics.stdev(values) if len(values) > 1 else 0.0, "runs": list(values)}


def outliers(values):
    """Their numbers, from 0. None of a few runs: there is no telling which of them is odd."""
    if len(values) < OUTLIER_RUNS:
        return []
    median = statistics.median(values)
    middle = statistics.median([abs(value - median) for value in values])
    far = max(OUTLIER_SCORE * middle / NORMAL, OUTLIER_PART * median)
    return [i for i, value in enumerate(values) if abs(value - median) > far]


def combine(outcomes):
    """Several runs of one thing as one: the first that was not ok tells how it went."""
    bad = [outcome for outcome in outcomes if outcome["status"] != "ok"]
    first = bad[0] if bad else outcomes[0]
    cell = {"status": first["status"], "detail": first["detail"]}
    if first.get("stderr"):
        cell["stderr"] = first["stderr"]
    for key in FIGURES:
        values = [outcome[key] for outcome in outcomes if key in outcome]
        if values and first["status"] in ("ok", "refused"):
            cell[key] = summary(values)
    shares = [outcome["others"] for outcome in outcomes if outcome.get("others") is not None]
    cell["disturbed"] = sum(map(idle.is_disturbed, shares))
    cell["others"] = max(shares, default=None)
    return cell


def ratio(cells, name, key, to="jemalloc"):
    """None unless both have finished."""
    ours, theirs = (cells.get(which, {}) for which in (name, to))
    if ours.get("status") != "ok" or theirs.get("status") != "ok":
        return None
    if key not in ours or key not in theirs or not theirs[key]["median"]:
        return None
    return ours[key]["median"] / theirs[key]["median"]


MEANS = ("seconds", "cpu_seconds", "rss_peak_bytes", "faults")


def geometric_means(rows, chosen):
    """Of the ratios to jemalloc, over the cases that both have finished."""
    means = {}
    for allocator in chosen:
        means[allocator.name] = {}
        for key in MEANS:
            ratios = [ratio(row["allocators"], allocator.name, key) for row in rows]
            ratios = [value for value in ratios if value]
            means[allocator.name][key] = (
                math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None)
            if key == "seconds":
                means[allocator.name]["cases"] = len(ratios)
    return means
