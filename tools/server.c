/* SPDX-License-Identifier: BSD-2-Clause */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

/* Prometheus gives up after ten seconds by default, too. */
#define REQUEST_MS 10000
#define ANSWER_MS 30000
#define LINGER_MS 5000
#define CONNECTIONS 32

enum state { STATE_FREE, STATE_READING, STATE_WRITING, STATE_LINGERING };

static struct connection {
	enum state state;
	int fd;
	uint64_t number; /* of all that there were */
	int64_t until_ms;
	char request[HTTP_REQUEST_BYTES];
	size_t used;
	char *answer; /* head and body */
	size_t bytes, sent;
} connections[CONNECTIONS];

static volatile sig_atomic_t is_ended;
static server_answer *answer_to;

static void end(int signal)
{
	(void)signal;
	is_ended = 1;
}

static void drop(struct connection *connection)
{
	close(connection->fd);
	free(connection->answer);
	connection->answer = NULL;
	connection->state = STATE_FREE;
}

static void become(struct connection *connection, enum state state, int64_t for_ms)
{
	connection->state = state;
	connection->until_ms = tool_now_ms() + for_ms;
}

static void begin_answer(struct connection *connection, const struct http_answer *answer,
                         bool is_head)
{
	connection->answer = http_text(answer, is_head, &connection->bytes);
	if (connection->answer == NULL) {
		drop(connection);
		return;
	}
	connection->sent = 0;
	become(connection, STATE_WRITING, ANSWER_MS);
}

static void refuse(struct connection *connection, int status, bool is_head)
{
	struct http_answer answer = {.status = status, .type = "text/plain; charset=utf-8"};
	char text[64];

	answer.bytes = (size_t)snprintf(text, sizeof text, "%d %s\n", status, http_reason(status));
	answer.body = text;
	begin_answer(connection, &answer, is_head);
}

static void answer_request(struct connection *connection)
{
	struct http_request request = {.is_head = false};
	struct http_answer answer = {.status = 404};
	int status = http_parse(connection->request, connection->used, &request);

	if (status == 0)
		return;
	if (status == 200)
		answer_to(request.path, &answer);
	if (status != 200 || answer.status != 200)
		refuse(connection, status != 200 ? status : answer.status, request.is_head);
	else
		begin_answer(connection, &answer, request.is_head);
	free(answer.body);
}

static void read_request(struct connection *connection)
{
	ssize_t got = recv(connection->fd, connection->request + connection->used,
	                   sizeof connection->request - connection->used, 0);

	if (got > 0) {
		connection->used += (size_t)got;
		answer_request(connection);
	} else if (got == 0 || errno != EAGAIN) {
		drop(connection);
	}
}

/* What the peer has sent beyond its request is read before the connection is closed: else
   the kernel tells the peer of an error, and what was answered may be lost. */
static void linger(struct connection *connection)
{
	char rest[4096];
	ssize_t got = recv(connection->fd, rest, sizeof rest, 0);

	if (got == 0 || (got < 0 && errno != EAGAIN))
		drop(connection);
}

static void write_answer(struct connection *connection)
{
	ssize_t sent = send(connection->fd, connection->answer + connection->sent,
	                    connection->bytes - connection->sent, MSG_NOSIGNAL);

	if (sent < 0) {
		if (errno != EAGAIN)
			drop(connection);
		return;
	}
	connection->sent += (size_t)sent;
	if (connection->sent < connection->bytes)
		return;
	shutdown(connection->fd, SHUT_WR);
	become(connection, STATE_LINGERING, LINGER_MS);
}

/* A place for one more. Where there is none, of those that are not being answered the oldest
   has to go: clients that send nothing don't keep others out. */
static struct connection *place(void)
{
	struct connection *found = NULL;

	for (size_t i = 0; i < CONNECTIONS; i++) {
		struct connection *one = &connections[i];

		if (one->state == STATE_FREE)
			return one;
		if (found == NULL ||
		    (one->state != STATE_WRITING) > (found->state != STATE_WRITING) ||
		    ((one->state != STATE_WRITING) == (found->state != STATE_WRITING) &&
		     one->number < found->number))
			found = one;
	}
	drop(found);
	return found;
}

static void take(int listener)
{
	static uint64_t taken;
	const struct timespec pause = {.tv_nsec = 100000000};
	struct connection *connection;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		/* No descriptor is left, or no memory: not to be asked again at once. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			nanosleep(&pause, NULL);
		return;
	}
	connection = place();
	connection->fd = fd;
	connection->used = 0;
	connection->number = taken++;
	become(connection, STATE_READING, REQUEST_MS);
}

static void step(struct connection *connection)
{
	switch (connection->state) {
	case STATE_READING:
		read_request(connection);
		break;
	case STATE_WRITING:
		write_answer(connection);
		break;
	case STATE_LINGERING:
		linger(connection);
		break;
	case STATE_FREE:
		break;
	}
}

/* Fills in what to wait for; returns until when. */
static int64_t wait_for(struct pollfd fds[CONNECTIONS])
{
	int64_t until = INT64_MAX;

	for (size_t i = 0; i < CONNECTIONS; i++) {
		const struct connection *one = &connections[i];

		fds[i].fd = one->state == STATE_FREE ? -1 : one->fd;
		fds[i].events = one->state == STATE_WRITING ? POLLOUT : POLLIN;
		fds[i].revents = 0;
		if (one->state != STATE_FREE && one->until_ms < until)
			until = one->until_ms;
	}
	return until;
}

static void look(int listener, const sigset_t *mask)
{
	struct pollfd fds[CONNECTIONS + 1] = {[CONNECTIONS] = {.fd = listener, .events = POLLIN}};
	int64_t until = wait_for(fds), left = until == INT64_MAX ? 0 : until - tool_now_ms();
	struct timespec wait = {0};

	if (left > 0) {
		wait.tv_sec = (time_t)(left / 1000);
		wait.tv_nsec = (long)(left % 1000) * 1000000;
	}
	if (ppoll(fds, CONNECTIONS + 1, until == INT64_MAX ? NULL : &wait, mask) < 0)
		return;
	for (size_t i = 0; i < CONNECTIONS; i++) {
		struct connection *one = &connections[i];

		if (fds[i].revents != 0)
			step(one);
		if (one->state != STATE_FREE && tool_now_ms() >= one->until_ms)
			drop(one);
	}
	if (fds[CONNECTIONS].revents != 0)
		take(listener);
}

void server_run(int listener, server_answer *answer)
{
	const struct sigaction action = {.sa_handler = end};
	sigset_t ours, before;

	answer_to = answer;
	/* They come in ppoll() alone, so that none is missed between a look at the flag and
	   the wait. */
	sigemptyset(&ours);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGINT);
	sigprocmask(SIG_BLOCK, &ours, &before);
	sigdelset(&before, SIGTERM);
	sigdelset(&before, SIGINT);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	while (!is_ended)
		look(listener, &before);
	for (size_t i = 0; i < CONNECTIONS; i++)
		if (connections[i].state != STATE_FREE)
			drop(&connections[i]);
}
