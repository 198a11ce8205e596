# SPDX-License-Identifier: BSD-2-Clause
"""script/rlimit-bench: a command of the user's under the same limits and allocators."""

import argparse
import json
import os
import shlex
import sys

import limits
import machine
import measure
import peers
import progress as progress_of
import report
import suite
import tables

REFERENCE = "oomreclaim"  # the steps are parts of what it took, so that each of them says something
BISECTIONS = 5       # halvings of the step between too little and enough
EXIT_NEVER_RAN = 1


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="script/rlimit-bench", usage="%(prog)s [OPTION...] [--] COMMAND [ARGUMENT...]",
        description="How much memory does a command need, and how much slower is it with less? It is "
        "run under each allocator and limit; its output is thrown away.")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each case (3)")
    parser.add_argument("--timeout", type=float, default=120, metavar="SECONDS",
                        help="a run that takes longer hangs (120)")
    parser.add_argument("--limits", default="as,data,cgroup,budget",
                        help="which, of as, data, cgroup, budget (all)")
    parser.add_argument("--allocators", help="which, by name (all)")
    parser.add_argument("--build", default="build", help="the build directory")
    parser.add_argument("--library", help="the library; default: the one in the build directory")
    parser.add_argument("--out", default="rlimit-bench-results", help="where to write")
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.command[:1] == ["--"]:
        arguments.command = arguments.command[1:]
    if not arguments.command:
        parser.error("no command")
    arguments.limits = arguments.limits.split(",")
    for kind in arguments.limits:
        if kind not in limits.KINDS:
            parser.error(f"no such limit: {kind}")
    if arguments.rounds < 1 or arguments.timeout <= 0:
        parser.error("--rounds and --timeout must be above 0")
    return arguments


def choose(arguments):
    library = arguments.library or os.path.join(arguments.build, "src/liboomreclaim.so.0")
    return suite.with_retain_off(peers.choose(library, names=arguments.allocators))


def least(command, allocator, kind, low, high, plan, step):
    """The smallest limit, in bytes, that it has ended under; between one too low and one enough."""
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        step(f"how little is enough: {allocator.name}, {tables.mib(middle)} MiB")
        if measure.run_once(command, allocator, plan, limits.make(kind, middle)).ok:
            high = middle
        else:
            low = middle
    return int(high)


def needs(command, rows, chosen, kind, plan, step):
    """By allocator: what it needs at least under one kind of limit; None where no step was enough."""
    steps = [row for row in rows if row["limit"] == kind]
    found = {}
    for allocator in chosen:
        have = [row for row in steps if allocator.name in row["allocators"]]
        enough = [row["bytes"] for row in have if row["allocators"][allocator.name]["status"] == "ok"]
        if not have or allocator.missing:
            continue
        if not enough:
            # It may need more than the reference took: twice its own peak is the last try.
            own = rows[0]["allocators"][allocator.name].get(limits.PEAK_OF[kind])
            more = limits.make(kind, 2 * own["median"]) if own else None
            if not more or not measure.run_once(command, allocator, plan, more).ok:
                found[allocator.name] = None
                continue
            enough = [more.size]
        smaller = [row["bytes"] for row in have if row["bytes"] < min(enough)]
        found[allocator.name] = least(command, allocator, kind, max(smaller, default=0), min(enough),
                                      plan, step)
    return found


def sentences(results):
    """The figures in words, by allocator."""
    free = results["limits"][0]["allocators"]
    for kind, found in results["needs"].items():
        steps = [row for row in results["limits"] if row["limit"] == kind]
        for name, size in found.items():
            if size is None:
                yield f"{limits.KINDS[kind]}, {name}: did not end under any limit"
                continue
            line = f"{limits.KINDS[kind]}, {name}: needs at least {tables.mib(size)} MiB"
            done = [row for row in steps if row["allocators"].get(name, {}).get("status") == "ok"]
            last = min(done, key=lambda row: row["bytes"], default=None)
            if not last:
                yield line
                continue
            taken = last["allocators"][name]["seconds"]["median"]
            if free[name]["status"] == "ok":
                more = 100 * (taken / free[name]["seconds"]["median"] - 1)
                line += f"; with {tables.mib(last['bytes'])} MiB it is " + (
                    f"{more:.0f} % slower" if more >= 0.5 else "no slower")
            yield line


def complaints(row):
    """What went wrong in a row, and what was written to stderr, once for each allocator."""
    for name, cell in row["allocators"].items():
        if cell["status"] != "ok":
            yield f"{name}: {cell['status']}: {cell['detail']}"
        if cell.get("stderr"):
            yield f"{name}: stderr: {cell['stderr'].strip().splitlines()[-1][:200]}"


def measure_all(arguments):
    chosen, name = choose(arguments), shlex.join(arguments.command)
    kinds, notes = suite.limit_kinds()
    kinds = [kind for kind in kinds if kind in arguments.limits]
    if "cgroup" not in arguments.limits:
        notes = []
    total = arguments.rounds * len(chosen) * (1 + len(limits.STEPS) * len(kinds))
    total += BISECTIONS * len(chosen) * len(kinds)
    progress = progress_of.Progress(total)
    about = machine.describe()
    machine.settle(about, 0, progress.say)
    plan = measure.Plan(measure.find_launch(arguments.build), rounds=arguments.rounds,
                        seconds=arguments.timeout)
    free = measure.interleave(arguments.command, chosen, plan.but(watch=True), step=progress.step)
    rows = [{"workload": name, "limit": "none", "percent": None, "bytes": None, "allocators": free}]
    for kind, percent, limit in limits.ladder(kinds, free, REFERENCE):
        who = [one for one in chosen if kind != "budget" or one.name == "oomreclaim"]
        done = progress.done + suite.count_runs(plan, who)
        rows.append({"workload": name, "limit": kind, "percent": percent, "bytes": limit.size,
                     "allocators": measure.interleave(arguments.command, who, plan, limit,
                                                      progress.step)})
        progress.settle(done)
    found = {kind: needs(arguments.command, rows, chosen, kind, plan, progress.step)
             for kind in kinds}
    progress.end()
    return {"format": 2, "command": arguments.command, "machine": about, "notes": notes,
            "settings": {"quick": False, "rounds": arguments.rounds, "seconds": arguments.timeout,
                         "reference": REFERENCE},
            "versions": peers.versions(chosen), "limits": rows, "needs": found}


def main(argv):
    arguments = parse(argv)
    results = measure_all(arguments)
    results["notes"] += list(complaints(results["limits"][0]))
    ended = any(cell["status"] == "ok" for cell in results["limits"][0]["allocators"].values())
    if not ended:
        results["notes"].append("the command did not end well under any allocator, even without a limit")
    elif len(results["limits"]) == 1:
        results["notes"].append("no limits: the command ended before its peak could be read")
    results["notes"] += sentences(results)
    os.makedirs(arguments.out, exist_ok=True)
    with open(os.path.join(arguments.out, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    report.write_html(results, os.path.join(arguments.out, "report.html"),
                      "Under limits: " + shlex.join(arguments.command))
    print(report.text(results))
    print(f"\nwritten: {arguments.out}/results.json and {arguments.out}/report.html")
    return 0 if ended else EXIT_NEVER_RAN


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
