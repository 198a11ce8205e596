# SPDX-License-Identifier: BSD-2-Clause
"""The results as tables, for the terminal, Markdown and HTML: a list of rows, the first the head."""

import limits

MARKS = {"missing": "missing", "crashed": "crashed", "hung": "hung", "failed": "failed"}


def mib(count):
    return f"{count / (1 << 20):.0f}"


def figure(cell, key, form):
    """A cell's figure, ~ before it where runs differ widely; or what happened instead."""
    if not cell:
        return ""
    if cell["status"] in MARKS:
        return MARKS[cell["status"]]
    if key not in cell:
        return "-"
    text = ("~" if cell[key]["wide"] else "") + form(cell[key]["median"])
    return text if cell["status"] == "ok" else f"{text} ({cell['detail'].split()[0]} refused)"


def workload_table(rows, key, form, head="workload"):
    names = list(rows[0]["allocators"]) if rows else []
    table = [[head, "threads", *names]]
    for row in rows:
        table.append([row["workload"], str(row["threads"]),
                      *(figure(row["allocators"].get(name), key, form) for name in names)])
    return table


def seconds_table(rows):
    return workload_table(rows, "seconds", lambda value: f"{value:.3f}")


def rss_table(rows):
    return workload_table(rows, "rss_peak_bytes", mib)


def faults_table(rows):
    return workload_table(rows, "faults", lambda value: f"{value:.0f}")


def address_table(rows):
    return workload_table(rows, "address_peak_bytes", mib)


def means_table(means):
    table = [["allocator", "time", "peak RSS", "cases"]]
    for name, mean in means.items():
        table.append([name, *(f"{mean[key]:.3f}" if mean[key] else "-"
                              for key in ("seconds", "rss_peak_bytes")), str(mean["cases"])])
    return table


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
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rest])


def wide_cells(rows):
    """Where the runs differ too much to be believed, in words."""
    found = []
    for row in rows:
        for name, cell in row["allocators"].items():
            spread = cell.get("seconds")
            if spread and spread["wide"]:
                found.append(f"{row['workload']}, {row.get('threads') or row.get('limit')}, {name}: "
                             f"{spread['spread']:.0%}")
    return found
