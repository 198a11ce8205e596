# SPDX-License-Identifier: BSD-2-Clause
"""Charts of the results as SVG, by matplotlib."""

import io
import math
import re

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402  the backend is chosen first

import figures  # noqa: E402
import limits  # noqa: E402
import theme  # noqa: E402

MARKERS = {"oomreclaim": "o", "jemalloc": "s", "jemalloc-noretain": "D", "glibc": "^",
           "mimalloc": "v", "tcmalloc": "P"}
INK = theme.INK[0]
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "oomreclaim", "font.size": 9,
         "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
         "axes.axisbelow": True,
         "grid.color": theme.GRID[0], "grid.alpha": 0.4, "legend.frameon": False,
         "font.family": "sans-serif", "text.color": INK, "axes.labelcolor": INK,
         "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
         "figure.facecolor": theme.PAPER[0], "axes.facecolor": theme.PAPER[0],
         "savefig.facecolor": theme.PAPER[0]}
CUT = 2.5             # ratios above it are cut off, and their numbers written there
GROUPS_MAX = 16       # of bars, in a row
WHISKER = {"fmt": "none", "ecolor": INK, "elinewidth": 0.7, "capsize": 0}


def svg(figure):
    """Without what differs from run to run, so that the same figures give the same file."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None},
                   bbox_inches="tight")
    plt.close(figure)
    text = out.getvalue()
    text = re.sub(r"[ \t]+$", "", text, flags=re.M)
    return theme.both(text[text.index("<svg"):])


def legend_below(figure, axes):
    """Where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, ncol=min(8, len(labels)), loc="upper left",
                  bbox_to_anchor=(0.01, 0.0), fontsize=8)


def height(cells, name, key):
    """(ratio to jemalloc's median, the least below it, the most above it); None if there is none."""
    ratio = figures.ratio(cells, name, key)
    if not ratio:
        return None
    cell, unit = cells[name][key], cells["jemalloc"][key]["median"]
    return ratio, ratio - cell["least"] / unit, cell["most"] / unit - ratio


def draw_bars(axes, rows, name, key, places, width, colour):
    found = [height(row["allocators"], name, key) for row in rows]
    axes.bar(places, [min(one[0], CUT) if one else 0 for one in found], width, label=name,
             color=colour)
    for x, one, row in zip(places, found, rows):
        if one and one[0] <= CUT:
            # No whisker leaves the chart.
            axes.errorbar([x], [one[0]], [[one[1]], [min(one[2], CUT - one[0])]], **WHISKER)
        elif one:
            axes.text(x, CUT * 1.01, f"{one[0]:.1f}" if one[0] < 100 else f"{one[0]:.0f}", rotation=90,
                      ha="center", va="bottom", fontsize=6)
        elif row["allocators"].get(name, {}).get("status") not in (None, "missing"):
            axes.text(x, 0.02, row["allocators"][name]["status"], rotation=90, ha="center", va="bottom",
                      fontsize=6)


def draw_group(axes, rows, key, names):
    """One row of a chart: a group of bars for each case."""
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        places = [x + (i - (len(names) - 1) / 2) * width for x in range(len(rows))]
        draw_bars(axes, rows, name, key, places, width, theme.colour(name, names))
    axes.axhline(1, color=INK, linewidth=0.8)
    axes.set_ylim(0, CUT)
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_xticks(range(len(rows)), [f"{row['workload']} {row.get('threads') or ''}" for row in rows],
                    rotation=60, ha="right")
    axes.set_yticks([0, 0.5, 1, 1.5, 2, CUT])
    axes.grid(axis="x", visible=False)
    axes.set_ylabel("ratio to libjemalloc.so.2")


def ratios(rows, key, title):
    """How much of jemalloc's figure each allocator takes, in as many rows as are legible on a page."""
    names = [name for name in rows[0]["allocators"] if name != "jemalloc"]
    count = math.ceil(len(rows) / GROUPS_MAX)
    each = math.ceil(len(rows) / count)
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(count, 1, squeeze=False, figsize=(
            max(7, 0.085 * each * (len(names) + 1.5)), 0.6 + 3 * count))
        for i, axes in enumerate(panels[:, 0]):
            draw_group(axes, rows[i * each:(i + 1) * each], key, names)
        figure.suptitle(f"{title}: less is better; 1 is libjemalloc.so.2's median.\nMedians; lines from the "
                        f"least to the most of the runs. A bar above {CUT} is cut, and has its number.",
                        x=0.01, ha="left", fontsize=9)
        figure.tight_layout()
        legend_below(figure, panels[0][0])
        return svg(figure)


def throughput(free, cell):
    """Per cent of the unlimited speed; 0 where it did not finish, refused included."""
    if free.get("status") != "ok" or not cell or cell["status"] != "ok":
        return 0
    return 100 * free["seconds"]["median"] / cell["seconds"]["median"]


def reach(free, cell):
    """How far below and above its median the speed went."""
    now = throughput(free, cell)
    if not now:
        return 0, 0
    unit = 100 * free["seconds"]["median"]
    return now - unit / cell["seconds"]["most"], unit / cell["seconds"]["least"] - now


def draw_steps(axes, steps, name, free, colour):
    cells = [row["allocators"][name] for row in steps]
    x = [row["percent"] for row in steps]
    y = [throughput(free, cell) for cell in cells]
    axes.plot(x, y, color=colour, marker=MARKERS.get(name, "o"), markersize=4, linewidth=1.2,
              label=name)
    spans = [reach(free, cell) for cell in cells]
    axes.errorbar(x, y, [[low for low, _ in spans], [high for _, high in spans]],
                  **{**WHISKER, "ecolor": colour})
    axes.plot([a for a, b in zip(x, y) if not b], [0 for b in y if not b], "x", color=colour,
              markersize=8)


def under_limits(rows, title, reference="jemalloc"):
    """A panel for each kind of limit: speed against the limit. What did not finish is a cross at 0."""
    free = next(row for row in rows if row["limit"] == "none")["allocators"]
    kinds = [kind for kind in limits.KINDS if any(row["limit"] == kind for row in rows)]
    if not kinds:
        return None
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, len(kinds), figsize=(2.9 * len(kinds) + 0.6, 3),
                                      sharey=True, squeeze=False)
        for axes, kind in zip(panels[0], kinds):
            steps = [row for row in rows if row["limit"] == kind]
            for name in free:
                have = [row for row in steps if name in row["allocators"]]
                if have and free[name]["status"] != "missing":
                    draw_steps(axes, have, name, free[name], theme.colour(name, free))
            axes.set_title(limits.KINDS[kind], fontsize=9)
            axes.set_xlabel(f"limit, % of {reference}'s peak")
            axes.set_xticks(limits.STEPS)
            axes.set_ylim(bottom=-4)
            axes.invert_xaxis()
        panels[0][0].set_ylabel("speed, % of the same\nallocator's without a limit")
        figure.suptitle(f"{title}: medians, and from the least to the most of the runs; cross: did not "
                        f"finish without a refusal.\n100 % of the limit: the peak that {reference} had "
                        "without one, the same for all.", x=0.01, y=1.04, ha="left", fontsize=9)
        figure.tight_layout()
        legend_below(figure, panels[0][0])
        return svg(figure)


def instructions(rows):
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7, 3))
        for i, name in enumerate(("jemalloc", "oomreclaim")):
            axes.bar([x + (i - 0.5) * 0.38 for x in range(len(rows))],
                     [row["instructions"].get(name) or 0 for row in rows], 0.38, label=name,
                     color=theme.colour(name))
        axes.set_xticks(range(len(rows)), [row["operation"] for row in rows], rotation=40,
                        ha="right")
        axes.grid(axis="x", visible=False)
        axes.set_yscale("log")
        axes.set_ylim(bottom=10)
        axes.set_ylabel("instructions")
        axes.set_title("Instructions of one operation and its free: less is better", loc="left")
        figure.tight_layout()
        legend_below(figure, axes)
        return svg(figure)


# What varies, on the axis below it: one unit each.
LADDER_UNITS = {"callbacks": "callbacks", "MiB dirty, purged": "MiB of dirty memory, purged",
                "threads at once, 1 ms of callback": "threads that fail at once,\n1 ms of callback",
                "MiB of heap": "MiB of heap"}


def ladder_cost(rows):
    """From failure to success, a panel for each thing that is varied."""
    kinds = [kind for kind in dict.fromkeys(row["kind"] for row in rows)
             if sum(row["kind"] == kind for row in rows) > 1]
    free = [row for row in rows if row["kind"] == "no failure"]
    if not kinds:
        return None
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, len(kinds), figsize=(2.4 * len(kinds) + 0.6, 3), sharey=True,
                                      squeeze=False)
        for axes, kind in zip(panels[0], kinds):
            have = [row for row in rows if row["kind"] == kind]
            x, us = [row["number"] for row in have], [row["us"] for row in have]
            middle = [one["median"] for one in us]
            axes.plot(x, middle, marker="o", markersize=4, color=theme.colour("oomreclaim"),
                      label="from malloc's failure to its success")
            axes.errorbar(x, middle, [[one["median"] - one["least"] for one in us],
                                      [one["p99"] - one["median"] for one in us]], **WHISKER)
            if free:
                axes.axhline(free[0]["us"]["median"], color=theme.colour("jemalloc"), linewidth=0.9,
                             linestyle="--", label="the same malloc, no failure")
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(x, [str(number) for number in x])
            axes.set_xlabel(LADDER_UNITS.get(kind, kind))
        panels[0][0].set_ylabel("microseconds")
        figure.suptitle("From failure to success: medians, and from the least to the 99th percentile",
                        x=0.01, ha="left", fontsize=10)
        figure.tight_layout()
        legend_below(figure, panels[0][0])
        return svg(figure)
