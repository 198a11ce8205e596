/* SPDX-License-Identifier: BSD-2-Clause */
/* One step of the ladder where groups can be cancelled, for tests of the core. */
#ifndef CANCEL_STEP_H
#define CANCEL_STEP_H

#include "kill/cancel.h"
#include "reclaim/descent.h"

static inline enum cancel_result cancel_step_once(struct oom_control *control)
{
	struct descent descent;
	enum cancel_result result;

	descent_begin(&descent);
	result = cancel_step(control);
	descent_end(&descent);
	return result;
}

#endif
