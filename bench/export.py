# SPDX-License-Identifier: BSD-2-Clause
"""The figures as CSV: a line for each case and allocator."""

import csv

PARTS = ("workloads", "apart", "programs", "limits")
# Of the time, as hyperfine has them; then the medians of the rest.
TIMES = ("mean", "deviation", "median", "least", "most")
MEDIANS = ("user_seconds", "system_seconds", "cpu_seconds", "rss_peak_bytes", "address_peak_bytes",
           "data_peak_bytes", "faults", "major_faults", "failed", "reclaimed_bytes")
HEAD = ("part", "case", "threads", "limit", "percent", "limit_bytes", "allocator", "status", "detail",
        "runs", "disturbed_runs", *(f"seconds_{key}" for key in TIMES), *MEDIANS)


def line(part, row, name, cell):
    seconds = cell.get("seconds") or {}
    plain = [part, row["workload"], row.get("threads"), row.get("limit"), row.get("percent"),
             row.get("bytes"), name, cell["status"], cell["detail"], len(seconds.get("runs", [])),
             cell.get("disturbed")]
    return [*plain, *(seconds.get(key) for key in TIMES),
            *((cell.get(key) or {}).get("median") for key in MEDIANS)]


def write_csv(results, path):
    names = sorted({name for part in PARTS for row in results.get(part, [])
                    for name in row.get("parameters", {})})
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*HEAD, *(f"parameter_{name}" for name in names)])
        for part in PARTS:
            for row in results.get(part, []):
                own = [row.get("parameters", {}).get(name) for name in names]
                for name, cell in row["allocators"].items():
                    writer.writerow([*line(part, row, name, cell), *own])
