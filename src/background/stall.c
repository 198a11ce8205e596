/* SPDX-License-Identifier: BSD-2-Clause */
#include "background/stall.h"

#include <string.h>
#include <unistd.h>

#include "system/proc.h"

/* some avg10=0.00 avg60=0.00 avg300=0.00 total=0
   full avg10=0.00 avg60=0.00 avg300=0.00 total=0 */
bool stall_read(const struct stall *stall, int fd, uint64_t *total_us)
{
	char text[512];
	ssize_t got = pread(fd, text, sizeof text - 1, 0);
	const char *at;

	if (got <= 0)
		return false;
	text[got] = '\0';
	at = strstr(text, stall->is_full ? "full " : "some ");
	at = at != NULL ? strstr(at, " total=") : NULL;
	if (at == NULL)
		return false;
	at += strlen(" total=");
	return proc_parse_number(&at, total_us);
}

void stall_begin(struct stall *stall, int fd, const char *trigger)
{
	uint64_t least_us, window_us, before_us;
	const char *at = trigger + strlen("some");

	*stall = (struct stall){.is_full = strncmp(trigger, "full ", strlen("full ")) == 0};
	if (!stall->is_full && strncmp(trigger, "some ", strlen("some ")) != 0)
		return;
	if (!proc_parse_number(&at, &least_us) || !proc_parse_number(&at, &window_us) ||
	    !stall_read(stall, fd, &before_us))
		return;
	stall->is_known = true;
	stall->least_us = least_us;
	stall->window_us = window_us;
	stall->before_us = before_us;
}

bool stall_is_enough(struct stall *stall, int fd)
{
	uint64_t total_us;

	if (!stall->is_known || !stall_read(stall, fd, &total_us))
		return true;
	if (total_us - stall->before_us < stall->least_us)
		return false;
	stall->before_us = total_us;
	return true;
}
