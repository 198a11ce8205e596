/* SPDX-License-Identifier: BSD-2-Clause */
/* A plugin: where its malloc() is, and a block for another one. */
#include <stdlib.h>
#include <string.h>

#include "../../loader.h"

plugin_block plugin_exchange;
plugin_address plugin_malloc;

__attribute__((visibility("default"))) char *plugin_exchange(char *block)
{
	free(block);
	return strdup("theirs");
}

__attribute__((visibility("default"))) void *plugin_malloc(void)
{
	return (void *)(size_t)malloc;
}
