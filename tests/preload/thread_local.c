/* SPDX-License-Identifier: BSD-2-Clause */
/* A library with much that is thread-local: where it is opened by dlopen(), the loader allocates
   that for each thread that comes there. */
extern char *local(void);

static __thread char bytes[100 << 10];

char *local(void)
{
	return bytes;
}
