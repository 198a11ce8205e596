# SPDX-License-Identifier: BSD-2-Clause
"""results.json to a terminal's text, an HTML file with all in it, and SVG files for docs/."""

import html
import os
import sys

import limits
import machine
import tables
import theme

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>
:root {{ --ink: {day[0]}; --paper: {day[1]}; --note: {day[2]}; --line: {day[3]} }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: {night[0]}; --paper: {night[1]}; --note: {night[2]}; --line: {night[3]} }}
}}
body {{ font: 15px/1.45 sans-serif; color: var(--ink); background: var(--paper); max-width: 72em;
       margin: 2em auto; padding: 0 1em }}
table {{ border-collapse: collapse; margin: 1em 0; font-size: 13px; display: block; overflow-x: auto }}
th, td {{ padding: .2em .7em; text-align: right; border-bottom: 1px solid var(--line) }}
th:first-child, td:first-child {{ text-align: left }}
.chart {{ overflow-x: auto }} svg {{ max-width: 100%; height: auto }}
.note {{ background: var(--note); padding: .5em 1em }} pre {{ overflow-x: auto }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""
DAY, NIGHT = zip(theme.INK, theme.PAPER, theme.NOTE, theme.LINE)

ABOUT_LIMITS = ("Seconds; the number of refused allocations behind them where there were any. "
                "The limits are parts of the peak that {} had without one, the same for all. ~ "
                "means that the runs differed by more than a fifth, ! that others took over a "
                "tenth of the machine.")

ABOUT_TIME = ("Seconds, medians. ~ means that the runs differed by more than a fifth, ! that "
              "others took over a tenth of the machine in a run, repeated or not.")

ABOUT_FREE = ("{}. Means and standard deviations of the wall's time; medians of the rest. "
              "Relative: to the least mean of all.")

ABOUT_APART = ("Workloads of the kinds that well-known benchmarks of allocators are. No setting "
               "was chosen by them.")

ABOUT_PROGRAMS = ("Whole programs with the allocator preloaded, their start-up included, and "
                  "what they start. The peak is of the largest process; servers and clients count as one.")

# (key of the rows, title, words).
GROUPS = (("workloads", "Workloads", ""), ("apart", "Apart from tuning", ABOUT_APART),
          ("programs", "Programs", ABOUT_PROGRAMS))
MEANS_OF = {"workloads": "means", "apart": "apart_means", "programs": "program_means"}

ABOUT_LADDER = ("From the failure of malloc(16 MiB) to its success; \"no failure\" is the same malloc "
                "with room. The callback that is asked last lifts the limit.")

ABOUT_REFUSALS = ("Instructions of one malloc that fails, of a thousand in a row: nothing is free, and "
                  "no callback registered.")

ABOUT_TARGETS = ("One cache under the setting `limit`: its size by hand, or by oomreclaim_cache_target(), or it "
                 "grows as long as oomreclaim_headroom() says that there is room. By the processor's time.")

ABOUT_SHARES = ("Two caches under the setting `limit`, and nine of ten requests for the one; from the middle on, "
                "for the other. Fixed parts of the most at which nothing is reclaimed, {} of {} MiB, or "
                "oomreclaim_cache_target() with what each regrets.")

ABOUT_MAPS = ("Lines of /proc/self/maps: 40,000 blocks of 20,000 bytes, every other one freed, and a block "
              "asked for that takes all that is free; over and over.")


def html_table(table):
    head, *rest = table
    lines = ["<table><tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + "</tr>"]
    for row in rest:
        lines.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>")
    return "\n".join(lines) + "</table>"


def notes(results):
    """What a reader must know before the figures."""
    found = list(results.get("notes", [])) + list(machine.notes(results["machine"]))
    for name, version in results["versions"].items():
        if version.get("missing"):
            found.append(f"{name}: {version['missing']}")
    for part, asked in (("workloads", "rounds"), ("apart", "rounds"), ("programs", "program_rounds"),
                        ("limits", "limit_rounds")):
        found += tables.doubts(part, results.get(part, []), results["settings"].get(asked, 1))
    return found


def machine_line(results):
    settings = results["settings"]
    versions = ", ".join(f"{name} {version['version']}" for name, version in
                         results["versions"].items() if version.get("version"))
    return (f"{machine.in_words(results['machine'])}; {versions}; settings: "
            f"{'quick' if settings.get('quick') else 'full'}, {settings['rounds']} rounds behind "
            f"{settings.get('warmup', 0)} to warm up")


def by_hand_line(found):
    if not found:
        return "not measured"
    if not found["throughput_ratio"]:
        return "did not finish"
    return (f"limit {tables.mib(found['limit_bytes'])} MiB, sized by hand to "
            f"{tables.mib(found['cache_bytes'])} MiB: with the callback "
            f"{found['throughput_ratio']:.0%} of that throughput")


def ladder_table(found):
    table = [["what", "number", "median us", "least us", "99th percentile us"]]
    for row in found:
        table.append([row["kind"], str(row["number"]),
                      *(f"{row['us'][key]:.2f}" for key in ("median", "least", "p99"))])
    return table


def refusals_table(found):
    table = [["heap MiB", "bytes", "refused by", "jemalloc", "oomreclaim", "difference"]]
    for row in found:
        ours, theirs = (row["instructions"].get(name) for name in ("oomreclaim", "jemalloc"))
        table.append([str(row["heap_mib"]), str(row["bytes"]), limits.KINDS[row["limit"]],
                      *("-" if one is None else str(one) for one in (theirs, ours)),
                      "-" if None in (ours, theirs) else f"{ours - theirs:+}"])
    return table


def maps_table(found):
    table = [["limit", "allocator", "at first", "after a round", "at most", "at the end"]]
    for row in found:
        for name, counts in row["maps"].items():
            shown = [counts[0], counts[1], max(counts), counts[-1]] if counts else ["failed"] * 4
            table.append([limits.KINDS.get(row["limit"], "none"), name, *map(str, shown)])
    return table


def group_sections(part, title, words, results):
    """Of a group of cases: means, time, memory, page faults."""
    rows, head = results[part], "" if part == "workloads" else f"{title}: "
    prefix = "" if part == "workloads" else f"{part}-"
    yield (f"{prefix}means", head + "Geometric means of the ratios to jemalloc", words,
           [tables.means_table(results[MEANS_OF[part]])])
    yield f"{prefix}time", head + "Time", ABOUT_TIME, [tables.seconds_table(rows)]
    yield (f"{prefix}cpu", head + "Processor time",
           "Seconds, user and system, of all threads and children; starting and ending included.", [tables.cpu_table(rows)])
    yield f"{prefix}rss", head + "Peak RSS", "MiB.", [tables.rss_table(rows)]
    yield f"{prefix}faults", head + "Page faults", "", [tables.faults_table(rows)]
    if any("address_peak_bytes" in cell for row in rows for cell in row["allocators"].values()):
        yield f"{prefix}address", head + "Peak address space", "MiB.", [tables.address_table(rows)]


def sections(results):
    """(name, title, words, tables, charts by file name), in reading order."""
    if results.get("fast_path"):
        yield ("fast", "Fast path", "Instructions of one operation with its free, the loop included.",
               [tables.fast_table(results["fast_path"])])
    if results.get("commands"):
        yield "free", "Without a limit", ABOUT_FREE.format(results["settings"]["command"]), [
            tables.free_table(results["limits"])]
    for part, title, words in GROUPS:
        if results.get(part):
            yield from group_sections(part, title, words, results)
    under = results.get("limits", [])
    for name in dict.fromkeys(row["workload"] for row in under if row["limit"] != "none"):
        yield (f"limits-{name}", f"Under limits: {name}",
               ABOUT_LIMITS.format(results["settings"].get("reference", "jemalloc")),
               [tables.limits_table(under, name)])
    if "by_hand" in results:
        yield "hand", "The cache at half, and the same sized by hand", by_hand_line(
            results["by_hand"]), []
    if results.get("ladder"):
        yield "ladder", "The ladder's own cost", ABOUT_LADDER, [
            ladder_table(results["ladder"])]
    if results.get("refusals"):
        yield "refusals", "A failure that can't be helped", ABOUT_REFUSALS, [
            refusals_table(results["refusals"])]
    if results.get("targets", {}).get("one"):
        yield ("targets", "A cache with the size that the library says", ABOUT_TARGETS,
               [tables.targets_table(results["targets"]["one"])])
    two = results.get("targets", {}).get("two")
    if two:
        yield ("shares", "Two caches, and a load that changes halfway",
               ABOUT_SHARES.format(tables.mib(two["total_bytes"]), tables.mib(two["bytes"])),
               [tables.shares_table(two)])
    if results.get("maps"):
        yield "maps", "Mappings over time", ABOUT_MAPS, [maps_table(results["maps"])]


def draw(results):
    """SVG by the name of its section. Empty where there is nothing to draw with."""
    try:
        import charts  # pylint: disable=import-outside-toplevel
        import target_charts  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        print(f"no charts: {error}", file=sys.stderr)
        return {}
    found = {}
    if results.get("fast_path"):
        found["fast"] = charts.instructions(results["fast_path"])
    for part, title, _ in GROUPS:
        prefix = "" if part == "workloads" else f"{part}-"
        if results.get(part):
            found[f"{prefix}time"] = charts.ratios(results[part], "seconds", f"{title}, time")
            found[f"{prefix}rss"] = charts.ratios(results[part], "rss_peak_bytes", f"{title}, peak RSS")
    under = results.get("limits", [])
    for name in dict.fromkeys(row["workload"] for row in under):
        found[f"limits-{name}"] = charts.under_limits(
            [row for row in under if row["workload"] == name], name,
            results["settings"].get("reference", "jemalloc"))
    if results.get("ladder"):
        found["ladder"] = charts.ladder_cost(results["ladder"])
    if results.get("targets", {}).get("one"):
        found["targets"] = target_charts.by_targets(results["targets"]["one"])
    if results.get("targets", {}).get("two"):
        found["shares"] = target_charts.shared(results["targets"]["two"])
    return {name: chart for name, chart in found.items() if chart}


def text(results):
    lines = [machine_line(results), ""]
    lines += [f"note: {note}" for note in notes(results)]
    for _, title, words, found in sections(results):
        lines += ["", f"== {title}" + (f": {words}" if words else "")]
        lines += [tables.text(table) for table in found]
    return "\n".join(lines)


def write_html(results, path, title="oomreclaim: benchmarks"):
    pictures = draw(results)
    body = [f"<p>{html.escape(machine_line(results))}</p>"]
    body += [f'<p class="note">{html.escape(note)}</p>' for note in notes(results)]
    for name, head, words, found in sections(results):
        body.append(f"<h2>{html.escape(head)}</h2><p>{html.escape(words)}</p>")
        if name in pictures:
            body.append(f'<div class="chart">{pictures[name]}</div>')
        body += [html_table(table) for table in found]
    with open(path, "w", encoding="utf-8") as file:
        file.write(PAGE.format(title=html.escape(title), body="\n".join(body), day=DAY, night=NIGHT))


def markdown(results, title, words, pictures=()):
    """pictures: the names of the sections that have one, as NAME.svg beside it."""
    lines = [f"# {title}", "", *([words, ""] if words else []), machine_line(results), ""]
    lines += [f"- {note}" for note in notes(results)]
    for name, head, about, found in sections(results):
        lines += ["", f"## {head}", ""] + ([about, ""] if about else [])
        if name in pictures:
            lines += [f"![{head}]({name}.svg)", ""]
        lines += [tables.markdown(table) + "\n" for table in found]
    return "\n".join(lines).rstrip() + "\n"


def write_markdown(results, path, title="oomreclaim: benchmarks"):
    with open(path, "w", encoding="utf-8") as file:
        file.write(markdown(results, title, ""))


def write_docs(results, directory):
    """The same for docs/: figures.md, and one SVG for each chart. Of parts that were measured by
    themselves only the charts: in figures.md stands all of one run."""
    os.makedirs(directory, exist_ok=True)
    pictures = draw(results)
    for name, picture in pictures.items():
        with open(os.path.join(directory, f"{name}.svg"), "w", encoding="utf-8") as file:
            file.write(picture)
    if results["settings"].get("is_part"):
        return
    with open(os.path.join(directory, "figures.md"), "w", encoding="utf-8") as file:
        file.write(markdown(results, "Figures", "Written by `script/bench --docs`; "
                            "[how to read them](../benchmarks.md).", pictures))
