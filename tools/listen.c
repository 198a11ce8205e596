/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket on which server.c listens. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"
#include "tool.h"

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static bool parse_port(const char *text, in_port_t *port)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long number = strtoul(text, NULL, 10);

	if (digits == 0 || digits > 5 || text[digits] != '\0' || number > UINT16_MAX)
		return false;
	*port = htons((in_port_t)number);
	return true;
}

static bool parse_address(const char *text, union address *address)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN] = "127.0.0.1";
	size_t bytes = colon != NULL ? (size_t)(colon - text) : 0;
	bool is_v6 = bytes > 2 && text[0] == '[' && text[bytes - 1] == ']';

	memset(address, 0, sizeof *address);
	if (colon != NULL) {
		if (bytes >= sizeof host)
			return false;
		memcpy(host, text + is_v6, bytes - 2 * is_v6);
		host[bytes - 2 * is_v6] = '\0';
	}
	if (is_v6) {
		address->v6.sin6_family = AF_INET6;
		return inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1 &&
		       parse_port(colon + 1, &address->v6.sin6_port);
	}
	address->v4.sin_family = AF_INET;
	return inet_pton(AF_INET, host, &address->v4.sin_addr) == 1 &&
	       parse_port(colon != NULL ? colon + 1 : text, &address->v4.sin_port);
}

/* As it came out: the port may have been for the kernel to choose. */
static void name_of(int fd, char name[SERVER_NAME_BYTES])
{
	union address address;
	socklen_t bytes = sizeof address;
	char host[INET6_ADDRSTRLEN] = "?";

	memset(&address, 0, sizeof address);
	getsockname(fd, &address.any, &bytes);
	if (address.any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &address.v6.sin6_addr, host, sizeof host);
		snprintf(name, SERVER_NAME_BYTES, "[%s]:%u", host, ntohs(address.v6.sin6_port));
	} else {
		inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof host);
		snprintf(name, SERVER_NAME_BYTES, "%s:%u", host, ntohs(address.v4.sin_port));
	}
}

static int fail(const char *text, int error)
{
	switch (error) {
	case EADDRINUSE:
		return tool_fail(
			"export: %s is in use; take another port, or see by ss -ltnp what has it",
			text);
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
		return tool_fail("export: %s is no address of this machine; see ip address", text);
	case EACCES:
		return tool_fail("export: %s is for root alone; take a port from 1024 on", text);
	default:
		return tool_fail("export: %s: %s", text, strerror(error));
	}
}

int server_listen(const char *text, char name[SERVER_NAME_BYTES], int *status)
{
	union address address;
	const int yes = 1;
	int fd;

	if (!parse_address(text, &address)) {
		*status = tool_usage(
			&command_export,
			"export: --listen %s is none of ADDRESS:PORT, [ADDRESS]:PORT and PORT",
			text);
		return -1;
	}
	fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* A port on which connections of a former exporter are still ending can be had at
	   once. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
	    bind(fd, &address.any,
	         address.any.sa_family == AF_INET6 ? sizeof address.v6 : sizeof address.v4) != 0 ||
	    listen(fd, SOMAXCONN) != 0) {
		*status = fail(text, errno);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	name_of(fd, name);
	return fd;
}
