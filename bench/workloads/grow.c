/* SPDX-License-Identifier: BSD-2-Clause */
/* Growing reallocs: buffers that lines are appended to, several at a time, each up to 1 MiB. */
#include "workload.h"

enum { BUFFERS = 16, LONGEST = 1 << 20, LINE_MAX_BYTES = 120 };

struct buffer {
	char *text;
	size_t length, capacity;
};

/* By half again, as many libraries do. Returns 0, or -1 and the buffer is as it was. */
static int reserve(struct worker *self, struct buffer *buffer, size_t more)
{
	size_t capacity = buffer->capacity;
	char *text;

	if (buffer->length + more <= capacity)
		return 0;
	capacity += capacity / 2 + more;
	text = realloc(buffer->text, capacity);
	self->ops++;
	if (!text) {
		self->failed++;
		return -1;
	}
	buffer->text = text;
	buffer->capacity = capacity;
	return 0;
}

static void reset(struct buffer *buffer)
{
	free(buffer->text);
	*buffer = (struct buffer){NULL, 0, 0};
}

static void run(struct worker *self)
{
	struct buffer buffers[BUFFERS] = {{NULL, 0, 0}};

	for (uint64_t i = 0; i < self->rounds; i++) {
		/* Few grow to the end: the first ones are chosen more often. */
		size_t some = random_between(self, 1, BUFFERS + 1);
		struct buffer *buffer = &buffers[random_between(self, 0, some)];
		size_t line = random_between(self, 1, LINE_MAX_BYTES);

		if (buffer->length + line > LONGEST || reserve(self, buffer, line)) {
			reset(buffer);
			continue;
		}
		memset(buffer->text + buffer->length, (int)line, line);
		buffer->length += line;
		if (random_next(self) >> 55 == 0)
			reset(buffer);
	}
	for (size_t i = 0; i < BUFFERS; i++)
		reset(&buffers[i]);
}

const struct workload grow_workload = {.name = "grow", .rounds = 20000000, .run = run};
