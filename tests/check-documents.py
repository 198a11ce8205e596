#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""check-documents.py ROOT JEMALLOC-SOURCE

What the documents name is there: in all of them the files of this project, linked or in backquotes; in those for
maintainers every function, variable and constant as well.
"""

import pathlib
import re
import sys

# Each of their names has to stand in some source. The others name the kernel's functions, and
# programs' own.
FOR_MAINTAINERS = ("docs/design.md", "docs/jemalloc.md", "docs/failure-path.md")
SOURCES = ("src", "include", "tools", "modules", "subprojects/packagefiles", "meson.build", "tests/meson.build",
           "tests/preload/meson.build")
# Of libc and of jemalloc's build, and what stands for others.
ELSEWHERE = {"je_NAME", "je_malloc_raw", "getpwnam()", "syslog()", "sys/sdt.h", "tests/preload/programs/NAME.sh"}

CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
PATH = re.compile(r"(?:[\w.-]+/)+[\w.-]*\.(?:c|h|hpp|py|sh|md|map|build|pml|txt)$")
NAME = re.compile(r"[A-Za-z_]\w*")


def files_named(text):
    for match in CODE.finditer(text):
        for word in match[1].split():
            if PATH.fullmatch(word) and not word.startswith(("/", "~", "mm/")):
                yield word


def is_there(root, path):
    return any((root / place / path).exists() for place in ("", "src", "tests", "docs"))


def is_name(code):
    """A function, a variable or a constant, and no setting, command or file."""
    return bool(re.fullmatch(r"(?:struct |enum )?[A-Za-z]\w*(?:\.\w+)*(?:\(\))?", code)) and not code.endswith("_") and \
        ("_" in code or "." in code or "(" in code) and not PATH.fullmatch(code)


def main(root, jemalloc):
    failures, count = [], 0
    documents = sorted([*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("tests/*.md"),
                        *root.glob("examples/*.md")])
    words = set()
    for place in [*(root / source for source in SOURCES), jemalloc / "src", jemalloc / "include"]:
        for path in [place] if place.is_file() else place.rglob("*"):
            if path.is_file():
                words |= set(NAME.findall(path.read_text(errors="replace")))
    for document in documents:
        text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.M | re.S)
        name = str(document.relative_to(root))
        for target in LINK.findall(text):
            if "://" not in target and not (document.parent / target).exists():
                failures.append(f"{name}: a link to {target}, which is not there")
            count += 1
        for path in files_named(text):
            if path not in ELSEWHERE and not is_there(root, path):
                failures.append(f"{name}: names {path}, which is not there")
            count += 1
        if name not in FOR_MAINTAINERS:
            continue
        # In drawings as well, which have no backquotes.
        for code in CODE.findall(text) + re.findall(r"\b[a-z]+_\w+\(\)", text):
            if code in ELSEWHERE or not is_name(code):
                continue
            for part in NAME.findall(code):
                if part not in words:
                    failures.append(f"{name}: names {code}, but no source has {part}")
            count += 1
    for line in sorted(set(failures)):
        print("FAIL:", line)
    print(f"{count} names in {len(documents)} documents")
    return 1 if failures or count < 200 else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
