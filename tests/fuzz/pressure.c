/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sources of pressure: the input is $MEMORY_PRESSURE_WRITE, and behind a NUL what the source sends.
 * What is decoded has to be what somebody encoded.
 */
#include "background/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/options.h"
#include "fuzz.h"
#include "support.h"

#define WRITE_MAX 256 /* pressure.c's own */

static char path[1024];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	options_load(NULL);
	MUST(options_apply("fuzz", "pressure:auto", &options, NULL) == 0);
	fake_proc_begin();
	atexit(fake_proc_end);
	fake_proc_path(path, sizeof path, "/fifo");
	MUST(mkfifo(path, 0600) == 0);
	setenv("MEMORY_PRESSURE_WATCH", path, 1);
	return 0;
}

/* Base64 without its padding. */
static size_t encode(const uint8_t *bytes, size_t size, char *text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t used = 0;

	for (size_t i = 0; i < size; i += 3) {
		uint32_t three = (uint32_t)bytes[i] << 16;

		three |= i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0;
		three |= i + 2 < size ? bytes[i + 2] : 0;
		for (size_t j = 0; j < 4 && (j < 2 || i + j - 1 < size); j++)
			text[used++] = digits[three >> (18 - 6 * j) & 63];
	}
	return used;
}

static void check_decoded(const char *text)
{
	char again[2 * WRITE_MAX];
	uint8_t bytes[WRITE_MAX + 1];
	ssize_t got = read(pressure_fd(), bytes, sizeof bytes);
	size_t length;

	got = got > 0 ? got : 0;
	MUST(got <= WRITE_MAX);
	length = encode(bytes, (size_t)got, again);
	/* The last digit may have bits that are no byte's, and one digit alone is none. */
	MUST(strcspn(text, "=") - length <= 1);
	MUST(length < 2 || memcmp(text, again, length - 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size > 0 ? memchr(data, '\0', size) : NULL;
	size_t length = end != NULL ? (size_t)(end - data) : size;
	char *text = malloc(length + 1);
	const char *where;
	int error, writer;

	MUST(text != NULL);
	memcpy(text, data, length);
	text[length] = '\0';
	setenv("MEMORY_PRESSURE_WRITE", text, 1);
	pressure_init();
	error = pressure_open(&where);
	MUST(strcmp(where, path) == 0);
	MUST(error == 0 || error == -EINVAL);
	MUST((error == 0) == (pressure_fd() >= 0));
	if (error == 0) {
		check_decoded(text);
		writer = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		MUST(writer >= 0);
		if (end != NULL)
			(void)!write(writer, end + 1, size - length - 1);
		MUST(pressure_take(POLLIN) == PRESSURE_FELT);
		close(writer);
		pressure_close();
	}
	free(text);
	return 0;
}
