# SPDX-License-Identifier: BSD-2-Clause
"""script/rlimit-bench: a command of the user's under the same limits and allocators."""

import argparse
import json
import os
import shlex
import sys

import export
import limits
import machine
import measure
import parameters
import peers
import progress as progress_of
import report
import suite
import tables

REFERENCE = "oomreclaim"  # the steps are parts of what it took, so that each of them says something
BISECTIONS = 5       # halvings of the step between too little and enough
EXIT_NEVER_RAN = 1

EXAMPLES = """\
examples:
  script/rlimit-bench --rounds 5 --warmup 1 -- sqlite3 :memory: ".read queries.sql"
  script/rlimit-bench --limits as --parameter-list level 1,6,9 -- gzip -k -f -{level} large.txt
  script/rlimit-bench --parameter-scan size 1000 5000 --parameter-step 2000 \\
      --prepare "rm -f out" --export-markdown out.md -- ./program {size} out
  script/rlimit-bench --peer newest=/opt/mimalloc/lib/libmimalloc.so -- node server-test.js

exit status: 0; 1 if no command ended well under any allocator; 2 for wrong usage."""


def add_runs(parser):
    group = parser.add_argument_group("how it is run")
    group.add_argument("--rounds", "--runs", type=int, default=3, metavar="N",
                       help="runs of each case (3)")
    group.add_argument("--warmup", type=int, default=0, metavar="N",
                       help="runs of each case before them, of which nothing is kept (0)")
    group.add_argument("--prepare", metavar="COMMAND",
                       help="a shell's command before each run, warm-ups included; it is not measured, nor limited")
    group.add_argument("--timeout", type=float, default=120, metavar="SECONDS",
                       help="a run that takes longer hangs (120)")
    group.add_argument("--wait", type=float, default=10, metavar="SECONDS",
                       help="wait so long at most for an idle machine, and repeat once a run in which "
                       "other programs took more than a tenth of it; 0: neither (10)")
    group.add_argument("--parameter-list", "-L", nargs=2, action="append", default=[],
                       metavar=("NAME", "VALUES"),
                       help="for each of the values, with commas between them: {NAME} in the command "
                       "and in --prepare is that value; of several lists every combination")
    group.add_argument("--parameter-scan", "-P", nargs=3, action="append", default=[],
                       metavar=("NAME", "FROM", "TO"), help="the same for a range of numbers")
    group.add_argument("--parameter-step", "-D", metavar="STEP", default="1",
                       help="of --parameter-scan (1)")


def parser_of():
    parser = argparse.ArgumentParser(
        prog="script/rlimit-bench", usage="%(prog)s [OPTION...] [--] COMMAND [ARGUMENT...]",
        description="How much memory does a command need, and how much slower is it with less? It is "
        "run under each allocator and limit, the allocators in turns; its output is thrown away.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_runs(parser)
    group = parser.add_argument_group("what it is run under")
    group.add_argument("--limits", default="as,data,cgroup,budget",
                       help="which, of as, data, cgroup, budget (all); none: without a limit alone")
    group.add_argument("--allocators", help="which, by name "
                       f"({','.join(peers.MAIN)}; jemalloc also with retain:false)")
    group.add_argument("--peer", action="append", type=peers.named, default=[], metavar="NAME=FILE",
                       help="this shared library as well; may be repeated")
    group.add_argument("--build", default="build", help="the build directory")
    group.add_argument("--library", help="the library; default: the one in the build directory")
    group = parser.add_argument_group("what is written")
    group.add_argument("--out", default="rlimit-bench-results", metavar="DIRECTORY",
                       help="where to write results.json and report.html (rlimit-bench-results)")
    group.add_argument("--export-csv", metavar="FILE", help="a line for each case and allocator")
    group.add_argument("--export-markdown", metavar="FILE", help="the tables")
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def parse(argv):
    parser = parser_of()
    arguments = parser.parse_args(argv)
    if arguments.command[:1] == ["--"]:
        arguments.command = arguments.command[1:]
    if not arguments.command:
        parser.error("no command")
    arguments.limits = [] if arguments.limits == "none" else arguments.limits.split(",")
    for kind in arguments.limits:
        if kind not in limits.KINDS:
            parser.error(f"no such limit: {kind}")
    if arguments.rounds < 1 or arguments.timeout <= 0:
        parser.error("--rounds and --timeout must be above 0")
    if arguments.warmup < 0 or arguments.wait < 0:
        parser.error("--warmup and --wait must not be negative")
    try:
        arguments.parameters = parameters.combinations(
            arguments.parameter_list, arguments.parameter_scan, arguments.parameter_step,
            [*arguments.command, arguments.prepare or ""])
    except ValueError as error:
        parser.error(str(error))
    return arguments


def choose(arguments):
    library = arguments.library or os.path.join(arguments.build, "src/liboomreclaim.so.0")
    return suite.with_retain_off(peers.choose(library, arguments.peer, arguments.allocators))


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


def sentences(needed, rows):
    """The figures in words, by allocator."""
    free = rows[0]["allocators"]
    for kind, found in needed.items():
        steps = [row for row in rows if row["limit"] == kind]
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


def count_runs(arguments, chosen, kinds):
    each = len(chosen) * (arguments.warmup + arguments.rounds)
    return len(arguments.parameters) * (each * (1 + len(limits.STEPS) * len(kinds))
                                        + BISECTIONS * len(chosen) * len(kinds))


def measure_command(values, arguments, chosen, kinds, plan, progress):
    """(what is said of the command, its rows): with one value of each parameter."""
    command = parameters.fill(arguments.command, values)
    if plan.prepare:
        plan = plan.but(prepare=parameters.fill([plan.prepare], values)[0])
    label = ", ".join(f"{name}={value}" for name, value in values.items())
    about = {"workload": label or shlex.join(command), "parameters": values}
    free = measure.interleave(command, chosen, plan.but(watch=True), step=progress.step)
    rows = [{**about, "limit": "none", "percent": None, "bytes": None, "allocators": free}]
    for kind, percent, limit in limits.ladder(kinds, free, REFERENCE):
        who = [one for one in chosen if kind != "budget" or one.name == "oomreclaim"]
        done = progress.done + suite.count_runs(plan, who)
        rows.append({**about, "limit": kind, "percent": percent, "bytes": limit.size,
                     "allocators": measure.interleave(command, who, plan, limit, progress.step)})
        progress.settle(done)
    # One run decides about each size: warming up is over, and no time is told.
    found = {kind: needs(command, rows, chosen, kind, plan, progress.step) for kind in kinds}
    return {**about, "command": command, "needs": found}, rows


def measure_all(arguments):
    chosen = choose(arguments)
    kinds, notes = suite.limit_kinds()
    kinds = [kind for kind in kinds if kind in arguments.limits]
    if "cgroup" not in arguments.limits:
        notes = []
    progress = progress_of.Progress(count_runs(arguments, chosen, kinds))
    about = machine.describe()
    machine.settle(about, arguments.wait, progress.say)
    plan = measure.Plan(measure.find_launch(arguments.build), rounds=arguments.rounds,
                        warmup=arguments.warmup, seconds=arguments.timeout, prepare=arguments.prepare,
                        repeats=1 if arguments.wait else 0)
    commands, rows = [], []
    for values in arguments.parameters:
        command, more = measure_command(values, arguments, chosen, kinds, plan, progress)
        notes += remarks(command, more, bool(values), kinds)
        commands.append(command)
        rows += more
    progress.end()
    return {"format": 2, "commands": commands, "machine": about, "notes": notes,
            "settings": {"quick": False, "rounds": arguments.rounds, "warmup": arguments.warmup,
                         "limit_rounds": arguments.rounds, "seconds": arguments.timeout,
                         "prepare": arguments.prepare, "reference": REFERENCE,
                         "command": shlex.join(arguments.command)},
            "versions": peers.versions(chosen), "limits": rows}


def ended(row):
    return any(cell["status"] == "ok" for cell in row["allocators"].values())


def remarks(command, rows, named, kinds):
    """named: which command it is has to be said."""
    found = list(complaints(rows[0]))
    if not ended(rows[0]):
        found.append("the command did not end well under any allocator, even without a limit")
    elif len(rows) == 1 and kinds:
        found.append("no limits: the command ended before its peak could be read")
    found += sentences(command["needs"], rows)
    before = f"{command['workload']}: " if named else ""
    return [before + line for line in found]


def main(argv):
    arguments = parse(argv)
    results = measure_all(arguments)
    title = "Under limits: " + shlex.join(arguments.command)
    os.makedirs(arguments.out, exist_ok=True)
    with open(os.path.join(arguments.out, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    report.write_html(results, os.path.join(arguments.out, "report.html"), title)
    written = [f"{arguments.out}/results.json", f"{arguments.out}/report.html"]
    if arguments.export_csv:
        export.write_csv(results, arguments.export_csv)
        written.append(arguments.export_csv)
    if arguments.export_markdown:
        report.write_markdown(results, arguments.export_markdown, title)
        written.append(arguments.export_markdown)
    print(report.text(results))
    print(f"\nwritten: {', '.join(written)}")
    return 0 if any(ended(row) for row in results["limits"] if row["limit"] == "none") else \
        EXIT_NEVER_RAN


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
