/* SPDX-License-Identifier: BSD-2-Clause */
#include "background/systemd_watch.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/io.h"

struct systemd_watch systemd_watch;

static int digit_of(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* Bytes decoded, or -EINVAL. */
static ssize_t decode_base64(const char *text, char *bytes, size_t size)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t used = 0;

	for (; *text != '\0' && *text != '='; text++) {
		int digit = digit_of(*text);

		if (digit < 0 || used == size)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)digit;
		have += 6;
		if (have >= 8) {
			have -= 8;
			bytes[used++] = (char)(bits >> have & 0xff);
		}
	}
	return strspn(text, "=") == strlen(text) ? (ssize_t)used : -EINVAL;
}

void systemd_watch_init(void)
{
	const char *watch = secure_getenv("MEMORY_PRESSURE_WATCH"),
		   *encoded = secure_getenv("MEMORY_PRESSURE_WRITE");
	struct io_buf path = {.text = systemd_watch.path, .bytes = sizeof systemd_watch.path};
	ssize_t bytes = 0;

	systemd_watch.has_path = watch != NULL;
	if (watch == NULL)
		return;
	io_printf(&path, "%s", watch);
	if (encoded != NULL)
		bytes = decode_base64(encoded, systemd_watch.text, WRITE_MAX);
	systemd_watch.bytes = bytes > 0 ? (size_t)bytes : 0;
	systemd_watch.text[systemd_watch.bytes] = '\0';
	/* The protocol's own conditions. */
	if (strcmp(watch, "/dev/null") == 0)
		systemd_watch.error = -ENODEV;
	else if (watch[0] != '/' || strlen(watch) >= sizeof systemd_watch.path)
		systemd_watch.error = -EINVAL;
	else
		systemd_watch.error = bytes < 0 ? (int)bytes : 0;
}
