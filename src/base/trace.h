/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Static trace points (USDT), provider "oomreclaim", for bpftrace, perf and SystemTap:
 * docs/tracing.md has the list with their arguments. Each is one nop while no tracer is attached,
 * and nothing at all where the header was missing at build time. None is on the path of an
 * allocation that succeeds.
 *
 * The thread is no argument: tracers have it in a variable of their own (tid).
 */
#ifndef OOM_TRACE_H
#define OOM_TRACE_H

#if defined(OOM_HAVE_SDT)
/* Arguments in registers and as numbers: a tracer would have to find out where a variable in memory
   is. */
#define STAP_SDT_ARG_CONSTRAINT nr
#include <sys/sdt.h>
#define TRACE1(name, a) STAP_PROBE1(oomreclaim, name, a)
#define TRACE2(name, a, b) STAP_PROBE2(oomreclaim, name, a, b)
#define TRACE3(name, a, b, c) STAP_PROBE3(oomreclaim, name, a, b, c)
#define TRACE4(name, a, b, c, d) STAP_PROBE4(oomreclaim, name, a, b, c, d)
#else
#define TRACE1(name, a) ((void)(a))
#define TRACE2(name, a, b) ((void)(a), (void)(b))
#define TRACE3(name, a, b, c) ((void)(a), (void)(b), (void)(c))
#define TRACE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

#endif
