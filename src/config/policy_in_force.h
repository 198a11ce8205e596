/* SPDX-License-Identifier: BSD-2-Clause */
/* The policy in force: oomreclaim_set_policy()'s word if it was ever called, else the setting
   `policy`. */
#ifndef OOM_POLICY_IN_FORCE_H
#define OOM_POLICY_IN_FORCE_H

#include "oomreclaim.h"

/* "return" and so on. */
const char *policy_name(enum oomreclaim_policy policy);

#endif
