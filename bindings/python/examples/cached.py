#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A server that remembers what it has rendered, as much as there is room for.

    PYTHONPATH=bindings/python oomreclaim run --conf limit:96M,high:60% -- python3 cached.py
"""

import random
import time

import oomreclaim


@oomreclaim.cache
def rendered(page: int) -> bytes:
    return b"%9d" % page * 10_000  # as if it took long


pages = random.Random(1)
for _ in range(3000):
    # Low numbers more often.
    page = min(pages.randrange(2000), pages.randrange(2000))
    assert int(rendered(page)[:9]) == page
    time.sleep(0.001)  # as a server waits for its next request
info = rendered.cache_info()
print(f"{info.hits} hits, {info.misses} misses, {info.currsize} kept, {info.dropped} dropped, "
      f"library: {oomreclaim.available()}")
