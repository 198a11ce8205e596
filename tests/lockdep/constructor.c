/* SPDX-License-Identifier: BSD-2-Clause */
/* Comes back into the program that loads it, with the loader's lock held. */
extern void in_constructor(void);

static __attribute__((constructor)) void begin(void)
{
	in_constructor();
}
