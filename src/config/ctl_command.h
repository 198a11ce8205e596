/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `oomreclaim ctl` may ask of a process: words, each with a NUL behind it, as in
 * /proc/PID/cmdline. The command and the library read them by the same function.
 */
#ifndef OOM_CTL_COMMAND_H
#define OOM_CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "config/ctl_wire.h"
#include "config/options.h"

enum ctl_verb {
	CTL_RECLAIM,
	CTL_LIMIT,
	CTL_HIGH,
	CTL_POLICY,
	CTL_REPORT,
	CTL_DUMP,
	CTL_CALLBACK,
	CTL_VERBOSE,
	CTL_VERBS
};

struct ctl_command {
	enum ctl_verb verb;
	size_t bytes;                       /* of reclaim, limit and callback */
	struct watermark watermark;         /* of high */
	enum oomreclaim_policy policy;      /* of policy */
	bool is_on;                         /* of verbose */
	char name[OOMRECLAIM_NAME_MAX + 1]; /* of callback */
};

/* NULL, or what is wrong with the request. */
const char *ctl_parse(const char *request, size_t bytes, struct ctl_command *command);

#endif
