#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A cache of results that shrinks when memory is wanted.

    PYTHONPATH=bindings/python oomreclaim run --conf limit:96M,high:60% -- python3 thumbnails.py
"""

import collections
import threading

import oomreclaim

cache, lock = collections.OrderedDict(), threading.Lock()
dropped = 0


@oomreclaim.callback
def drop_oldest(bytes_wanted):
    global dropped
    freed = 0
    with lock:
        # More than is wanted: others allocate meanwhile.
        keep = len(cache) // 2
        while cache and (freed < bytes_wanted or len(cache) > keep):
            freed += len(cache.popitem(last=False)[1])
            dropped += 1
    return freed


def thumbnail(number):
    with lock:
        if number in cache:
            cache.move_to_end(number)
            return cache[number]
    image = bytes([number % 256]) * 100_000  # as if it took long
    with lock:
        cache[number] = image
    return image


for i in range(3000):
    assert thumbnail(i)[0] == i % 256
    threading.Event().wait(0.001)  # as a server waits for its next request
print(f"{len(cache)} in the cache, {dropped} dropped, library: {oomreclaim.available()}")
