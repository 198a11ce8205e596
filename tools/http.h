/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1.x, as much of it as a scraper needs: one request on a connection, one answer,
   without state or I/O. */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>

#define HTTP_REQUEST_BYTES 8192 /* the most that a request may have */
#define HTTP_PATH_BYTES 64      /* a longer one is none of ours */

struct http_request {
	bool is_head;
	char path[HTTP_PATH_BYTES]; /* without what is behind a question mark */
};

struct http_answer {
	int status;
	const char *type; /* of the body */
	char *body;       /* of malloc() */
	size_t bytes;
};

/* 0 while the request is not whole; 200 with *request set; else the status that it is to be
   refused with. */
int http_parse(const char *text, size_t bytes, struct http_request *request);

/* Head and body in one, of malloc(), without the body for HEAD; NULL without memory. */
char *http_text(const struct http_answer *answer, bool is_head, size_t *bytes);

/* What a status is called. */
const char *http_reason(int status);

#endif
