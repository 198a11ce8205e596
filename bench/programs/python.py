#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""python.py NAME COUNT: one of a few things that Python programs spend their time with."""

import collections
import json
import re
import sys


def run_json(count):
    """Documents to text and back."""
    for turn in range(count):
        rows = [{"id": i, "name": f"user {i * 7919 % 10007}", "tags": ["a", "b", str(i % 13)],
                 "score": i / 7, "nested": {"x": i, "y": [i, i + 1, i + 2]}} for i in range(2000)]
        back = json.loads(json.dumps(rows, indent=turn % 2 or None))
        if back[-1]["id"] != 1999:
            raise SystemExit("json: what came back differs")


class Node:
    """Of a tree whose nodes have a dictionary each, as objects mostly do."""

    def __init__(self, depth):
        self.left = Node(depth - 1) if depth else None
        self.right = Node(depth - 1) if depth else None
        self.label = f"node {depth}"

    def count(self):
        return 1 + (self.left.count() + self.right.count() if self.left else 0)


def run_objects(count):
    """Trees of objects, of which one lives long."""
    kept = Node(14)
    for _ in range(count):
        if Node(12).count() != (1 << 13) - 1:
            raise SystemExit("objects: nodes are missing")
    return kept


def run_text(count):
    """Lines to words, words to counts, and templates filled in."""
    line = re.compile(r"(\w+)=(\d+);")
    for turn in range(count):
        text = "".join(f"key{i * 31 % 997}={i * turn};" for i in range(20000))
        counts = collections.Counter(match.group(1) for match in line.finditer(text))
        page = "\n".join(f"<li class='{key}'>{value:>8}</li>" for key, value in sorted(counts.items()))
        if page.count("\n") != 996:
            raise SystemExit("text: lines are missing")


def run_dicts(count):
    """Tables that grow, are joined, grouped and sorted."""
    for _ in range(count):
        left = {i: (i * 48271 % 65537, str(i)) for i in range(60000)}
        groups = collections.defaultdict(list)
        for key, (value, name) in left.items():
            groups[value % 501].append((name, key))
        merged = {**left, **{-key: value for key, value in left.items()}}
        if len(sorted(merged, key=merged.get)) != 119999 or len(groups) != 501:
            raise SystemExit("dicts: keys are missing")


RUNS = {name[4:]: function for name, function in list(globals().items()) if name.startswith("run_")}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in RUNS:
        raise SystemExit(f"usage: python.py {'|'.join(RUNS)} COUNT")
    RUNS[sys.argv[1]](int(sys.argv[2]))
