/* SPDX-License-Identifier: BSD-2-Clause */
/* Fork-heavy: a heap of some size, and children that use it and end, as shells and servers have. */
#include "workload.h"

#include <sys/wait.h>
#include <unistd.h>

enum { BLOCKS = 8192, IN_CHILD = 512 };

/* Replaces some blocks: in a child each of those pages is copied. */
static void replace(struct worker *self, void **blocks, size_t count)
{
	while (count--) {
		size_t at = random_between(self, 0, BLOCKS);

		free(blocks[at]);
		blocks[at] = take(self, random_size(self, 4, 10));
	}
}

static void run(struct worker *self)
{
	void **blocks = calloc(BLOCKS, sizeof(*blocks));

	if (!blocks) {
		self->failed++;
		return;
	}
	replace(self, blocks, BLOCKS);
	for (uint64_t i = 0; i < self->rounds; i++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			self->failed = 0;
			replace(self, blocks, IN_CHILD);
			_exit(self->failed != 0);
		}
		replace(self, blocks, IN_CHILD);
		/* fork's ENOMEM is a failure like malloc's, and so is the child's. */
		if (child < 0 || waitpid(child, &status, 0) < 0 || status)
			self->failed++;
	}
	for (size_t i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	free(blocks);
}

const struct workload fork_workload = {.name = "fork", .rounds = 200, .run = run};
