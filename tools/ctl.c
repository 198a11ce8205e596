/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim ctl: tells a process that runs with control:true what to do. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/ctl_wire.h"
#include "ctl_socket.h"
#include "page.h"
#include "tool.h"

#define WAIT_SECONDS 10

static const struct option options_of_ctl[] = {{"wait", required_argument, NULL, 'w'},
                                               {"help", no_argument, NULL, 'h'},
                                               {NULL, 0, NULL, 0}};

/* The words with their NULs; 0 if they are too long. */
static size_t join(char request[CTL_REQUEST_MAX], char **words)
{
	size_t bytes = 0;

	for (; *words != NULL; words++) {
		size_t length = strlen(*words) + 1;

		if (length > CTL_REQUEST_MAX - bytes)
			return 0;
		memcpy(request + bytes, *words, length);
		bytes += length;
	}
	return bytes;
}

static int print(char *answer, ssize_t bytes, pid_t pid)
{
	char comm[PAGE_COMM_MAX], *text = answer + 1;

	for (ssize_t i = 1; i < bytes; i++)
		if ((answer[i] < ' ' && answer[i] != '\n') || answer[i] > '~')
			answer[i] = '?';
	answer[bytes] = '\0';
	page_comm(pid, comm);
	if (answer[0] != CTL_DONE)
		return tool_fail("process %d (%s): %s", pid, comm, text);
	printf("%s%s", text, bytes > 1 && text[bytes - 2] == '\n' ? "" : "\n");
	return tool_flush();
}

static int ask(pid_t pid, const char *request, size_t request_bytes, int wait_seconds)
{
	static char answer[CTL_ANSWER_MAX + 1];
	int fd = ctl_connect(pid), ready, status;
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	char comm[PAGE_COMM_MAX];
	ssize_t bytes;

	if (fd < 0)
		return TOOL_FAILED;
	bytes = send(fd, request, request_bytes, MSG_NOSIGNAL);
	ready = bytes < 0 ? -1 : poll(&wait, 1, wait_seconds * 1000);
	if (ready > 0)
		bytes = recv(fd, answer, sizeof answer - 1, 0);
	page_comm(pid, comm);
	if (ready == 0)
		status = tool_fail(
			"process %d (%s) has not answered in %d s: it is stopped, or in a callback; "
			"what was asked for may still be done",
			pid, comm, wait_seconds);
	else if (ready < 0 || bytes <= 0)
		status = tool_fail("process %d (%s) has ended, or does not answer", pid, comm);
	else
		status = print(answer, bytes, pid);
	close(fd);
	return status;
}

static bool take_wait(const char *text, int *seconds)
{
	pid_t number; /* digits alone */

	if (!tool_parse_pid(text, &number) || number > 86400)
		return false;
	*seconds = number;
	return true;
}

static int run(int argc, char **argv)
{
	char request[CTL_REQUEST_MAX];
	int option, wait_seconds = WAIT_SECONDS;
	const char *problem;
	size_t bytes;
	pid_t pid;

	while ((option = tool_next_option(&command_ctl, argc, argv, options_of_ctl)) != -1) {
		if (option == 'h')
			return tool_flush();
		if (option != 'w')
			return TOOL_USAGE;
		if (!take_wait(optarg, &wait_seconds))
			return tool_usage(&command_ctl,
			                  "ctl: --wait %s: not a number of seconds, 1 to 86400",
			                  optarg);
	}
	if (argc - optind < 2)
		return tool_usage(&command_ctl, "ctl: a process number and a command are needed");
	if (!tool_parse_pid(argv[optind], &pid))
		return tool_usage(&command_ctl, "ctl: %s is no process number", argv[optind]);
	bytes = join(request, argv + optind + 1);
	problem = bytes == 0 ? "the request is too long" : ctl_check(request, bytes);
	if (problem != NULL)
		return tool_usage(&command_ctl, "ctl: %s: %s", argv[optind + 1], problem);
	return ask(pid, request, bytes, wait_seconds);
}

const struct tool_command command_ctl = {
	.name = "ctl",
	.letters = "+:h",
	.synopsis = "[--wait SECONDS] PID COMMAND [ARGUMENT...]",
	.summary = "tells a process that runs with control:true what to do",
	.options =
		"  reclaim SIZE               asks the callbacks for so much, and gives back what is free\n"
		"  limit SIZE|off             sets the limit, and reclaims down to it\n"
		"  high SIZE|N%|off           sets the watermark above which oomreclaimd begins\n"
		"  policy return|abort|kill   what happens when reclaim has given nothing\n"
		"  callback NAME SIZE         asks one callback for so much\n"
		"  report                     prints the heap, the limits and the callbacks\n"
		"  dump                       writes what oom_dump writes, now\n"
		"  verbose on|off             a line for every failure\n"
		"  --wait SECONDS             for the answer; 10\n",
	.run = run,
};
