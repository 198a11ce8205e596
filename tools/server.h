/* SPDX-License-Identifier: BSD-2-Clause */
/* A small HTTP server: one thread, so many connections at a time, each with so much time. */
#ifndef SERVER_H
#define SERVER_H

#include "http.h"

/* What is at that path. */
typedef void server_answer(const char *path, struct http_answer *answer);

/* ADDRESS:PORT, [ADDRESS]:PORT, or PORT for 127.0.0.1. The descriptor of a socket that
   listens, and what it is called in a URL; or -1 with the exit status in *status, where what
   is wrong has been said. */
#define SERVER_NAME_BYTES 64
int server_listen(const char *address, char name[SERVER_NAME_BYTES], int *status);

/* Answers until SIGTERM or SIGINT. */
void server_run(int listener, server_answer *answer);

#endif
