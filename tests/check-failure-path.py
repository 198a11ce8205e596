#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""check-failure-path.py BUILD-DIRECTORY ALLOWED COMPILER...

What the failure path can reach, in the library as it is linked: which functions of libc, and how much stack.
docs/failure-path.md has the rules. The link is repeated with -fcallgraph-info=su, by which the compiler says of
each function what it calls and how large its frame is, after all inlining. A build without LTO, or one that is not
optimised, gets another one inside of it for this: what is looked at is what would be installed.

ALLOWED has a line for each function of libc that is allowed, with the bytes of stack that it may take and the
reason; and one for each function of ours that calls by pointer, with what stands behind the pointer.
"""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

# What may be used over what the heap itself takes.
BOUND_BYTES = 4096

# Where the stack is counted from: what the heap calls in the middle of a mapping, and what comes
# behind it.
FAILING = "budget_charge budget_commit_charge fault_should_fail_slow ladder_descend ladder_run oomreclaim_reclaim oomreclaim_kill".split()
# The same, what has a stack of its own, and what ends in a throw, whose stack is the runtime's
# affair.
ROOTS = FAILING + ["dump_on_own_stack", "cxx_failed", "cxx_failed_nothrow"]
# Where malloc leaves its fast path. Before anything has failed, and only there, oomreclaimd may be started.
SLOW = ["malloc_slow_path", "calloc_slow_path", "memalign_slow_path"]
STARTS = {"pthread_create"}
# Once, before the first allocation of the process.
AT_START = {"malloc_init_hard", "malloc_init_hard_a0", "malloc_init_hard_a0_locked"}
# The stack protector's end of the process.
STACK_SMASHED = "__stack_chk_fail"
# Not to be put on the list, whatever the reason: the loader's lock, libc's locks, libc's heap.
DENIED = set("""dlopen dlmopen dlclose dlerror dl_iterate_phdr dladdr fopen fdopen fclose fflush printf fprintf vprintf
vfprintf dprintf snprintf vsnprintf puts fputs perror syslog openlog opendir readdir getpwnam getpwuid getaddrinfo
strerror strsignal gettext setlocale localtime malloc calloc realloc free posix_memalign atexit pthread_atfork
pthread_getattr_np pthread_key_create system popen fork qsort backtrace exit setenv getenv""".split())

NODE = re.compile(r'^node: \{ title: "([^"]*)" label: "([^"]*)"')
EDGE = re.compile(r'^edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"(?: label: "([^"]*)")?')
SUFFIX = re.compile(r"\.(isra|constprop|part|cold|lto_priv|llvm)\b.*")
ROOMS = "base|config|lockdep|system|limits|heap|reclaim|report|kill|ladder|background|entry"
OURS = re.compile(rf"/src/({ROOMS})/[a-z_]+\.[ch]:")
HEAP = re.compile(r"jemalloc[^/]*/(src|include)/|/jemalloc/internal/|^(src|include)/")


def plain(title):
    """The name in the source: without the object file in front and what the optimiser puts behind."""
    return SUFFIX.sub("", title.rsplit(":", 1)[-1].lstrip("*"))


def libc_name(title):
    """The function that stands in the source: _FORTIFY_SOURCE has a checking one for some, and the compiler takes
    strncpy() for a stpncpy() whose result nobody wants."""
    name = re.sub(r"^__(\w+)_chk$", r"\1", plain(title))
    return "stpncpy" if name == "strncpy" else name


def is_heap(place):
    """jemalloc's own source."""
    return bool(HEAP.search(place)) and not OURS.search(place)


class Graph:
    def __init__(self):
        self.frame = {}  # bytes, of what is defined here
        self.where = {}
        self.calls = collections.defaultdict(set)
        self.named = collections.defaultdict(list)

    def read(self, path):
        for line in path.read_text().splitlines():
            node, edge = NODE.match(line), EDGE.match(line)
            if edge:
                self.calls[edge[1]].add((edge[2], edge[3]))
            elif node:
                parts = node[2].split("\\n")
                size = next((part for part in parts if re.match(r"\d+ bytes", part)), None)
                if size:
                    self.frame[node[1]] = int(size.split()[0])
                    self.where[node[1]] = parts[1]
                    self.named[plain(node[1])].append(node[1])
                    if "dynamic)" in size and not self.is_heap(node[1]):
                        raise SystemExit(f"FAIL: the frame of {plain(node[1])} has no bound: {size}")

    def is_heap(self, title):
        """jemalloc's own: what it takes is counted as its own need."""
        return title in self.frame and is_heap(self.where[title])

    def titles(self, name):
        return self.named[name]

    def resolve(self, title):
        """What is meant: a name that another part of the program has under an alias, or libc's."""
        return [title] if title in self.frame else self.named.get(plain(title)) or [title]


def link_again(build, target, compiler, into):
    """The command that links `target`, as ninja has it, with two options more."""
    commands = subprocess.run(["ninja", "-C", build, "-t", "commands", "-s", target],
                              capture_output=True, text=True, check=True).stdout
    line = [line for line in commands.splitlines() if f" -o {target}" in line][-1]
    line = line.replace(f" -o {target}", f" -o {into}/library.so -fcallgraph-info=su -dumpdir {into}/")
    done = subprocess.run(line, shell=True, cwd=build, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"FAIL: {compiler}: {done.stderr}")


def setting_of(build):
    """The options of a build, by name."""
    found = subprocess.run(["meson", "introspect", "--buildoptions", build], capture_output=True, text=True, check=True)
    return {option["name"]: option["value"] for option in json.loads(found.stdout)}


def is_as_installed(build):
    """Inlining decides how large frames are, and which function has a call by pointer in it."""
    options = setting_of(build)
    return options["b_lto"] and options["optimization"] in ("2", "3") and not options["b_coverage"]


def build_as_installed(build, compiler):
    """Another build, inside of this one, where this one is none of what is installed. It is kept, so that only the
    first time takes minutes."""
    other = pathlib.Path(build) / "as-installed"
    source = json.loads((pathlib.Path(build) / "meson-info" / "meson-info.json").read_text())["directories"]["source"]
    # A linker that was chosen for a build without LTO may know nothing of it.
    environment = {name: value for name, value in os.environ.items() if name not in ("CC_LD", "CXX_LD", "LDFLAGS")}
    environment["CC"] = " ".join(compiler)
    if not (other / "build.ninja").exists():
        subprocess.run(["meson", "setup", other, source, "-Dbuildtype=release", "-Db_lto=true", "-Dtests=disabled"],
                       env=environment, stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["ninja", "-C", other, library_of(other)], env=environment, stdout=subprocess.DEVNULL, check=True)
    return str(other)


def library_of(build):
    """The target of ninja's."""
    targets = subprocess.run(["ninja", "-C", build, "-t", "targets", "all"], capture_output=True, text=True, check=True)
    return re.search(r"^(src/liboomreclaim\.so\.[0-9.]+):", targets.stdout, re.M)[1]


def read_allowed(path):
    """({function: (bytes, reason)}, {caller: [callee]})"""
    functions, pointers = {}, {}
    for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
        words = line.split(None, 2)
        if not words or words[0].startswith("#"):
            continue
        if words[1] == "->":
            pointers[words[0]] = words[2].split() if len(words) > 2 else []
        elif len(words) == 3 and words[1].isdigit():
            functions[words[0]] = (int(words[1]), words[2])
        else:
            raise SystemExit(f"FAIL: {path}:{number}: neither NAME BYTES REASON nor NAME -> NAMES")
    return functions, pointers


class Check:
    def __init__(self, graph, functions, pointers):
        self.graph, self.functions, self.pointers = graph, functions, pointers
        self.failures = set()
        self.used = set()
        self.depth = {}
        self.next = {}

    def callees(self, title):
        """What a function calls, those behind pointers as the list has them."""
        found = set()
        for callee, place in self.graph.calls[title]:
            # What jemalloc calls of libc or by pointer is its own, wherever it was inlined.
            is_from_heap = is_heap(place) if place else self.graph.is_heap(title)
            if is_from_heap and self.graph.resolve(callee)[0] not in self.graph.frame:
                continue
            if callee != "__indirect_call":
                found.update(self.graph.resolve(callee))
            else:
                name = plain(title)
                if name not in self.pointers:
                    self.failures.add(f"{name} calls by pointer, and the list does not say what")
                self.used.add(name)
                for behind in self.pointers.get(name, []):
                    titles = self.graph.titles(behind)
                    if not titles:
                        self.failures.add(f"{name} -> {behind}: there is no such function")
                    found.update(titles)
        return found

    def stack_of(self, title):
        if title in self.graph.frame:
            return 0 if self.graph.is_heap(title) else self.graph.frame[title] + 8
        name = libc_name(title)
        if name not in self.functions:
            return 0
        self.used.add(name)
        return self.functions[name][0]

    def walk(self, title, way):
        """The most stack from here on, all calls included; 0 where it comes round to where it was."""
        if title in self.depth:
            return self.depth[title]
        if title in way or plain(title) in AT_START | {STACK_SMASHED}:
            return 0
        if title not in self.graph.frame and libc_name(title) not in self.functions:
            chain = " > ".join(plain(step) for step in way[-6:])
            self.failures.add(f"{plain(title)} is not on the list: {chain}")
        deepest, through = 0, None
        way.append(title)
        for callee in sorted(self.callees(title)):
            below = self.walk(callee, way)
            if below > deepest:
                deepest, through = below, callee
        way.pop()
        self.depth[title] = self.stack_of(title) + deepest
        self.next[title] = through
        return self.depth[title]

    def way_down(self, title):
        lines = []
        while title is not None:
            if self.stack_of(title):
                lines.append(f"    {self.stack_of(title):6} {plain(title)}")
            title = self.next.get(title)
        return "\n".join(lines)


def main(build, allowed, *compiler):
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=True).stdout
    if "Free Software Foundation" not in version:
        print("skipped: only GCC writes the graph of calls")
        return 77
    if not is_as_installed(build):
        build = build_as_installed(build, compiler)
    graph = Graph()
    with tempfile.TemporaryDirectory() as into:
        link_again(build, library_of(build), compiler[0], into)
        for path in pathlib.Path(into).glob("*.ci"):
            graph.read(path)
    functions, pointers = read_allowed(allowed)
    check = Check(graph, functions, pointers)
    if len(graph.frame) < 500 or not graph.titles("je_arena_purge") + graph.titles("arena_decay_impl"):
        check.failures.add(f"no graph: {len(graph.frame)} functions")
    for name in sorted(set(functions) & DENIED):
        check.failures.add(f"{name} is not for any reason to be on the list")
    deepest, longest = 0, None
    for root in ROOTS + SLOW:
        if root == SLOW[0]:
            check.failures.update(f"{name} is reached by what has failed" for name in check.used & STARTS)
        titles = graph.titles(root)
        if not titles:
            check.failures.add(f"no function {root}")
        for title in titles:
            bytes_needed = check.walk(title, [])
            if root not in FAILING:
                continue
            if bytes_needed > BOUND_BYTES:
                check.failures.add(f"{root}: {bytes_needed} bytes of stack, more than {BOUND_BYTES}:\n"
                                   + check.way_down(title))
            if bytes_needed > deepest:
                deepest, longest = bytes_needed, title
    for name in sorted((set(functions) | set(pointers)) - check.used):
        check.failures.add(f"{name} is on the list, and never reached")
    for failure in sorted(check.failures):
        print("FAIL:", failure)
    print(f"{len(graph.frame)} functions; at most {deepest} bytes of stack:\n{check.way_down(longest)}")
    return 1 if check.failures else 0


sys.setrecursionlimit(10000)
sys.exit(main(*sys.argv[1:]))
