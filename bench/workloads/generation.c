/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads that end and are followed by others, as a server's do: see in_new_thread(). */
#include "workload.h"

#include <pthread.h>

struct part {
	void (*run)(void *);
	void *arg;
};

static void *run_part(void *arg)
{
	struct part *part = arg;

	part->run(part->arg);
	return NULL;
}

void in_new_thread(void (*run)(void *), void *arg)
{
	struct part part = {.run = run, .arg = arg};
	pthread_attr_t attr;
	pthread_t thread;
	int err = pthread_attr_init(&attr);

	if (!err)
		err = pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (!err)
		err = pthread_create(&thread, &attr, run_part, &part);
	if (err)
		run(arg);
	else
		pthread_join(thread, NULL);
}
