# SPDX-License-Identifier: BSD-2-Clause
"""The results as tables, for the terminal, Markdown and HTML: a list of rows, the first the head."""

import figures
import limits
import targets

MARKS = {"missing": "missing", "crashed": "crashed", "hung": "hung", "failed": "failed"}


def mib(count):
    return f"{count / (1 << 20):.0f}"


def figure(cell, key, form):
    """A cell's figure, ~ before it where runs differ widely, ! where others took much of the machine;
    or what happened instead."""
    if not cell:
        return ""
    if cell["status"] in MARKS:
        return MARKS[cell["status"]]
    if key not in cell:
        return "-"
    busy = cell.get("disturbed") and key.endswith("seconds")
    text = "!" * bool(busy) + "~" * cell[key]["wide"] + form(cell[key]["median"])
    return text if cell["status"] == "ok" else f"{text} ({cell['detail'].split()[0]} refused)"


def workload_table(rows, key, form, head="workload"):
    names = list(rows[0]["allocators"]) if rows else []
    threads = any("threads" in row for row in rows)
    table = [[head, *(["threads"] if threads else []), *names]]
    for row in rows:
        table.append([row["workload"], *([str(row["threads"])] if threads else []),
                      *(figure(row["allocators"].get(name), key, form) for name in names)])
    return table


def seconds_table(rows):
    return workload_table(rows, "seconds", lambda value: f"{value:.3f}")


def cpu_table(rows):
    return workload_table(rows, "cpu_seconds", lambda value: f"{value:.3f}")


def rss_table(rows):
    return workload_table(rows, "rss_peak_bytes", mib)


def faults_table(rows):
    return workload_table(rows, "faults", lambda value: f"{value:.0f}")


def address_table(rows):
    return workload_table(rows, "address_peak_bytes", mib)


def means_table(means):
    table = [["allocator", "time", "processor time", "peak RSS", "page faults", "cases"]]
    for name, mean in means.items():
        table.append([name, *(f"{mean[key]:.3f}" if mean[key] else "-" for key in figures.MEANS),
                      str(mean["cases"])])
    return table


def seconds_of(cell, key, part="median"):
    return f"{cell[key][part]:.3f}" if key in cell else "-"


def free_table(rows):
    """Each command under each allocator: what hyperfine tells, and memory; beside the fastest."""
    rows = [row for row in rows if row["limit"] == "none"]
    table = [["command", "allocator", "mean s", "deviation", "least", "most", "user s", "system s",
              "peak RSS MiB", "page faults", "relative"]]
    means = [cell["seconds"]["mean"] for row in rows for cell in row["allocators"].values()
             if cell["status"] == "ok" and "seconds" in cell]
    for row in rows:
        for name, cell in row["allocators"].items():
            if cell["status"] != "ok":
                table.append([row["workload"], name, cell["status"], *[""] * 8])
                continue
            table.append([row["workload"], name, figure_of(cell), *(
                seconds_of(cell, "seconds", part) for part in ("deviation", "least", "most")),
                          seconds_of(cell, "user_seconds"), seconds_of(cell, "system_seconds"),
                          mib(cell["rss_peak_bytes"]["median"]), f"{cell['faults']['median']:.0f}",
                          f"{cell['seconds']['mean'] / min(means):.2f}"])
    return table


def figure_of(cell):
    return "!" * bool(cell.get("disturbed")) + seconds_of(cell, "seconds", "mean")


def limits_table(rows, workload):
    rows = [row for row in rows if row["workload"] == workload]
    names = list(rows[0]["allocators"]) if rows else []
    table = [["limit", "%", "MiB", *names, "reclaimed MiB"]]
    for row in rows:
        ours = row["allocators"].get("oomreclaim") or {}
        reclaimed = ours.get("reclaimed_bytes")
        table.append([limits.KINDS.get(row["limit"], "none"),
                      str(row["percent"] or ""), mib(row["bytes"]) if row["bytes"] else "",
                      *(figure(row["allocators"].get(name), "seconds", lambda value: f"{value:.2f}")
                        for name in names),
                      mib(reclaimed["median"]) if reclaimed else ""])
    return table


def fast_table(rows):
    table = [["operation", "jemalloc", "oomreclaim", "difference", "time ratio"]]
    for row in rows:
        ours, theirs = (row["instructions"].get(name) for name in ("oomreclaim", "jemalloc"))
        table.append([row["operation"],
                      *(f"{one:.2f}" if one is not None else "-" for one in (theirs, ours)),
                      f"{ours - theirs:+.2f}" if None not in (ours, theirs) else "-",
                      f"{row['time_ratio']:.3f}" if row.get("time_ratio") else "-"])
    return table


def percent(part):
    return f"{100 * part:.0f} %" if part else "-"


def targets_table(rows):
    table = [["limit, % of what it uses", "best by hand, % of the limit", "with", "throughput, of that",
              "misses, of that", "reclaimed MiB"]]
    for row in rows:
        best = targets.best_by_hand(row["cells"])
        for name in targets.ASKING:
            reclaimed = row["cells"][name].get("reclaimed_bytes")
            table.append([str(row["percent"]), best or "-", name,
                          percent(targets.part_of_best(row["cells"], name)),
                          percent(figures.ratio(row["cells"], name, "ops", best)),
                          mib(reclaimed["median"]) if reclaimed else "-"])
    return table


def shares_table(found):
    table = [["first cache's part", "misses, % of the requests", "processor's seconds"]]
    for name, cell in found["cells"].items():
        done = cell["status"] == "ok"
        table.append([f"{name} %" if name.isdigit() else name,
                      f"{100 * cell['ops']['median'] / cell['requests']['median']:.1f}" if done
                      else cell["status"], figure(cell, "cpu_seconds", lambda value: f"{value:.1f}")])
    return table


def text(table):
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = []
    for row in table:
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown(table):
    head, *rest = table
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
                     for row in [head, rule, *rest])


def each_cell(rows):
    """(which, in words, its cell) of all that have a time."""
    for row in rows:
        where = [row["workload"], str(row.get("threads") or ""), row.get("limit") or "",
                 f"{row['percent']} %" if row.get("percent") else ""]
        for name, cell in row["allocators"].items():
            if cell.get("seconds"):
                yield ", ".join([word for word in where if word] + [name]), cell


SHOWN = 5


def some(what, found):
    return f"{what}: {len(found)}, " + ("the first: " if len(found) > SHOWN else "") + \
        "; ".join(found[:SHOWN])


def doubts(part, rows, rounds):
    """What is to be believed less, in words: wide spreads, disturbed runs, fewer rounds, outliers."""
    cells = list(each_cell(rows))
    # Without a limit they ran once, by plan, where limits are the matter.
    planned = list(each_cell([row for row in rows if row.get("limit") != "none"
                              or "parameters" in row]))
    wide = [f"{which}: {cell['seconds']['spread']:.0%}" for which, cell in cells
            if cell["seconds"]["wide"]]
    busy = [f"{which}: up to {cell['others']:.0%}" for which, cell in cells
            if cell.get("disturbed")]
    fewer = [f"{which}: {len(cell['seconds']['runs'])}" for which, cell in planned
             if len(cell["seconds"]["runs"]) < rounds]
    odd = [f"{which}: {line}" for which, cell in cells for line in outlier_lines(cell["seconds"])]
    for what, found in (
            ("cases in which runs differed by over a fifth", wide),
            ("cases in which others took over a tenth of the machine in a run, repeated or not", busy),
            (f"cases with fewer rounds than {rounds}, as they took 5 s or time was short", fewer),
            ("outliers", odd)):
        if found:
            yield some(f"{part}, {what}", found)


def outlier_lines(seconds):
    """Each of them by its number and what the others took."""
    runs = seconds["runs"]
    for i in figures.outliers(runs):
        yield f"run {i + 1} of {len(runs)} took {runs[i]:.3f} s, the median {seconds['median']:.3f} s"
