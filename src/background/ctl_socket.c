/* SPDX-License-Identifier: BSD-2-Clause */
#include "background/ctl_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "background/ctl.h"
#include "base/base.h"
#include "base/flight.h"
#include "base/fork_data.h"
#include "base/io.h"

/* How long a client may say nothing. */
#define PATIENCE_NS NSEC_PER_SEC
/* Between two looks while oomreclaimd is at a command: it has no way to wake a poll(). */
#define BUSY_MS 5
/* Clients may come without end: they are to take no processor. */
#define PAUSE_NS NSEC_PER_MSEC

struct client {
	int fd; /* -1: none */
	pid_t pid;
	uint64_t since_ns;
	bool may_ask;
	bool is_served; /* its command is under way */
};
#define NOBODY           \
	{                \
		.fd = -1 \
	}

static struct {
	int listener, place; /* the socket, and its file; -1: none */
	struct client clients[CTL_CLIENTS];
} ctl = {.listener = -1, .place = -1, .clients = {NOBODY, NOBODY, NOBODY, NOBODY}};

/* ---- The socket ---- */

/* Another user may have put a file in its place, in a directory that allows that. */
static bool is_own(int place)
{
	struct stat file;

	return fstat(place, &file) == 0 && S_ISSOCK(file.st_mode) &&
	       (file.st_mode & 07777) == 0600 && file.st_uid == geteuid();
}

/* The descriptor of its file, or -errno. */
static int bind_in(int fd, const char *directory)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct io_buf path = {.text = address.sun_path, .bytes = sizeof address.sun_path};
	int place, error;

	io_printf(&path, "%s/" CTL_SOCKET_NAME "%d.%llx", directory, getpid(),
	          (unsigned long long)now_ns());
	if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0)
		return -errno;
	place = open(address.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	error = place < 0 ? -errno : -EPERM;
	unlink(address.sun_path);
	if (place >= 0 && is_own(place))
		return place;
	if (place >= 0)
		close(place);
	return error;
}

/* A socket is bound once: another directory takes another one. */
static int open_in(const char *directory)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), place, error;

	if (fd < 0)
		return -errno;
	/* Of a socket that is not bound yet this is the mode that its file gets. */
	error = fchmod(fd, 0600) == 0 ? 0 : -errno;
	place = error == 0 ? bind_in(fd, directory) : error;
	if (place >= 0 && listen(fd, CTL_CLIENTS) == 0) {
		ctl.listener = fd;
		ctl.place = place;
		return 0;
	}
	error = place < 0 ? place : -errno;
	if (place >= 0)
		close(place);
	close(fd);
	return error;
}

int ctl_socket_open(void)
{
	/* The first is there in a container too, where all else is for reading alone. */
	static const char *const directories[] = {"/dev/shm", "/tmp", "/var/tmp", "."};
	int error = -ENOENT;

	for (size_t i = 0; error != 0 && i < ARRAY_SIZE(directories); i++)
		error = open_in(directories[i]);
	return error;
}

bool ctl_socket_is_open(void)
{
	return ctl.listener >= 0;
}

/* ---- Clients ---- */

static void leave(struct client *client)
{
	close(client->fd);
	*client = (struct client)NOBODY;
}

/* One that has no room for the answer, or has gone, does without. */
static void tell(struct client *client, const char *text, size_t bytes)
{
	(void)send(client->fd, text, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
	leave(client);
}

static void refuse(struct client *client, const char *why)
{
	char text[128] = {CTL_REFUSED};
	struct io_buf buf = {.text = text, .bytes = sizeof text, .used = 1};

	io_printf(&buf, "%s", why);
	tell(client, text, buf.used);
}

/* As the kernel has it for ptrace(): all ids of the process are this user's. */
static bool may_ask(uid_t user)
{
	uid_t real, effective, saved;

	if (user == 0)
		return true;
	return getresuid(&real, &effective, &saved) == 0 && user == real && user == effective &&
	       user == saved;
}

/* Refused is it when its request is read: what is closed with something unread in it gives an error
   in place of the answer. */
static void admit(struct client *client)
{
	struct ucred peer = {.pid = 0};
	socklen_t bytes = sizeof peer;

	client->since_ns = now_ns();
	client->may_ask = getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
	                  may_ask(peer.uid);
	client->pid = peer.pid;
}

static struct client *find_place(void)
{
	for (size_t i = 0; i < CTL_CLIENTS; i++)
		if (ctl.clients[i].fd < 0)
			return &ctl.clients[i];
	return NULL;
}

static void accept_all(void)
{
	struct client *client;

	while ((client = find_place()) != NULL) {
		client->fd = accept4(ctl.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (client->fd < 0)
			return;
		admit(client);
	}
}

static void take_request(struct client *client, const char *request, size_t bytes)
{
	struct ctl_command command;
	const char *problem = ctl_parse(request, bytes, &command);

	if (!client->may_ask) {
		flight_note(FLIGHT_CONTROL, 1, (size_t)client->pid, 0, "of another user");
		problem = "this is for the user of the process, and for root";
	}
	if (problem != NULL) {
		refuse(client, problem);
		return;
	}
	client->is_served = true;
	ctl_hand_over(&command, request, client->pid);
}

/* A request lies there until oomreclaimd is free. */
static void hear(struct client *client)
{
	char request[CTL_REQUEST_MAX + 1] = "";
	bool is_free = ctl_is_free();
	/* The length is that of the packet, whatever has room. */
	ssize_t bytes = recv(client->fd, request, sizeof request - 1,
	                     MSG_DONTWAIT | MSG_TRUNC | (is_free ? 0 : MSG_PEEK));

	if (bytes > 0 && is_free)
		take_request(client, request, (size_t)bytes);
	else if (bytes < 0 && errno != EAGAIN && errno != EINTR)
		leave(client);
	else if (bytes == 0)
		leave(client);
	else if (bytes < 0 && now_ns() - client->since_ns >= PATIENCE_NS)
		refuse(client, "no request has come");
}

static void answer(void)
{
	size_t bytes;
	const char *text = ctl_answer(&bytes);

	for (size_t i = 0; text != NULL && i < CTL_CLIENTS; i++)
		if (ctl.clients[i].is_served)
			tell(&ctl.clients[i], text, bytes);
}

void ctl_socket_look(void)
{
	if (!ctl_socket_is_open())
		return;
	answer();
	accept_all();
	for (size_t i = 0; i < CTL_CLIENTS; i++)
		if (ctl.clients[i].fd >= 0 && !ctl.clients[i].is_served)
			hear(&ctl.clients[i]);
	pause_ns(PAUSE_NS);
}

size_t ctl_socket_fds(struct pollfd fds[CTL_FDS])
{
	size_t count = 0;

	if (ctl_socket_is_open() && find_place() != NULL)
		fds[count++] = (struct pollfd){.fd = ctl.listener, .events = POLLIN};
	for (size_t i = 0; ctl_is_free() && i < CTL_CLIENTS; i++)
		if (ctl.clients[i].fd >= 0)
			fds[count++] = (struct pollfd){.fd = ctl.clients[i].fd, .events = POLLIN};
	return count;
}

int ctl_socket_wait_ms(void)
{
	if (!ctl_is_free())
		return BUSY_MS;
	for (size_t i = 0; i < CTL_CLIENTS; i++)
		if (ctl.clients[i].fd >= 0)
			return (int)(PATIENCE_NS / NSEC_PER_MSEC);
	return -1;
}

void ctl_socket_fork_child(void)
{
	fork_reset(ctl.listener, -1);
	fork_reset(ctl.place, -1);
	for (size_t i = 0; i < CTL_CLIENTS; i++)
		if (ctl.clients[i].fd != -1 || ctl.clients[i].is_served)
			ctl.clients[i] = (struct client)NOBODY;
	ctl_fork_child();
}
