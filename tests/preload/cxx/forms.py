#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""forms.py LIBRARY PROGRAM FORM...

Every operator new and delete that a program may replace, each alone, each pair of them, and sets of more: each call
of each form comes to what C++ says it is made of, as it does without the library. FORM...: what replaces one of
them, by its number.
"""

import itertools
import os
import random
import subprocess
import sys

# What C++ makes each form of, where the program does not replace it ([new.delete] in the standard).
MADE_OF = {1: 0, 2: 0, 3: 1, 5: 4, 6: 4, 7: 5,
           9: 8, 10: 8, 11: 9, 12: 8, 13: 9, 15: 14, 16: 14, 17: 15, 18: 14, 19: 15}
COUNT = 20
RANDOM_SETS = 60


def expected(replaced):
    """What the program prints."""
    lines = []
    for form in range(COUNT):
        at = form
        while at not in replaced and at in MADE_OF:
            at = MADE_OF[at]
        lines.append(f"{form}:" + (f" {at}" if at in replaced else ""))
    return "\n".join(lines) + "\n"


def run(program, preload):
    environment = dict(os.environ, LD_PRELOAD=":".join(preload))
    done = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout if done.returncode == 0 and not done.stderr else f"{done.returncode} {done.stderr}"


def all_sets():
    yield ()
    for count in (1, 2):
        yield from itertools.combinations(range(COUNT), count)
    generator = random.Random(1)
    for _ in range(RANDOM_SETS):
        yield tuple(sorted(generator.sample(range(COUNT), generator.randint(3, COUNT))))


def main(library, program, *forms):
    assert len(forms) == COUNT
    failures = 0
    for replaced in all_sets():
        files = [forms[form] for form in replaced]
        # The runtime's own forms agree with the table, or the table is wrong.
        for preload in (files, files + [library]):
            is_with = preload is not files
            output = run(program, preload)
            if output != expected(replaced):
                failures += 1
                print(f"replaced {replaced}, {'with' if is_with else 'without'} the library:")
                for line, right in zip(output.splitlines(), expected(replaced).splitlines()):
                    if line != right:
                        print(f"  {line!r}, expected {right!r}")
    return 1 if failures else 0


sys.exit(main(*sys.argv[1:]))
