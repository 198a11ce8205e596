/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each rung of the ladder does: next_rung() says which one comes, ladder_run() asks for memory
 * behind it.
 */
#ifndef OOM_RUNGS_H
#define OOM_RUNGS_H

#include "ladder/next_rung.h"
#include "reclaim/control.h"
#include "reclaim/descent.h"

/* Does one step. Returns memory if that found some by itself. is_attempt_due: false where another
   attempt would be in vain. */
void *rung_take(struct oom_control *control, enum rung rung, struct descent *descent,
                bool *is_attempt_due);

#endif
