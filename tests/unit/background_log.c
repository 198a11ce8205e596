/* SPDX-License-Identifier: BSD-2-Clause */
#include "background_log.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fake_heap.h"
#include "limits/budget.h"
#include "reclaim/descent.h"
#include "support.h"

struct background_log seen = {.lock = PTHREAD_MUTEX_INITIALIZER,
                              .called = PTHREAD_COND_INITIALIZER};

static void note(const struct oomreclaim_control *control)
{
	pthread_mutex_lock(&seen.lock);
	if (seen.calls < CALLS_MAX)
		seen.asked[seen.calls] = *control;
	seen.calls++;
	seen.was_in_ladder = descent_is_open();
	seen.tid = gettid();
	pthread_cond_broadcast(&seen.called);
	pthread_mutex_unlock(&seen.lock);
}

void wait_for_calls(unsigned count)
{
	pthread_mutex_lock(&seen.lock);
	while (seen.calls < count)
		pthread_cond_wait(&seen.called, &seen.lock);
	pthread_mutex_unlock(&seen.lock);
}

unsigned calls(void)
{
	unsigned count;

	pthread_mutex_lock(&seen.lock);
	count = seen.calls;
	pthread_mutex_unlock(&seen.lock);
	return count;
}

size_t generous(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	budget_uncharge(control->bytes_wanted);
	fake_heap_freed(control->bytes_wanted);
	note(control);
	return control->bytes_wanted;
}

size_t empty(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	note(control);
	return 0;
}

size_t liar(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	note(control);
	return 1;
}

void serve(oomreclaim_callback *function)
{
	cr_assert_eq(oomreclaim_register("cache", 0, 0, function, NULL, NULL), 0);
}

void wait_until_idle(void)
{
	struct thread thread = {.tid = 0};

	pthread_mutex_lock(&seen.lock);
	thread.tid = seen.tid;
	pthread_mutex_unlock(&seen.lock);
	thread_wait_asleep(&thread);
}

void wait_for_thread(void)
{
	/* The one that it starts has its name at first. */
	while (threads() != 1)
		usleep(1000);
}

unsigned threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	unsigned count = 0;

	cr_assert(tasks != NULL);
	while ((task = readdir(tasks)) != NULL) {
		char path[300], name[32] = "";
		int fd;

		snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, name, sizeof name - 1) > 0)
			count += strcmp(name, "oomreclaimd\n") == 0;
		close(fd);
	}
	closedir(tasks);
	return count;
}
