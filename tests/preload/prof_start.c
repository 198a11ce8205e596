/* SPDX-License-Identifier: BSD-2-Clause */
/* Run with heap profiles, and with no memory for these when the heap starts. */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "je.h"

static void *use_heap(void *arg)
{
	for (size_t i = 1; i < 1000; i++) {
		char *block = malloc(i * 100);

		CHECK(block != NULL);
		memset(block, 1, i * 100);
		free(block);
	}
	return arg;
}

/* Another thread would wait for an initialisation that has not been finished. */
int main(void)
{
	bool has_profiles = true;
	pthread_t thread;

	use_heap(NULL);
	CHECK_EQ(pthread_create(&thread, NULL, use_heap, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	JE_READ("opt.prof", &has_profiles);
	CHECK_EQ(has_profiles, false);
	CHECK(mallctl("prof.dump", NULL, NULL, NULL, 0) != 0);
	return 0;
}
