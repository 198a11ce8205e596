# SPDX-License-Identifier: BSD-2-Clause
"""script/bench: all parts, one results.json, and what is made of it."""

import argparse
import json
import os
import subprocess
import sys
import time

import fast
import ladder
import machine
import measure
import refusals
import report
import suite

PARTS = ("fast", "workloads", "limits", "ladder", "refusals")
FORMAT = 1  # of results.json


def parse(argv):
    parser = argparse.ArgumentParser(prog="script/bench", description="Benchmarks of oomreclaim "
                                     "beside its peers, all preloaded into the same programs.")
    parser.add_argument("--quick", action="store_true", help="within five minutes on two processors")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; may be repeated")
    parser.add_argument("--workload", action="append", help="this workload; may be repeated")
    parser.add_argument("--scale", type=int, help="per cent of the work of each run")
    parser.add_argument("--rounds", type=int, help="runs of each case")
    parser.add_argument("--build", default="build", help="the build directory")
    parser.add_argument("--library", help="the library; default: the one in the build directory")
    parser.add_argument("--out", default="bench-results", help="where to write")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks/ too")
    parser.add_argument("--from", dest="source", metavar="JSON",
                        help="measure nothing; report on these results")
    return parser.parse_args(argv)


def settings_of(arguments):
    settings = dict(suite.QUICK if arguments.quick else suite.FULL)
    if arguments.scale:
        settings["scale"] = settings["limit_scale"] = arguments.scale
    if arguments.rounds:
        settings["rounds"] = settings["limit_rounds"] = arguments.rounds
    if arguments.workload:
        settings["limit_workloads"] = [name for name in arguments.workload
                                       if name in suite.FULL["limit_workloads"]]
    settings["quick"] = arguments.quick
    return settings


def listed(program):
    return subprocess.run([program, "--list"], text=True, check=True,
                          stdout=subprocess.PIPE).stdout.split()


def measure_all(arguments):
    settings, parts = settings_of(arguments), arguments.only or PARTS
    mode = "quick" if arguments.quick else "full"
    program = suite.find_workload(arguments.build)
    operations = os.path.join(arguments.build, "bench/operations")
    names = listed(program)
    unknown = set(arguments.workload or []) - set(names)
    if unknown:
        raise SystemExit(f"bench: no such workload: {', '.join(sorted(unknown))} "
                         f"(there are: {', '.join(names)})")
    names = arguments.workload or names
    chosen = measure.allocators(arguments.library or
                                os.path.join(arguments.build, "src/liboomreclaim.so.0"))
    kinds, notes = suite.limit_kinds()
    results = {"format": FORMAT, "machine": machine.describe(), "settings": settings, "notes": notes,
               "versions": {one.name: {"preload": os.path.basename(one.preload),
                                       "version": one.version, "missing": one.missing}
                            for one in chosen}}
    columns = suite.with_limit_unmet(chosen)
    total = ("fast" in parts) * fast.count_steps(operations)
    total += ("workloads" in parts) * (len(names) * len(settings["threads"]) * settings["rounds"]
                                       * len(columns))
    total += ("limits" in parts) * suite.count_limit_runs(chosen, settings, kinds)
    total += ("ladder" in parts) * ladder.KINDS
    total += ("refusals" in parts) * refusals.count_steps(mode)
    progress, started = measure.Progress(total or 1), time.monotonic()
    if "fast" in parts:
        results["fast_path"], more = fast.run(operations, chosen, mode, progress.step)
        notes += more
    if "workloads" in parts:
        rows = suite.run_workloads(program, columns, names, settings, progress.step)
        results["workloads"], results["means"] = rows, suite.geometric_means(rows, columns)
    if "limits" in parts:
        results["limits"] = suite.run_limits(program, chosen, settings, kinds, progress.step)
        results["by_hand"] = suite.by_hand(program, chosen, settings, results["limits"],
                                           progress.step)
    if "ladder" in parts:
        results["ladder"], more = ladder.run(os.path.join(arguments.build, "bench/ladder"), chosen[0],
                                             mode, progress.step)
        notes += more
    if "refusals" in parts:
        results["refusals"], results["maps"], more = refusals.run(
            os.path.join(arguments.build, "bench/refusals"), chosen, mode, progress.step)
        notes += more
    progress.end()
    results["seconds"] = round(time.monotonic() - started, 1)
    return results


def main(argv):
    arguments = parse(argv)
    if arguments.source:
        with open(arguments.source, encoding="utf-8") as file:
            results = json.load(file)
        if results.get("format") != FORMAT:
            raise SystemExit(f"bench: {arguments.source}: not of format {FORMAT}")
    else:
        results = measure_all(arguments)
    os.makedirs(arguments.out, exist_ok=True)
    with open(os.path.join(arguments.out, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    report.write_html(results, os.path.join(arguments.out, "report.html"))
    if arguments.docs:
        docs = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs")
        report.write_docs(results, os.path.join(docs, "benchmarks"))
    print(report.text(results))
    print(f"\nwritten: {arguments.out}/results.json and {arguments.out}/report.html")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
