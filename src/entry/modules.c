/* SPDX-License-Identifier: BSD-2-Clause */
#include "entry/modules.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/io.h"
#include "oomreclaim_module.h"

/* How long a module may take to start. */
#define TRIAL_MS 10000

/* What became of a module; more than one byte would not fit what the child sends. */
enum outcome { ENDED, STARTED, NOT_LOADED, NO_ABI, OTHER_ABI, REFUSED, HUNG };

bool modules_next(const char **list, struct module *module)
{
	const char *text = *list + strspn(*list, "+");
	size_t length = strcspn(text, "+");
	const char *equals = memchr(text, '=', length);
	size_t name_length = equals != NULL ? (size_t)(equals - text) : length;
	struct io_buf file = {module->file, sizeof module->file, 0};
	struct io_buf argument = {module->argument, sizeof module->argument, 0};

	if (length == 0)
		return false;
	io_printf(&file, "%.*s", (int)name_length, text);
	io_printf(&argument, "%.*s", equals != NULL ? (int)(length - name_length - 1) : 0,
	          equals != NULL ? equals + 1 : "");
	*list = text + length;
	return true;
}

const char *modules_distrust(const char *path)
{
	char part[sizeof((struct module *)NULL)->file];
	struct io_buf buf = {part, sizeof part, 0};
	struct stat status;

	if (path[0] != '/')
		return "not an absolute path";
	io_printf(&buf, "%s", path);
	/* From the file up to the root: a user that may rename a directory may put another in its
	   place. */
	for (char *slash = part + strlen(part); slash != NULL; slash = strrchr(part, '/')) {
		*slash = '\0';
		if (lstat(part[0] != '\0' ? part : "/", &status) != 0)
			return strerrordesc_np(errno);
		if (status.st_uid != 0 ||
		    (!S_ISLNK(status.st_mode) && (status.st_mode & (S_IWGRP | S_IWOTH)) != 0))
			return "others than root may write it or a directory above it";
	}
	return NULL;
}

/* The directory of modules that belongs to this library: beside it. */
static bool find_beside(struct module *module)
{
	char path[sizeof module->file];
	struct io_buf buf = {path, sizeof path, 0}, file = {module->file, sizeof module->file, 0};
	const char *slash;
	Dl_info self;

	if (dladdr((void *)(uintptr_t)modules_load, &self) == 0)
		return false;
	slash = strrchr(self.dli_fname, '/');
	io_printf(&buf, "%.*s/oomreclaim/%s.so", slash != NULL ? (int)(slash - self.dli_fname) : 1,
	          slash != NULL ? self.dli_fname : ".", module->file);
	if (access(path, F_OK) != 0) {
		buf.used = 0;
		io_printf(&buf, "%s/%s.so", OOM_MODULE_DIR, module->file);
	}
	if (access(path, F_OK) != 0)
		return false;
	io_printf(&file, "%s", path);
	return true;
}

/* Turns the name into a path; or NULL, or what is wrong. */
static const char *find(struct module *module)
{
	char resolved[PATH_MAX];

	if (strchr(module->file, '/') == NULL) {
		if (!find_beside(module))
			return "no such module in the directory oomreclaim beside the library";
	} else if (module->file[0] != '/') {
		return "neither a name nor an absolute path";
	} else if (access(module->file, F_OK) != 0) {
		return strerrordesc_np(errno);
	}
	if (getauxval(AT_SECURE) == 0)
		return NULL;
	/* The file that is checked is the file that is loaded: links are resolved once. */
	if (realpath(module->file, resolved) == NULL)
		return strerrordesc_np(errno);
	if (strlen(resolved) >= sizeof module->file)
		return strerrordesc_np(ENAMETOOLONG);
	strcpy(module->file, resolved);
	return modules_distrust(resolved);
}

static enum outcome start(const struct module *module)
{
	void *loaded = dlopen(module->file, RTLD_NOW | RTLD_LOCAL);
	int (*init)(const char *argument);
	const unsigned *abi;
	enum outcome outcome = STARTED;

	if (loaded == NULL)
		return NOT_LOADED;
	abi = dlsym(loaded, "oomreclaim_module_abi");
	*(void **)&init = dlsym(loaded, "oomreclaim_module_init");
	if (abi == NULL || init == NULL)
		outcome = NO_ABI;
	else if (*abi != OOMRECLAIM_MODULE_ABI)
		outcome = OTHER_ABI;
	else if (init(module->argument) != 0)
		outcome = REFUSED;
	if (outcome != STARTED)
		dlclose(loaded);
	return outcome;
}

/* With a file of one byte none is written, and no program is started to take it; 0, which may be
   all that is allowed, would still start one. */
static void leave_no_core(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_CORE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max < 1 ? limit.rlim_max : 1;
	setrlimit(RLIMIT_CORE, &limit);
}

static _Noreturn void try_in_child(const struct module *module, int out)
{
	int null, high = fcntl(out, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	unsigned char outcome;

	/* Where the program has some of the three closed, the pipe is there. */
	if (high >= 0)
		out = high;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* The program's input and output are not for a trial. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	leave_no_core();
	outcome = (unsigned char)start(module);
	_exit(write(out, &outcome, sizeof outcome) == sizeof outcome ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* What the child says. The time is kept here: there a module, or a signal mask that the program was
   started with, could undo that. */
static enum outcome hear(int in, pid_t child)
{
	struct pollfd ready = {.fd = in, .events = POLLIN};
	unsigned char outcome = ENDED;
	int count;

	while ((count = poll(&ready, 1, TRIAL_MS)) < 0 && errno == EINTR)
		;
	if (count == 0) {
		kill(child, SIGKILL);
		return HUNG;
	}
	while (read(in, &outcome, sizeof outcome) < 0 && errno == EINTR)
		;
	return outcome;
}

/* What start() would come to here; of ENDED, by which signal. -errno where there was no child. */
static int try(const struct module *module, int *signal_number)
{
	enum outcome outcome;
	int fds[2], status = 0, error;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		try_in_child(module, fds[1]);
	error = errno;
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return -error;
	}
	outcome = hear(fds[0], pid);
	close(fds[0]);
	/* Where SIGCHLD is ignored nobody knows how it ended. */
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR) {
			status = 0;
			break;
		}
	*signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	return (int)outcome;
}

static const char *describe(enum outcome outcome)
{
	switch (outcome) {
	case ENDED:
		return "it ends the process";
	case NOT_LOADED:
		return "it can't be loaded, or a library that it needs is missing";
	case NO_ABI:
		return "not a module of oomreclaim";
	case OTHER_ABI:
		return "made for another version of oomreclaim";
	case REFUSED:
		return "it refused to start; is its argument right?";
	case HUNG:
		return "it does not come to an end";
	case STARTED:
		break;
	}
	return NULL;
}

/* NULL, or what is wrong. */
static const char *find_and_try(struct module *module)
{
	const char *problem = find(module);
	int signal_number = 0, outcome;

	if (problem != NULL)
		return problem;
	outcome = try(module, &signal_number);
	if (outcome < 0)
		return strerrordesc_np(-outcome);
	if (outcome == ENDED && signal_number != 0)
		return sigdescr_np(signal_number);
	return describe((enum outcome)outcome);
}

static void load(struct module *module)
{
	const char *problem = find_and_try(module);

	if (problem == NULL)
		problem = describe(start(module));
	if (problem != NULL)
		io_warn("modules: %s: %s; left out", module->file, problem);
}

void modules_load(const char *list)
{
	struct module module;

	while (modules_next(&list, &module))
		load(&module);
}
