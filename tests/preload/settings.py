#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""settings.py LIBRARY PROGRAM JEMALLOC-SOURCE

Every setting that jemalloc's source knows is taken, but for those of other builds; what is set is what is in force. So
it is in the distribution's libjemalloc, where that is installed.
"""

import ctypes.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

# A value for each that is not its default.
VALUES = {
    "abort": "true", "abort_conf": "true", "background_thread": "true", "bin_shards": "1-160:2", "confirm_conf": "true", "dirty_decay_ms": "5000", "dss": "primary", "experimental_infallible_new": "true",
    "hpa": "true", "hpa_dirty_mult": "0.5", "hpa_hugification_threshold": "1048576",
    "hpa_hugification_threshold_ratio": "0.5", "hpa_hugify_delay_ms": "5000", "hpa_min_purge_interval_ms": "500",
    "hpa_sec_batch_fill_extra": "8", "hpa_sec_bytes_after_flush": "65536", "hpa_sec_max_alloc": "16384",
    "hpa_sec_max_bytes": "131072", "hpa_sec_nshards": "2", "hpa_slab_max_alloc": "32768", "junk": "true",
    "lg_extent_max_active_fit": "4", "lg_prof_interval": "40", "lg_prof_sample": "12", "lg_san_uaf_align": "12",
    "lg_tcache_flush_large_div": "2", "lg_tcache_flush_small_div": "2", "lg_tcache_max": "14",
    "lg_tcache_nslots_mul": "2", "log": "core", "max_background_threads": "2", "metadata_thp": "auto",
    "mutex_max_spin": "100", "muzzy_decay_ms": "1000", "narenas": "3", "narenas_ratio": "2", "oversize_threshold": "4194304",
    "percpu_arena": "percpu", "prof": "true", "prof_accum": "true", "prof_active": "false", "prof_final": "true",
    "prof_gdump": "true", "prof_leak": "true", "prof_leak_error": "true", "prof_log": "true", "prof_prefix": "heap",
    "prof_recent_alloc_max": "5", "prof_stats": "true", "prof_sys_thread_name": "true",
    "prof_thread_active_init": "false", "prof_time_resolution": "high", "prof_unbias": "false", "retain": "false",
    "san_guard_large": "8", "san_guard_small": "8", "slab_sizes": "1-4096:4", "stats_interval": "1073741824",
    "stats_interval_opts": "J", "stats_print": "true", "stats_print_opts": "J", "tcache": "false",
    "tcache_gc_delay_bytes": "1024", "tcache_gc_incr_bytes": "131072", "tcache_max": "65536",
    "tcache_nslots_large": "10", "tcache_nslots_small_max": "100", "tcache_nslots_small_min": "10", "thp": "always",
    "trust_madvise": "true", "utrace": "true", "xmalloc": "true", "zero": "true", "zero_realloc": "free",
}
# What only other builds know: debugging of jemalloc itself, and other systems.
OF_OTHER_BUILDS = {"lg_san_uaf_align", "log", "utrace", "xmalloc"}


def known(source):
    """The names in jemalloc's parser."""
    text = source.read_text()
    text = text[text.index("#define CONF_HANDLE_CHAR_P"):text.index('CONF_ERROR("Invalid conf pair"')]
    return set(re.findall(r'CONF_(?:HANDLE_\w+|MATCH)\([^;"]*?"(\w+)"', text)) | \
        set(re.findall(r'strncmp\("(\w+)", k, klen\)', text))


def run(library, program, name, value):
    """(is the pair taken, what is in force)"""
    with tempfile.TemporaryDirectory() as directory:
        environment = dict(os.environ, LD_PRELOAD=library, MALLOC_CONF=f"{name}:{value}")
        environment.pop("OOMRECLAIM_CONF", None)
        done = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=60, check=False,
                              cwd=directory)
    is_taken = done.returncode == 0 and "nvalid" not in done.stderr and "Out-of-range" not in done.stderr
    try:
        options = json.JSONDecoder().raw_decode(done.stdout)[0]["jemalloc"]["opt"]
    except (ValueError, KeyError):
        options = {}
    return is_taken, options.get(name), done.stderr if not is_taken else ""


def main(library, program, source):
    failures = []
    names = known(pathlib.Path(source))
    if names != set(VALUES):
        failures.append(f"not the names of the source: {sorted(names ^ set(VALUES))}")
    program = os.path.abspath(program)
    reference = ctypes.util.find_library("jemalloc")
    for name in sorted(names & set(VALUES)):
        value = VALUES[name]
        is_taken, in_force, said = run(library, program, name, value)
        if reference:
            wanted = run(reference, program, name, value)
            if (is_taken, in_force) != wanted[:2]:
                failures.append(f"{name}: {is_taken}, {in_force!r} {said}; {reference}: {wanted}")
        if is_taken == (name in OF_OTHER_BUILDS):
            failures.append(f"{name}:{value} is {'taken' if is_taken else 'refused'} {said}")
        # As far as it can be seen.
        if is_taken and in_force is not None and str(in_force).lower() != value.lower():
            failures.append(f"{name}: set to {value}, in force is {in_force!r}")
        print(f"{name}:{value} {'taken' if is_taken else 'refused'} {in_force!r}")
    for line in failures:
        print("FAIL:", line)
    return 1 if failures or len(names) < 60 else 0


sys.exit(main(*sys.argv[1:]))
