/* SPDX-License-Identifier: BSD-2-Clause */
/* A plugin: where its malloc() is, a block for another one, and callbacks that it forgets to
   unregister. */
#include <stdlib.h>
#include <string.h>

#include "../../loader.h"
#include "oomreclaim_group.h"

plugin_block plugin_exchange;
plugin_address plugin_malloc;
plugin_register_all plugin_register;

__attribute__((visibility("default"))) char *plugin_exchange(char *block)
{
	free(block);
	return strdup("theirs");
}

__attribute__((visibility("default"))) void *plugin_malloc(void)
{
	return (void *)(size_t)malloc;
}

static size_t give_nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return 0;
}

static enum oomreclaim_policy say_return(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)verdict;
	(void)arg;
	return OOMRECLAIM_POLICY_RETURN;
}

static void end_job(oomreclaim_group group, void *arg)
{
	(void)group;
	(void)arg;
}

__attribute__((visibility("default"))) unsigned long plugin_register(void)
{
	oomreclaim_handle first, second;
	oomreclaim_group job;

	if (oomreclaim_group_create("job", OOMRECLAIM_GROUP_ROOT, &job) != 0 ||
	    oomreclaim_group_set(job, OOMRECLAIM_GROUP_SCORE_ADJ, 1000) != 0 ||
	    oomreclaim_group_on_cancel(job, end_job, NULL) != 0)
		return 0;
	/* What is left in it, too. */
	oomreclaim_group_enter(job);
	if (malloc(1 << 20) == NULL)
		return 0;
	oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
	if (oomreclaim_register("first", 1, 0, give_nothing, NULL, &first) != 0 ||
	    oomreclaim_register("second", 0, 0, give_nothing, NULL, &second) != 0 ||
	    oomreclaim_set_policy_callback(say_return, NULL) != 0)
		return 0;
	return first;
}
