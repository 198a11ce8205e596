/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether this process shares the total that it was started in. */
#ifndef OOM_TOTAL_SAY_H
#define OOM_TOTAL_SAY_H

/* One line where it has to go on without, and nothing where that has been said already. */
void total_say(void);

#endif
