/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs one test program and holds its end against what is expected.
 *
 *     run [OPTION...] -- PROGRAM [ARGUMENT...]
 *
 *     --preload FILE      in LD_PRELOAD, of the program alone; may be given again
 *     --as SIZE           RLIMIT_AS (64M); --data SIZE: RLIMIT_DATA
 *     --conf TEXT         OOMRECLAIM_CONF; --malloc-conf TEXT: MALLOC_CONF
 *     --status N          the exit status, 0 by default; --signal N: the signal that ends it
 *     --stderr REGEX      has to be in what it writes to stderr, a line being what ^ and $ mean;
 *                         may be given again. Without it, stderr has to stay empty.
 *     --lines N           how many lines that is, but for the report's stack
 *     --seconds N         a program that takes longer has failed; 240 by default
 *     --log REGEX         has to be in the log, which is set by log:PATH to an empty file
 *
 * Exit status: 0, or 1 with what is wrong and all that the program wrote.
 */
#include <err.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REGEXES_MAX = 16, TEXT_MAX = 1 << 16 };

static struct {
	char preload[4096];
	char conf[4096];
	const char *malloc_conf;
	rlim_t as, data;
	int status, signal, lines;
	unsigned seconds; /* behind which SIGALRM ends the program */
	const char *stderr_regex[REGEXES_MAX], *log_regex[REGEXES_MAX];
	int stderr_regexes, log_regexes;
	char log_path[64];
} want = {.as = RLIM_INFINITY, .data = RLIM_INFINITY, .lines = -1, .seconds = 240};

static rlim_t size_of(const char *text)
{
	char *end;
	rlim_t size = strtoul(text, &end, 10);

	if (end == text || (*end && (end[1] || !strchr("KMG", *end))))
		errx(2, "not a size: %s", text);
	return size << (*end == 'G' ? 30 : *end == 'M' ? 20 : *end == 'K' ? 10 : 0);
}

static void append(char *text, size_t bytes, const char *separator, const char *more)
{
	size_t used = strlen(text);

	snprintf(text + used, bytes - used, "%s%s", used ? separator : "", more);
}

static void keep_regex(const char **regexes, int *used, const char *regex)
{
	if (*used == REGEXES_MAX)
		errx(2, "too many expressions");
	regexes[(*used)++] = regex;
}

static void take_option(const char *name, const char *value)
{
	if (!strcmp(name, "--preload"))
		append(want.preload, sizeof want.preload, ":", value);
	else if (!strcmp(name, "--as"))
		want.as = size_of(value);
	else if (!strcmp(name, "--data"))
		want.data = size_of(value);
	else if (!strcmp(name, "--conf"))
		append(want.conf, sizeof want.conf, ",", value);
	else if (!strcmp(name, "--malloc-conf"))
		want.malloc_conf = value;
	else if (!strcmp(name, "--status"))
		want.status = atoi(value);
	else if (!strcmp(name, "--signal"))
		want.signal = atoi(value);
	else if (!strcmp(name, "--lines"))
		want.lines = atoi(value);
	else if (!strcmp(name, "--seconds"))
		want.seconds = (unsigned)atoi(value);
	else if (!strcmp(name, "--stderr"))
		keep_regex(want.stderr_regex, &want.stderr_regexes, value);
	else if (!strcmp(name, "--log"))
		keep_regex(want.log_regex, &want.log_regexes, value);
	else
		errx(2, "unknown option %s", name);
}

static void limit(__rlimit_resource_t resource, rlim_t bytes)
{
	const struct rlimit both = {bytes, bytes};

	if (bytes != RLIM_INFINITY && setrlimit(resource, &both))
		err(2, "setrlimit");
}

static void set_or_unset(const char *name, const char *value)
{
	if (value && *value ? setenv(name, value, 1) : unsetenv(name))
		err(2, "%s", name);
}

static __attribute__((noreturn)) void start(char **program, int stderr_fd)
{
	/* The build's directories, which an installed program does not have. */
	set_or_unset("LD_LIBRARY_PATH", NULL);
	set_or_unset("LD_PRELOAD", want.preload);
	set_or_unset("OOMRECLAIM_CONF", want.conf);
	set_or_unset("MALLOC_CONF", want.malloc_conf);
	if (dup2(stderr_fd, STDERR_FILENO) < 0)
		err(2, "dup2");
	alarm(want.seconds);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_DATA, want.data);
	limit(RLIMIT_AS, want.as);
	execv(program[0], program);
	err(2, "%s", program[0]);
}

static bool is_as_expected(int status)
{
	if (want.signal ? WIFSIGNALED(status) && WTERMSIG(status) == want.signal
	                : WIFEXITED(status) && WEXITSTATUS(status) == want.status)
		return true;
	if (WIFSIGNALED(status))
		warnx("ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		warnx("ended with status %d", WEXITSTATUS(status));
	warnx("expected %s %d", want.signal ? "signal" : "status",
	      want.signal ? want.signal : want.status);
	return false;
}

static bool has_all(const char *where, const char *text, const char **regexes, int count)
{
	bool is_found = true;
	regex_t compiled;

	for (int i = 0; i < count; i++) {
		if (regcomp(&compiled, regexes[i], REG_EXTENDED | REG_NEWLINE | REG_NOSUB))
			errx(2, "bad expression: %s", regexes[i]);
		if (regexec(&compiled, text, 0, NULL, 0)) {
			warnx("not in %s: %s", where, regexes[i]);
			is_found = false;
		}
		regfree(&compiled);
	}
	return is_found;
}

static const char *read_all(int fd, char text[TEXT_MAX])
{
	ssize_t got = pread(fd, text, TEXT_MAX - 1, 0);

	if (got < 0)
		err(2, "pread");
	text[got] = '\0';
	return text;
}

static int count_lines(const char *text)
{
	const char *const stack = "  stack: ", *const frame = "         ";
	int lines = 0;

	for (const char *end; (end = strchr(text, '\n')); text = end + 1)
		lines += strncmp(text, stack, strlen(stack)) != 0 &&
		         strncmp(text, frame, strlen(frame)) != 0;
	return lines;
}

static bool is_stderr_expected(const char *text)
{
	bool is_right = has_all("stderr", text, want.stderr_regex, want.stderr_regexes);

	if (!want.stderr_regexes && *text) {
		warnx("stderr is not empty");
		is_right = false;
	}
	if (want.lines >= 0 && count_lines(text) != want.lines) {
		warnx("%d lines on stderr, expected %d", count_lines(text), want.lines);
		is_right = false;
	}
	return is_right;
}

static int make_log(void)
{
	char pair[sizeof want.log_path + 8];
	int fd;

	strcpy(want.log_path, "/tmp/oomreclaim-log-XXXXXX");
	fd = mkstemp(want.log_path);
	if (fd < 0)
		err(2, "%s", want.log_path);
	snprintf(pair, sizeof pair, "log:%s", want.log_path);
	append(want.conf, sizeof want.conf, ",", pair);
	return fd;
}

int main(int argc, char **argv)
{
	static char text[TEXT_MAX], log[TEXT_MAX];
	int at = 1, stderr_fd, log_fd = -1, status;
	bool is_right;
	pid_t pid;

	for (; at + 1 < argc && strcmp(argv[at], "--"); at += 2)
		take_option(argv[at], argv[at + 1]);
	if (at + 1 >= argc)
		errx(2, "no program");
	if (want.log_regexes)
		log_fd = make_log();
	stderr_fd = memfd_create("stderr", MFD_CLOEXEC);
	pid = fork();
	if (stderr_fd < 0 || pid < 0)
		err(2, "cannot start");
	if (!pid)
		start(argv + at + 1, stderr_fd);
	if (waitpid(pid, &status, 0) != pid)
		err(2, "waitpid");
	is_right = is_as_expected(status);
	is_right &= is_stderr_expected(read_all(stderr_fd, text));
	if (log_fd >= 0) {
		is_right &=
			has_all("the log", read_all(log_fd, log), want.log_regex, want.log_regexes);
		unlink(want.log_path);
	}
	if (!is_right)
		fprintf(stderr, "--- stderr of the program\n%s--- log\n%s---\n", text, log);
	return is_right ? 0 : 1;
}
