/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A graceful end: at a limit that nothing can help, the process is sent TERM, which it handles, and
 * has kill_grace_ms to save what it has. Until then its allocations are served from the reserve, or
 * NULL.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <oomreclaim.h>

const char *oomreclaim_conf =
	"limit:64M,policy:kill,kill_signal:TERM,kill_grace_ms:5000,reserve:4M,costly:off";

static volatile sig_atomic_t is_told;

static void told(int signal)
{
	(void)signal;
	is_told = 1;
}

int main(void)
{
	static char buffer[BUFSIZ]; /* so that stdio needs no memory when there is none */
	struct sigaction action;
	unsigned long records = 0;

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	memset(&action, 0, sizeof(action));
	action.sa_handler = told;
	sigaction(SIGTERM, &action, NULL);
	printf("on oomreclaim %s\n", oomreclaim_version());
	while (!is_told) {
		char *record = malloc(1000); /* a leak, for the example */

		if (record) {
			memset(record, 'r', 1000);
			records++;
		}
	}
	printf("saved %lu records\n", records);
	return 0;
}
