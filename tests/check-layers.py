#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""check-layers.py SRC OBJECTS NM: each file of SRC is in a room, and a room knows itself and the rooms before it in ROOMS
alone: by what it includes, and by what it calls or reads, as NM finds it in the objects of the debug library in
the directory OBJECTS. An include names the room ("heap/heap_ops.h"). No two headers have the same include guard."""
import pathlib
import re
import subprocess
import sys

ROOMS = "base config lockdep system limits heap reclaim report kill ladder background entry".split()

# Defined by a later room on purpose: the moments at which the heap calls out.
HOOKS = {"heap_conf_getenv", "heap_wants_fork"}

# What the library puts in libc's place is libc's to the rooms below, but for the heap.
ALLOCATES = {"malloc", "calloc", "realloc", "free", "posix_memalign", "aligned_alloc"}


def room_of(name):
    return ROOMS.index(name) if name in ROOMS else None


def check_includes(src):
    for path in sorted(src.rglob("*.[ch]")):
        parts = path.relative_to(src).parts
        room = room_of(parts[0])
        if len(parts) != 2 or room is None:
            yield f"{path}: in no room"
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include "([^"/]+)(/[^"]+)?"', line)
            if not match or match[1] == "jemalloc" or match[1].startswith("oomreclaim"):
                continue
            to = room_of(match[1]) if match[2] else None
            if to is None:
                yield f"{path}:{number}: includes {match[1]} without a room"
            elif to > room:
                yield f"{path}:{number}: {parts[0]} includes {match[1]}{match[2]}"


def check_guards(src):
    """The second of two headers with one guard is empty to a file that includes both."""
    seen = {}
    for path in sorted(src.rglob("*.h")):
        guard = re.search(r"^#ifndef (\w+)\n#define \1$", path.read_text(), re.MULTILINE)
        if not guard:
            yield f"{path}: no include guard"
        elif guard[1] in seen:
            yield f"{path}: has the include guard of {seen[guard[1]]}"
        else:
            seen[guard[1]] = path


def symbols(objects, nm):
    """{object: (its room, what it defines, what it needs)}."""
    found = {}
    paths = [path for path in sorted(objects.glob("*.o")) if room_of(path.name.split("_", 1)[0]) is not None]
    if not paths:
        return found
    text = subprocess.run([nm, "-A", "--format=posix", *paths], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        path, symbol = line.split(": ", 1)
        name, kind = symbol.split()[:2]
        path = pathlib.Path(path).name
        room, defined, needed = found.setdefault(path, (room_of(path.split("_", 1)[0]), set(), set()))
        if kind == "U":
            needed.add(name)
        elif kind.isupper() or kind in "uvw":
            defined.add(name)
    return found


def check_symbols(objects, nm, interposed):
    found = symbols(objects, nm)
    if not found:
        yield f"{objects}: no objects"
    where = {}
    for room, defined, _ in found.values():
        for name in defined:
            where[name] = min(room, where.get(name, room))
    for name, (room, _, needed) in found.items():
        for symbol in sorted(needed - HOOKS):
            if symbol in interposed and symbol not in ALLOCATES:
                continue
            if where.get(symbol, 0) > room:
                yield f"{name}: {ROOMS[room]} uses {symbol} of {ROOMS[where[symbol]]}"


def main():
    src, objects, nm = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    exports = (src / "oomreclaim.map").read_text() + (src / "lockdep/exports.txt").read_text()
    libc = {name for name in re.findall(r"\b(\w+);", exports) if not name.startswith("oomreclaim_")}
    wrong = [*check_includes(src), *check_guards(src), *check_symbols(objects, nm, libc)]
    for line in wrong:
        print(line)
    print(f"{len(wrong)} against the rules of the rooms")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
