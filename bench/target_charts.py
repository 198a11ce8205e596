# SPDX-License-Identifier: BSD-2-Clause
"""Charts of caches whose sizes the library gives."""

import charts
import targets
import theme
from charts import plt

HAND = {"color": theme.colour("jemalloc"), "marker": "s", "markersize": 4, "linewidth": 1.2}
COLOURS = {"target": theme.colour("oomreclaim"), "headroom": theme.colour("mimalloc")}


def level(axes, value, name, label):
    if value is not None:
        axes.axhline(value, color=COLOURS[name], linewidth=1.2, linestyle="--", label=label)


def by_targets(rows):
    """A panel for each limit: throughput over the size by hand, and that of the sizes that are asked for."""
    with plt.rc_context(charts.STYLE):
        figure, panels = plt.subplots(1, len(rows), figsize=(2.9 * len(rows) + 0.6, 3), sharey=True,
                                      squeeze=False)
        for axes, row in zip(panels[0], rows):
            cells = row["cells"]
            sizes = [name for name in cells if name.isdigit() and cells[name]["status"] == "ok"]
            axes.plot([int(name) for name in sizes],
                      [100 * targets.part_of_best(cells, name) for name in sizes], label="by hand", **HAND)
            for name in targets.ASKING:
                part = targets.part_of_best(cells, name)
                level(axes, part and 100 * part, name, name)
            axes.set_title(f"{row['percent']} % of its memory", fontsize=9)
            axes.set_xlabel("size by hand, % of the limit")
            axes.set_ylim(0, 110)
        panels[0][0].set_ylabel("throughput, % of the best by hand")
        figure.suptitle("One cache under the setting limit", x=0.01, ha="left", fontsize=10)
        figure.tight_layout()
        charts.legend_below(figure, panels[0][0])
        return charts.svg(figure)


def shared(found):
    """Misses over the fixed part of the first cache, and with targets."""
    misses = {name: 100 * cell["ops"]["median"] / cell["requests"]["median"]
              for name, cell in found["cells"].items() if cell["status"] == "ok"}
    fixed = [name for name in misses if name.isdigit()]
    with plt.rc_context(charts.STYLE):
        figure, axes = plt.subplots(figsize=(6, 3.2))
        axes.plot([int(name) for name in fixed], [misses[name] for name in fixed], label="fixed parts", **HAND)
        level(axes, misses.get("target"), "target", "target, with regret")
        axes.set_xlabel("the first cache's part, % of both")
        axes.set_ylabel("misses, % of the requests")
        axes.set_ylim(bottom=0)
        axes.set_title("Two caches, and a load that changes halfway", loc="left")
        charts.legend_below(figure, axes)
        return charts.svg(figure)
