#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""check-mutations.py SRC MUTATIONS BUILD: every bug that script/mutate plants can be planted: its text stands in
the file, at or behind the first line that names the function, and differs from what takes its place; every
test that it names is one of the build's."""
import fnmatch
import json
import pathlib
import re
import sys


def mutations(text):
    """Tuples (FILE FUNCTION: WHAT, old, new, tests), in the form that tests/mutations describes."""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line[0] == "-":
            old = line[2:]
        elif line[0] == "+":
            new = line[2:]
        elif line[0] == "=":
            yield head, old, new, line[2:].split()
            old = new = None
        else:
            head = line
            old = new = None


def problem(src, head, old, new, tests, known):
    match = re.match(r"(\S+) (.+?): ", head)
    # script/mutate takes blanks alone for a line that was not finished.
    if not match or not (old or "").strip() or not (new or "").strip() or not tests:
        return "not of the form FILE FUNCTION: WHAT, and a line each of - + ="
    # The command's own sources are beside src.
    path = (src.parent if match[1].startswith("tools/") else src) / match[1]
    if not path.is_file():
        return f"no file {path}"
    inside = False
    for line in path.read_text().splitlines():
        inside = inside or match[2] in line
        if inside and old in line:
            break
    else:
        return f"not in {match[2]}: {old}" if inside else f"no {match[2]} there"
    if old == new:
        return "what is planted is what is there"
    for name in tests:
        if not name.startswith("--") and not fnmatch.filter(known, name.split(":")[-1]):
            return f"no test {name}"
    return None


def main():
    src, listed, build = (pathlib.Path(argument) for argument in sys.argv[1:4])
    tests = json.loads((build / "meson-info/intro-tests.json").read_text())
    known = [test["name"] for test in tests]
    count = bad = 0
    for head, old, new, named in mutations(listed.read_text()):
        count += 1
        wrong = problem(src, head, old, new, named, known)
        if wrong:
            print(f"{head}\n  {wrong}")
            bad += 1
    print(f"{count} planted bugs, {bad} of them can't be planted")
    return 1 if bad or not count else 0


if __name__ == "__main__":
    sys.exit(main())
