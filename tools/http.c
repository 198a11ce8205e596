/* SPDX-License-Identifier: BSD-2-Clause */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tool.h"

#define HEAD_BYTES 512

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{200, "OK"},
	{400, "Bad Request"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
};

const char *http_reason(int status)
{
	for (size_t i = 0; i < COUNT(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "?";
}

/* The line that begins there, without its end; NULL where it has none. */
static const char *line_end(const char *line, const char *end, const char **next)
{
	const char *feed = memchr(line, '\n', (size_t)(end - line));

	if (feed == NULL)
		return NULL;
	*next = feed + 1;
	return feed > line && feed[-1] == '\r' ? feed - 1 : feed;
}

static bool is_token(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (text[i] <= ' ' || text[i] > '~' ||
		    strchr("\"(),/:;<=>?@[\\]{}", text[i]) != NULL)
			return false;
	return bytes > 0;
}

/* Of the form http://HOST/PATH the path: a request to a proxy has it, and a server has to
   know it. */
static const char *path_in(const char *target, const char *end)
{
	static const char scheme[] = "http://";
	size_t bytes = sizeof scheme - 1;
	const char *path;

	if ((size_t)(end - target) < bytes || strncasecmp(target, scheme, bytes) != 0)
		return target;
	path = memchr(target + bytes, '/', (size_t)(end - target) - bytes);
	return path != NULL ? path : end;
}

static int keep_path(const char *target, const char *end, struct http_request *request)
{
	const char *path = path_in(target, end);
	size_t bytes = 0;

	for (const char *at = target; at < end; at++)
		if (*at <= ' ' || *at > '~')
			return 400;
	if (path < end && *path != '/')
		return 400;
	while (path + bytes < end && path[bytes] != '?')
		bytes++;
	/* None of ours either. */
	if (bytes >= sizeof request->path)
		bytes = sizeof request->path - 1;
	memcpy(request->path, path, bytes);
	strcpy(request->path + bytes, bytes > 0 ? "" : "/");
	return 200;
}

/* METHOD SP TARGET SP VERSION. */
static int parse_first(const char *line, const char *end, struct http_request *request,
                       bool *has_host)
{
	const char *target = memchr(line, ' ', (size_t)(end - line)), *version;
	size_t method;
	int status;

	if (target == NULL || !is_token(line, method = (size_t)(target - line)))
		return 400;
	target++;
	version = memchr(target, ' ', (size_t)(end - target));
	if (version == NULL || version == target || end - version != sizeof " HTTP/1.1" - 1 ||
	    strncmp(version, " HTTP/1.", 8) != 0 || version[8] < '0' || version[8] > '9')
		return 400;
	/* Who speaks 1.0 need not name the host. */
	*has_host = version[8] == '0';
	status = keep_path(target, version, request);
	if (status != 200)
		return status;
	request->is_head = method == 4 && strncmp(line, "HEAD", 4) == 0;
	return request->is_head || (method == 3 && strncmp(line, "GET", 3) == 0) ? 200 : 405;
}

/* NAME: VALUE. */
static bool is_field(const char *line, const char *end, bool *has_host)
{
	const char *colon = memchr(line, ':', (size_t)(end - line));

	if (colon == NULL || !is_token(line, (size_t)(colon - line)))
		return false;
	for (const char *at = colon; at < end; at++)
		if ((unsigned char)*at < ' ' && *at != '\t')
			return false;
	if (colon - line == 4 && strncasecmp(line, "Host", 4) == 0)
		*has_host = true;
	return true;
}

int http_parse(const char *text, size_t bytes, struct http_request *request)
{
	const char *end = text + bytes, *next, *line_ends = line_end(text, end, &next);
	bool has_host = false;
	int status;

	if (line_ends == NULL)
		return bytes >= HTTP_REQUEST_BYTES ? 431 : 0;
	status = parse_first(text, line_ends, request, &has_host);
	if (status == 400)
		return status;
	for (const char *line = next;; line = next) {
		line_ends = line_end(line, end, &next);
		if (line_ends == NULL)
			return bytes >= HTTP_REQUEST_BYTES ? 431 : 0;
		if (line_ends == line)
			return has_host ? status : 400;
		if (!is_field(line, line_ends, &has_host))
			return 400;
	}
}

static size_t put_head(const struct http_answer *answer, char head[HEAD_BYTES])
{
	int bytes = snprintf(head, HEAD_BYTES,
	                     "HTTP/1.1 %d %s\r\n"
	                     "Content-Type: %s\r\n"
	                     "Content-Length: %zu\r\n"
	                     "%s"
	                     "Cache-Control: no-store\r\n"
	                     "X-Content-Type-Options: nosniff\r\n"
	                     "Connection: close\r\n\r\n",
	                     answer->status, http_reason(answer->status), answer->type,
	                     answer->bytes, answer->status == 405 ? "Allow: GET, HEAD\r\n" : "");

	return (size_t)bytes;
}

char *http_text(const struct http_answer *answer, bool is_head, size_t *bytes)
{
	char head[HEAD_BYTES], *text;
	size_t above = put_head(answer, head), below = is_head ? 0 : answer->bytes;

	*bytes = above + below;
	text = malloc(*bytes);
	if (text == NULL)
		return NULL;
	memcpy(text, head, above);
	if (below > 0)
		memcpy(text + above, answer->body, below);
	return text;
}
