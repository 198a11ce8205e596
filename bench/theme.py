# SPDX-License-Identifier: BSD-2-Clause
"""Colours of charts and page, by day and by night, as the reader's system is set."""

import re

# By name: by day after Okabe and Ito, which can be told apart by everyone; by night the same, lighter.
# Pure black is never used: matplotlib leaves it out of its SVG, and there would be nothing to replace.
ALLOCATORS = {"oomreclaim": ("#d55e00", "#ff8a3c"), "oomreclaim-limit": ("#f0b27a", "#8f5a2b"),
              "jemalloc": ("#0072b2", "#4c9be8"), "jemalloc-noretain": ("#56b4e9", "#b5d9f7"),
              "glibc": ("#111111", "#e8e8e8"), "mimalloc": ("#009e73", "#2fd3a2"),
              "tcmalloc": ("#cc79a7", "#e9a6cb"), "tbbmalloc": ("#b8a800", "#f0e442"),
              "scudo": ("#7a5195", "#b48ad6")}
OTHERS = (("#8b4513", "#d2a679"), ("#708090", "#a9b8c6"), ("#2f6f4f", "#8fc9a9"))  # of --peer
INK, PAPER, GRID = ("#222222", "#d8dee6"), ("#ffffff", "#12161c"), ("#b0b0b0", "#4a525c")
NOTE, LINE = ("#fff6e0", "#33291a"), ("#dddddd", "#333b45")

NIGHT = dict([*ALLOCATORS.values(), *OTHERS, INK, PAPER, GRID])


def colour(name, names=()):
    """By day. Others than the known ones have theirs by their place among the unknown."""
    if name in ALLOCATORS:
        return ALLOCATORS[name][0]
    unknown = [one for one in names if one not in ALLOCATORS]
    return OTHERS[unknown.index(name) % len(OTHERS) if name in unknown else 0][0]


def move_colours(match):
    """From a style, which nothing overrides, to classes."""
    rest, classes = [], []
    for word in match.group(1).split(";"):
        found = re.fullmatch(r"\s*(fill|stroke): #([0-9a-f]{6})\s*", word)
        if found:
            classes.append(f"{found.group(1)[0]}-{found.group(2)}")
        elif word.strip():
            rest.append(word.strip())
    out = f' class="{" ".join(classes)}"' if classes else ""
    return out + (f' style="{"; ".join(rest)}"' if rest else "")


def rules(classes):
    """Of these classes, and again for the night."""
    def rule(name, value):
        return f".{name}{{{'fill' if name[0] == 'f' else 'stroke'}:{value}}}"

    day = "".join(rule(name, "#" + name[2:]) for name in classes)
    night = "".join(rule(name, NIGHT["#" + name[2:]]) for name in classes
                    if "#" + name[2:] in NIGHT)
    return f"{day}@media (prefers-color-scheme:dark){{{night}}}"


def both(svg):
    """An SVG of matplotlib's, for both. Its style sheet is its own: it needs no page around it."""
    svg = re.sub(r' style="([^"]*)"', move_colours, svg)
    classes = sorted(set(re.findall(r"[fs]-[0-9a-f]{6}", " ".join(
        re.findall(r' class="([^"]*)"', svg)))))
    return re.sub(r"(<svg[^>]*>)", lambda match: f"{match.group(1)}\n<style>{rules(classes)}</style>",
                  svg, count=1)
