/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * malloc_stats_print(): jemalloc's, with a section of our own behind its text, or as one more
 * member of its JSON object.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/io.h"
#include "base/io_write.h"
#include "entry/interpose.h"
#include "heap/heap_fast.h"
#include "report/stats.h"

/* Room for the counters and the callbacks that are shown, or for the groups. */
#define SECTION_BYTES 8192

/* Where jemalloc's text goes on its way out. The end of a JSON object is held back until it is
   known whether more comes behind it. */
struct sink {
	void (*put)(void *arg, const char *text);
	void *arg;
	bool is_json;
	char held[16];
};

/* The program asks for this text, and for descriptor 2 as it is now. Its reader may take a
   while. */
#define WAIT_MS 500

static void put_default(void *arg, const char *text)
{
	bool *is_lost = arg;

	if (malloc_message != NULL)
		malloc_message(NULL, text);
	else if (!*is_lost)
		*is_lost = io_write(STDERR_FILENO, text, strlen(text), WAIT_MS) != 0;
}

/* The last '}' of `text` if there is nothing behind it but white space, and little of that. */
static const char *end_of_object(const char *text)
{
	const struct sink *sink;
	const char *end = strrchr(text, '}');

	if (end == NULL || strlen(end) >= sizeof sink->held ||
	    strspn(end + 1, " \t\n") != strlen(end + 1))
		return NULL;
	return end;
}

static void take(void *arg, const char *text)
{
	struct sink *sink = arg;
	char piece[512];
	const char *end;

	if (!sink->is_json) {
		sink->put(sink->arg, text);
		return;
	}
	if (sink->held[0] != '\0')
		sink->put(sink->arg, sink->held);
	sink->held[0] = '\0';
	end = end_of_object(text);
	if (end == NULL) {
		sink->put(sink->arg, text);
		return;
	}
	strcpy(sink->held, end);
	while (text < end) {
		size_t bytes = (size_t)(end - text) < sizeof piece - 1 ? (size_t)(end - text)
		                                                       : sizeof piece - 1;

		memcpy(piece, text, bytes);
		piece[bytes] = '\0';
		sink->put(sink->arg, piece);
		text += bytes;
	}
}

OOM_EXPORT void malloc_stats_print(void (*put)(void *arg, const char *text), void *arg,
                                   const char *what)
{
	bool is_lost = false;
	struct sink sink = {.put = put != NULL ? put : put_default,
	                    .arg = put != NULL ? arg : &is_lost,
	                    .is_json = what != NULL && strchr(what, 'J') != NULL};
	char section[SECTION_BYTES];
	struct io_buf buf = {.text = section, .bytes = sizeof section};

	je_malloc_stats_print(take, &sink, what);
	/* Without the object that it belongs to it would be no JSON. */
	if (sink.is_json && sink.held[0] == '\0')
		return;
	if (sink.is_json) {
		io_printf(&buf, ", \"refaulted_bytes\": %zu, ", heap_keep_refaults());
		sink.put(sink.arg, section);
		buf.used = 0;
	}
	stats_put(&buf, sink.is_json);
	sink.put(sink.arg, section);
	buf.used = 0;
	if (!sink.is_json)
		io_printf(&buf, "Bytes of large free extents given back and taken again: %zu\n",
		          heap_keep_refaults());
	stats_put_end(&buf, sink.is_json);
	sink.put(sink.arg, section);
	if (sink.held[0] != '\0')
		sink.put(sink.arg, sink.held);
}
