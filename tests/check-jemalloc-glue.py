#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""check-jemalloc-glue.py LIST GLUE DOCUMENT CPU SOURCE BUILD-DIRECTORY

What the library takes for granted in jemalloc is so: LIST says what, and in which form. Held against it are jemalloc's
source, the objects that were built of it with the header GLUE, GLUE itself (all that it redirects is in LIST), and
DOCUMENT (which tells of all that is in LIST).
"""

import collections
import pathlib
import re
import shutil
import subprocess
import sys

# The compiler calls these by itself, or in place of what stands in the source; or it knows them,
# and then objects for link-time optimisation don't name them while others do.
BY_COMPILER = re.compile(r"__|mem|str|abort$|_exit$|_GLOBAL_OFFSET_TABLE_")
# jemalloc's own names: the private ones, and the public ones, which the library exports.
OWN = re.compile(r"je_|mallctl|malloc_message$")
# The library's, by which its calls are redirected.
GLUE_NAME = re.compile(r"heap_|pages_(sbrk|madvise)$")

failures = []


def fail(text):
    failures.append(text)


def squeeze(text):
    return re.sub(r"\s+", " ", text)


def undefined(objects):
    """For each name that is not defined in some object: the objects."""
    found = collections.defaultdict(set)
    for path in objects:
        # What is compiled for link-time optimisation is read by the compiler's own nm.
        names = ("llvm-nm",) if path.read_bytes()[:4] == b"BC\xc0\xde" else ("gcc-nm", "nm")
        nm = next(filter(None, map(shutil.which, names)), None)
        if nm is None:
            raise SystemExit(f"FAIL: no {' or '.join(names)}")
        for line in subprocess.run([nm, path], capture_output=True, text=True, check=True).stdout.splitlines():
            kind, name = line.split()[-2:]
            if kind in "Uw":
                found[name].add(path.name.split(".")[0])
    return found


class Check:
    def __init__(self, source, objects):
        self.source = source
        self.calls = undefined(objects)
        self.built = {path.name.split(".")[0] for path in objects}
        self.known = set()  # what may be called outside
        self.old, self.new = set(), set()
        self.count = collections.Counter()

    def objects_of(self, name):
        return self.calls.get(name, set())

    def redirect(self, old, new, *rest):
        slash = rest.index("/")
        redirected = set(rest[:slash])
        may = {name.rstrip("?") for name in rest[slash + 1:]}
        must = {name for name in rest[slash + 1:] if not name.endswith("?")}
        if self.objects_of(new) != redirected:
            fail(f"{new} is called by {sorted(self.objects_of(new))}, not by {sorted(redirected)}")
        direct = self.objects_of("je_" + old)
        if not must <= direct <= may:
            fail(f"{old} is called as it is by {sorted(direct)}, not by {rest[slash + 1:]}")
        self.old.add(old)
        self.new.add(new)

    def replace(self, old, new, *objects):
        if self.objects_of(new) != set(objects):
            fail(f"{new} is called by {sorted(self.objects_of(new))}, not by {sorted(objects)}")
        if self.objects_of(old):
            fail(f"{old} is called as it is by {sorted(self.objects_of(old))}")
        self.old.add(old)
        self.new.add(new)

    def libc(self, *names):
        self.known |= set(names)
        for name in names:
            if not self.objects_of(name):
                fail(f"{name} is not called any more")

    def text(self, path, *words):
        if " ".join(words) not in squeeze((self.source / path).read_text()):
            fail(f"{path} does not have: {' '.join(words)}")

    def order(self, path, *words):
        text, at = squeeze((self.source / path).read_text()), 0
        for part in " ".join(words).split(" ... "):
            at = text.find(part, at)
            if at < 0:
                fail(f"{path} does not have, or not in this order: {part}")
                return
            at += len(part)

    def calls_outside(self):
        for name, objects in sorted(self.calls.items()):
            if not (BY_COMPILER.match(name) or OWN.match(name) or GLUE_NAME.match(name) or name in self.known):
                fail(f"{name} is called outside of jemalloc by {sorted(objects)}, and not in the list")

    def glue_calls(self):
        for name in sorted(name for name in self.calls if GLUE_NAME.match(name) and name not in self.new):
            fail(f"{name} is called by {sorted(self.calls[name])}, and not in the list")


def check_glue(text, listed):
    """What the header redirects, replaces and skips is in the list."""
    defines = re.findall(r"^#define (?:je_)?(\w+?)(?:\(.*?\))? (?:heap|pages)_", text, re.M)
    for name in defines:
        # By system call: what becomes of each number.
        if name not in listed and not name.startswith("heap_call") and name != "syscall":
            fail(f"the glue redirects {name}, which is not in the list")
    skipped = re.findall(r'strcmp\(#condition, "(.*?)"\)', text)
    for condition in skipped:
        if f"assert({condition});" not in listed:
            fail(f"the glue skips the assertion of {condition}, which is not in the list")
    if len(defines) < 25 or len(skipped) < 2:
        fail(f"no more than {len(defines)} redirections and {len(skipped)} assertions found in the glue")


def main(listed, glue, document, cpu, source, build):
    objects = sorted((pathlib.Path(build) / "src").glob("*.pic.o"))
    check = Check(pathlib.Path(source), objects)
    has_prof = cpu == "x86_64"
    text = pathlib.Path(listed).read_text()
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        kind, *words = line.split()
        check.count[kind] += 1
        if kind == "prof":
            kind = "libc"
            if not has_prof:
                continue
        elif not has_prof and kind in ("redirect", "replace"):
            # Their objects are empty.
            words = [word for word in words if not word.startswith("prof_")]
        getattr(check, kind)(*words)
    check.calls_outside()
    check.glue_calls()
    check_glue(pathlib.Path(glue).read_text(), text)
    told = pathlib.Path(document).read_text()
    for name in sorted(check.old | check.new):
        if not re.search(rf"\b{name}\b", told):
            fail(f"{document} does not tell of {name}")
    for line in failures:
        print("FAIL:", line)
    print(f"{len(objects)} objects, {dict(check.count)}")
    return 1 if failures or len(objects) < 50 or check.count["redirect"] < 15 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
