# SPDX-License-Identifier: BSD-2-Clause
"""Charts of the results as SVG, by matplotlib."""

import io
import re

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402  the backend is chosen first

import limits  # noqa: E402
import measure  # noqa: E402

# The palette of Okabe and Ito, which can be told apart by everyone.
COLOURS = {"oomreclaim": "#D55E00", "oomreclaim-limit": "#F0B27A", "jemalloc": "#0072B2",
           "jemalloc-noretain": "#56B4E9", "glibc": "#000000", "mimalloc": "#009E73",
           "tcmalloc": "#CC79A7"}
MARKERS = {"oomreclaim": "o", "jemalloc": "s", "jemalloc-noretain": "D", "glibc": "^",
           "mimalloc": "v", "tcmalloc": "P"}
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "oomreclaim", "font.size": 9,
         "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
         "grid.alpha": 0.25, "legend.frameon": False, "font.family": "sans-serif"}


def svg(figure):
    """Without what differs from run to run, so that the same figures give the same file."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None},
                   bbox_inches="tight")
    plt.close(figure)
    text = out.getvalue()
    text = re.sub(r"[ \t]+$", "", text, flags=re.M)
    return text[text.index("<svg"):]


def ratios(rows, key, title):
    """A group of bars for each workload: how much of jemalloc's figure each allocator takes."""
    names = [name for name in rows[0]["allocators"] if name != "jemalloc"]
    labels = [f"{row['workload']} {row['threads']}" for row in rows]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(max(7, 0.42 * len(rows)), 3.2))
        width = 0.8 / len(names)
        for i, name in enumerate(names):
            heights = [measure.ratio(row["allocators"], name, key) or 0 for row in rows]
            axes.bar([x + (i - (len(names) - 1) / 2) * width for x in range(len(rows))], heights,
                     width, label=name, color=COLOURS.get(name))
        axes.axhline(1, color="#444444", linewidth=0.8)
        axes.set_ylim(0, 2.5)
        axes.set_xticks(range(len(rows)), labels, rotation=60, ha="right")
        axes.grid(axis="x", visible=False)
        axes.set_ylabel("ratio to libjemalloc.so.2")
        axes.set_title(title + " (less is better; cut off at 2.5)", loc="left")
        axes.legend(ncol=len(names), loc="upper left", fontsize=8)
        return svg(figure)


def throughput(free, cell):
    """Per cent of the unlimited speed; 0 where it did not finish, refused included."""
    if free.get("status") != "ok" or not cell or cell["status"] != "ok":
        return 0
    return 100 * free["seconds"]["median"] / cell["seconds"]["median"]


def under_limits(rows, title):
    """One panel for each kind of limit: speed against the limit. What did not finish is a cross at 0."""
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
                if not have or free[name]["status"] == "missing":
                    continue
                x = [row["percent"] for row in have]
                y = [throughput(free[name], row["allocators"][name]) for row in have]
                axes.plot(x, y, color=COLOURS.get(name), marker=MARKERS.get(name), markersize=4,
                          linewidth=1.2, label=name)
                axes.plot([a for a, b in zip(x, y) if not b], [0 for b in y if not b], "x",
                          color=COLOURS.get(name), markersize=8)
            axes.set_title(limits.KINDS[kind], fontsize=9)
            axes.set_xlabel("limit, % of the peak")
            axes.set_xticks(limits.STEPS)
            axes.set_ylim(bottom=-4)
            axes.invert_xaxis()
        panels[0][0].set_ylabel("speed, % of the unlimited one")
        figure.suptitle(title + "; cross: did not finish without a refusal", x=0.01, ha="left",
                        fontsize=10)
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, ncol=len(labels), loc="lower left",
                      bbox_to_anchor=(0, -0.1), fontsize=8)
        figure.tight_layout()
        return svg(figure)


def instructions(rows):
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7, 3))
        for i, name in enumerate(("jemalloc", "oomreclaim")):
            axes.bar([x + (i - 0.5) * 0.38 for x in range(len(rows))],
                     [row["instructions"].get(name) or 0 for row in rows], 0.38, label=name,
                     color=COLOURS[name])
        axes.set_xticks(range(len(rows)), [row["operation"] for row in rows], rotation=40,
                        ha="right")
        axes.grid(axis="x", visible=False)
        axes.set_yscale("log")
        axes.set_ylabel("instructions")
        axes.set_title("Instructions of one operation and its free", loc="left")
        axes.legend()
        return svg(figure)


def ladder_cost(rows):
    """From failure to success over the number that is varied, a line for each kind that varies."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6, 3.4))
        colours = iter(["#D55E00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#000000"])
        for kind in dict.fromkeys(row["kind"] for row in rows):
            have = [row for row in rows if row["kind"] == kind]
            if len(have) > 1:
                axes.plot([row["number"] for row in have], [row["us"]["median"] for row in have],
                          marker="o", markersize=4, label=kind, color=next(colours))
        free = [row for row in rows if row["kind"] == "no failure"]
        if free:
            axes.axhline(free[0]["us"]["median"], color="#444444", linewidth=0.8, linestyle="--",
                         label="no failure")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("how many")
        axes.set_ylabel("microseconds, median")
        axes.set_title("From failure to success", loc="left")
        axes.legend(fontsize=8, bbox_to_anchor=(1, 1), loc="upper left")
        return svg(figure)
