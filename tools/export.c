/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim export: the counters of all processes by HTTP, for Prometheus and as a page. */
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exported.h"
#include "server.h"
#include "tool.h"

/* Pages are a second old at most. However often somebody asks, they are read no more often
   than that. */
#define FRESH_MS 1000

static const struct option options_of_export[] = {{"listen", required_argument, NULL, 'l'},
                                                  {"help", no_argument, NULL, 'h'},
                                                  {NULL, 0, NULL, 0}};

static struct view {
	const char *path, *type;
	char *(*make)(size_t *bytes);
	char *text;
	size_t bytes;
	int64_t made_ms;
} views[] = {
	{.path = "/metrics",
         .type = "text/plain; version=0.0.4; charset=utf-8",
         .make = exported_metrics},
	{.path = "/data.json", .type = "application/json", .make = exported_json},
};

/* As it was built: a line of the file, a line of C. */
static const char web[] =
#include "web.inc"
	;

static void refresh(struct view *view)
{
	int64_t now_ms = tool_now_ms();

	if (view->text != NULL && now_ms - view->made_ms < FRESH_MS)
		return;
	free(view->text);
	view->text = view->make(&view->bytes);
	view->made_ms = now_ms;
}

static void put(struct http_answer *answer, const char *type, const char *text, size_t bytes)
{
	answer->type = type;
	answer->bytes = bytes;
	answer->body = text != NULL ? malloc(bytes + 1) : NULL;
	answer->status = answer->body != NULL ? 200 : 500;
	if (answer->body != NULL)
		memcpy(answer->body, text, bytes);
}

static void answer(const char *path, struct http_answer *answer)
{
	if (strcmp(path, "/") == 0)
		put(answer, "text/html; charset=utf-8", web, sizeof web - 1);
	for (size_t i = 0; i < COUNT(views); i++)
		if (strcmp(path, views[i].path) == 0) {
			refresh(&views[i]);
			put(answer, views[i].type, views[i].text, views[i].bytes);
		}
}

static int run(int argc, char **argv)
{
	const char *address = NULL;
	char name[SERVER_NAME_BYTES];
	int option, listener, status;

	while ((option = tool_next_option(&command_export, argc, argv, options_of_export)) != -1) {
		if (option == 'h')
			return tool_flush();
		if (option == '?')
			return TOOL_USAGE;
		address = optarg;
	}
	if (optind < argc)
		return tool_usage(&command_export, "export: %s is one word too many", argv[optind]);
	if (address == NULL)
		return tool_usage(&command_export, "export: --listen is missing");
	listener = server_listen(address, name, &status);
	if (listener < 0)
		return status;
	printf("http://%s/metrics\n", name);
	status = tool_flush();
	if (status == TOOL_OK)
		server_run(listener, answer);
	for (size_t i = 0; i < COUNT(views); i++)
		free(views[i].text);
	return status;
}

const struct tool_command command_export = {
	.name = "export",
	.letters = "+:h",
	.synopsis = "--listen ADDRESS:PORT",
	.summary = "serves the statistics of all processes to Prometheus, and as a web page",
	.options = "  --listen ADDRESS:PORT   or [ADDRESS]:PORT, or PORT alone, on 127.0.0.1\n"
		   "It runs until SIGTERM or SIGINT, and prints where the metrics are.\n",
	.run = run,
};
