# SPDX-License-Identifier: BSD-2-Clause
"""script/bench: all parts, one results.json, and what is made of it."""

import argparse
import json
import os
import sys
import tempfile
import time

import export
import fast
import figures
import ladder
import machine
import measure
import peers
import programs
import progress as progress_of
import refusals
import report
import suite
import targets as targets_of

# In the order in which they run: what can't be cut short comes first.
PARTS = ("fast", "ladder", "refusals", "targets", "workloads", "apart", "programs", "limits")
FORMAT = 2  # of results.json


def parse(argv):
    parser = argparse.ArgumentParser(prog="script/bench", description=
                                     "Benchmarks of oomreclaim beside its peers, all preloaded into the "
                                     "same programs. Within an hour, or ten minutes with --quick: where "
                                     "time is short a case has fewer rounds, one at least, and the "
                                     "figures say how many.")
    parser.add_argument("--quick", action="store_true", help="within ten minutes on two processors")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; may be repeated")
    parser.add_argument("--workload", action="append", help="this workload or program; may be repeated")
    parser.add_argument("--scale", type=int, help="per cent of the work of each run")
    parser.add_argument("--rounds", type=int, help="runs of each case")
    parser.add_argument("--warmup", type=int, metavar="ROUNDS",
                        help="runs of each case before them, of which nothing is kept (1)")
    parser.add_argument("--minutes", type=float,
                        help="for all of it, but for building (56; 9 with --quick)")
    parser.add_argument("--wait", type=float, metavar="SECONDS",
                        help="wait so long at most until the machine is idle (300; 30 with --quick), "
                        "and repeat runs in which others took over a tenth of it; 0: neither")
    parser.add_argument("--peer", action="append", type=peers.named, default=[], metavar="NAME=FILE",
                        help="this shared library as well; may be repeated")
    parser.add_argument("--allocators", help="only these, by name: "
                        f"{','.join(peers.MAIN)} and those of --peer by default; "
                        "tbbmalloc,scudo are there too; oomreclaim and jemalloc always")
    parser.add_argument("--build", default="build", help="the build directory")
    parser.add_argument("--library", help="the library; default: the one in the build directory")
    parser.add_argument("--out", default="bench-results",
                        help="where to write results.json, results.csv, report.md and report.html")
    parser.add_argument("--export-csv", metavar="FILE", help="write the figures there too")
    parser.add_argument("--export-markdown", metavar="FILE", help="write the tables there too")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks/ too")
    parser.add_argument("--from", dest="source", metavar="JSON",
                        help="measure nothing; report on these results")
    arguments = parser.parse_args(argv)
    for name in ("scale", "rounds", "minutes"):
        if getattr(arguments, name) is not None and getattr(arguments, name) <= 0:
            parser.error(f"--{name} must be above 0")
    for name in ("warmup", "wait"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 0:
            parser.error(f"--{name} must not be negative")
    return arguments


def settings_of(arguments):
    settings = dict(suite.QUICK if arguments.quick else suite.FULL)
    if arguments.scale:
        settings["scale"] = settings["limit_scale"] = settings["program_scale"] = arguments.scale
    if arguments.rounds:
        settings["rounds"] = settings["limit_rounds"] = arguments.rounds
        settings["program_rounds"] = arguments.rounds
    for name in ("minutes", "warmup", "wait"):
        if getattr(arguments, name) is not None:
            settings[name] = getattr(arguments, name)
    if not settings["wait"]:
        settings["repeats"] = 0
    if arguments.workload:
        settings["limit_workloads"] = [name for name in arguments.workload
                                       if name in suite.FULL["limit_workloads"]]
    settings["quick"] = arguments.quick
    settings["is_part"] = bool(arguments.only)
    return settings


class Bench:
    """What all parts need; each part fills in its piece of the results."""

    def __init__(self, arguments):
        self.settings = settings_of(arguments)
        self.parts = arguments.only or PARTS
        self.mode = "quick" if arguments.quick else "full"
        self.build = arguments.build
        self.program = suite.find_workload(arguments.build)
        self.chosen = peers.choose(arguments.library or
                                   os.path.join(arguments.build, "src/liboomreclaim.so.0"),
                                   arguments.peer, arguments.allocators, always=suite.PAIR)
        self.columns = suite.with_limit_unmet(self.chosen)
        self.plan = measure.Plan(measure.find_launch(arguments.build),
                                 **{key: self.settings[key]
                                    for key in ("rounds", "warmup", "repeats", "seconds")},
                                 once_from=suite.ONCE_FROM_SECONDS)
        self.names = {"workloads": suite.listed(self.program),
                      "apart": suite.listed(self.program, "--list-apart"), "programs": programs.NAMES}
        self.choose_names(arguments.workload)
        self.kinds, self.notes = suite.limit_kinds()
        seconds = 60 * self.settings["minutes"]
        self.progress = progress_of.Progress(max(1, self.count_steps()), seconds=seconds)
        self.deadline = progress_of.Deadline(
            seconds, {part: weight for part, weight in suite.WEIGHTS.items() if part in self.parts})

    def choose_names(self, wanted):
        if not wanted:
            return
        there = [name for names in self.names.values() for name in names]
        unknown = set(wanted) - set(there)
        if unknown:
            raise SystemExit(f"bench: no such workload: {', '.join(sorted(unknown))} "
                             f"(there are: {', '.join(there)})")
        self.names = {part: [name for name in names if name in wanted]
                      for part, names in self.names.items()}

    def path(self, name):
        return os.path.join(self.build, "bench", name)

    def count_steps(self):
        each = suite.count_runs(self.plan, self.columns) * len(self.settings["threads"])
        counts = {"fast": lambda: fast.count_steps(self.path("operations")),
                  "workloads": lambda: each * len(self.names["workloads"]),
                  "apart": lambda: each * len(self.names["apart"]),
                  "programs": lambda: (suite.count_runs(self.program_plan(), self.columns)
                                       * len(self.names["programs"])),
                  "limits": lambda: suite.count_limit_runs(self.chosen, self.settings, self.kinds),
                  "ladder": lambda: ladder.KINDS, "refusals": lambda: refusals.count_steps(self.mode),
                  "targets": lambda: targets_of.count_steps(self.mode)}
        return sum(counts[part]() for part in self.parts)

    def fast(self, results):
        results["fast_path"], more = fast.run(self.path("operations"), self.chosen, self.mode,
                                              self.progress.step)
        self.notes += more

    def group(self, results, part, cases, plan, means):
        rows = suite.run_cases(cases, self.columns, plan, self.deadline.share(part, len(cases)),
                               self.progress)
        results[part], results[means] = rows, figures.geometric_means(rows, self.columns)

    def workloads(self, results, part="workloads", means="means"):
        cases = suite.workload_cases(self.program, self.names[part], self.settings)
        self.group(results, part, cases, self.plan, means)

    def apart(self, results):
        self.workloads(results, "apart", "apart_means")

    def program_plan(self):
        return self.plan.but(rounds=self.settings["program_rounds"])

    def programs(self, results):
        with tempfile.TemporaryDirectory(prefix="oomreclaim-bench-") as directory:
            os.chmod(directory, 0o755)  # a server may run as somebody else
            cases, more = programs.prepare(directory, self.names["programs"],
                                           self.settings["program_scale"], self.progress.say)
            self.notes += more
            self.group(results, "programs", cases, self.program_plan(), "program_means")

    def limits(self, results):
        share = self.deadline.share("limits", suite.count_limit_cases(self.settings, self.kinds))
        results["limits"] = suite.run_limits(self.program, self.chosen, self.settings, self.kinds,
                                             self.plan, share, self.progress)
        results["by_hand"] = suite.by_hand(self.program, self.chosen, self.settings,
                                           results["limits"], self.plan, self.progress.step)

    def ladder(self, results):
        ours = next(one for one in self.chosen if one.name == "oomreclaim")
        results["ladder"], more = ladder.run(self.path("ladder"), ours, self.mode, self.progress.step)
        self.notes += more

    def refusals(self, results):
        results["refusals"], results["maps"], more = refusals.run(
            self.path("refusals"), self.chosen, self.mode, self.progress.step)
        self.notes += more

    def targets(self, results):
        ours = next(one for one in self.chosen if one.name == "oomreclaim")
        results["targets"] = targets_of.run(self.program, ours, self.mode, self.plan, self.progress.step)

    def run(self):
        started, about = time.monotonic(), machine.describe()
        machine.settle(about, self.settings["wait"], self.progress.say)
        results = {"format": FORMAT, "machine": about, "settings": self.settings, "notes": self.notes,
                   "versions": peers.versions(self.chosen)}
        for part in PARTS:
            if part in self.parts:
                getattr(self, part)(results)
        self.progress.end()
        results["seconds"] = round(time.monotonic() - started, 1)
        return results


def write(results, arguments):
    os.makedirs(arguments.out, exist_ok=True)
    with open(os.path.join(arguments.out, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    report.write_html(results, os.path.join(arguments.out, "report.html"))
    for path in (os.path.join(arguments.out, "results.csv"), arguments.export_csv):
        if path:
            export.write_csv(results, path)
    for path in (os.path.join(arguments.out, "report.md"), arguments.export_markdown):
        if path:
            report.write_markdown(results, path)
    if arguments.docs:
        docs = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs")
        report.write_docs(results, os.path.join(docs, "benchmarks"))
    print(report.text(results))
    print(f"\nwritten: {arguments.out}/: results.json, results.csv, report.md, report.html")


def main(argv):
    arguments = parse(argv)
    if arguments.source:
        with open(arguments.source, encoding="utf-8") as file:
            results = json.load(file)
        if results.get("format") != FORMAT:
            raise SystemExit(f"bench: {arguments.source}: not of format {FORMAT}")
    else:
        results = Bench(arguments).run()
    write(results, arguments)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
