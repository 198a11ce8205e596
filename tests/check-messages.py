#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""check-messages.py SOURCE-ROOT DOCUMENT...

Every line that the library, its modules and the command print is in one of the documents: of each, what stands
between its conversions.
"""

import pathlib
import re
import sys

LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
CALL = re.compile(r"\b(?:io_warn|tool_warn|tool_fail|tool_usage)\(|\b(?:problem|reason) = |\breturn (?=\")")
# What is put together elsewhere, or handed to such a call.
WHOLE = ("src/entry/modules.c", "src/config/options_parse.c", "src/report/report.c", "tools/program.c", "modules/lua.c")


def joined_literals(text):
    """The strings of C source, neighbours as one."""
    text = re.sub(r'"\s*\n?\s*"', "", text)
    return [match[1] for match in LITERAL.finditer(text)]


def spoken(path, name):
    text = re.sub(r"/\*.*?\*/", " ", path.read_text(), flags=re.S)
    text = re.sub(r"^#.*$", "", text, flags=re.M)
    if name in WHOLE:
        return joined_literals(text)
    return [literal for match in CALL.finditer(text)
            for literal in joined_literals(text[match.start():text.index(";\n", match.start())])]


def pieces(literal):
    literal = re.sub(r"\\[ntr]", "\n", literal).replace('\\"', '"')
    for piece in re.split(r"%[-.*0-9a-z]*?(?:ll|z)?[sdup]|%%|\n", literal):
        piece = " ".join(piece.split()).strip(" ,;:()[]")
        # Names and paths are no lines.
        if len(piece) >= 6 and " " in piece:
            yield piece


def main(root, *documents):
    known = " ".join(pathlib.Path(document).read_text() for document in documents)
    known = " ".join(known.replace("`", "").split())
    count = 0
    missing = set()
    for directory in ("src", "modules", "tools"):
        for path in sorted((root / directory).rglob("*.c")):
            name = str(path.relative_to(root))
            for literal in spoken(path, name):
                for piece in pieces(literal):
                    count += 1
                    if piece not in known:
                        missing.add(f"{name}: {piece}")
    for line in sorted(missing):
        print("FAIL: not in", *(pathlib.Path(document).name for document in documents), "-", line)
    if count < 100:
        print(f"FAIL: no more than {count} messages found")
    return 1 if missing or count < 100 else 0


sys.exit(main(pathlib.Path(sys.argv[1]), *sys.argv[2:]))
