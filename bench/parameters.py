# SPDX-License-Identifier: BSD-2-Clause
"""Lists of values for a command: {NAME} in its words is each of them in turn."""

import decimal
import itertools
import re

MOST = 1000  # combinations: more are a mistake


def scan(first, last, step):
    """Numbers from first to last, the last included where a step meets it: decimal, as they are written."""
    try:
        first, last, step = (decimal.Decimal(text) for text in (first, last, step))
    except decimal.InvalidOperation:
        raise ValueError("a parameter's range takes numbers") from None
    if not all(number.is_finite() for number in (first, last, step)) or step <= 0 or last < first:
        raise ValueError("a parameter's range goes upwards, by a step above 0")
    if (last - first) / step >= MOST:
        raise ValueError(f"over {MOST} values of a parameter")
    return [str(first + i * step) for i in range(int((last - first) / step) + 1)]


def combinations(lists, scans, step, words):
    """Every combination, as a dictionary by name; one empty one where there are no parameters.
    ValueError where names are wrong, or not in any of the words."""
    values = [(name, text.split(",")) for name, text in lists]
    values += [(name, scan(first, last, step)) for name, first, last in scans]
    names, count = [name for name, _ in values], 1
    for name, of_name in values:
        if not re.fullmatch(r"\w+", name):
            raise ValueError(f"no name of a parameter: {name}")
        if names.count(name) > 1:
            raise ValueError(f"twice the same parameter: {name}")
        if not any("{" + name + "}" in word for word in words):
            raise ValueError(f"{{{name}}} is nowhere in the command")
        count *= len(of_name)
    if count > MOST:
        raise ValueError(f"{count} combinations of parameters, over {MOST}")
    return [dict(zip(names, one)) for one in itertools.product(*(of_name for _, of_name in values))]


def fill(words, values):
    """Other braces stay as they are, and so do those in values."""
    if not values:
        return list(words)
    pattern = re.compile("{(" + "|".join(map(re.escape, values)) + ")}")
    return [pattern.sub(lambda found: values[found.group(1)], word) for word in words]
