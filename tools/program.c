/* SPDX-License-Identifier: BSD-2-Clause */
#include "program.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tool.h"

/* The kernel's bound, for scripts with interpreters that are scripts. */
#define SCRIPTS_MAX 4

#define LIBRARY "liboomreclaim.so.0"
#define DEBUG_LIBRARY "liboomreclaim-debug.so.0"

static bool is_executable(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* As execvp() does; a file that is there and can't be executed is remembered. */
static bool search_path(const char *name, char path[PATH_MAX], char refused[PATH_MAX])
{
	const char *list = getenv("PATH");

	for (list = list != NULL ? list : "/bin:/usr/bin"; list != NULL;) {
		int length = (int)strcspn(list, ":");

		if (snprintf(path, PATH_MAX, "%.*s%s%s", length, list, length > 0 ? "/" : "./",
		             name) < PATH_MAX) {
			if (is_executable(path))
				return true;
			if (access(path, F_OK) == 0)
				strcpy(refused, path);
		}
		list = list[length] == ':' ? list + length + 1 : NULL;
	}
	return false;
}

static int not_executable(const char *path)
{
	struct stat status;

	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
		return tool_fail("%s: is a directory, not a program", path);
	return tool_fail("%s: not executable; chmod +x it, or put its interpreter in front", path);
}

static int find_file(const char *command, char path[PATH_MAX])
{
	char refused[PATH_MAX] = "";

	if (command[0] == '\0')
		return tool_fail("the program's name is empty; give one");
	if (strchr(command, '/') == NULL) {
		if (search_path(command, path, refused))
			return TOOL_OK;
		if (refused[0] != '\0')
			return not_executable(refused);
		return tool_fail("%s: not found in PATH; install it, or give its path", command);
	}
	if (strlen(command) >= PATH_MAX)
		return tool_fail("%.40s...: the path is too long", command);
	strcpy(path, command);
	if (access(path, F_OK) != 0)
		return tool_fail("%s: %s; check the path", path, strerror(errno));
	return is_executable(path) ? TOOL_OK : not_executable(path);
}

/* The kernel takes the file's capabilities as it does the set-user-ID bit. A user that has the
   identity already gains nothing by either. */
static bool is_set_id(const char *path)
{
	struct stat status;
	uid_t user = geteuid();

	if (stat(path, &status) != 0)
		return false;
	if ((status.st_mode & S_ISUID) != 0 && status.st_uid != user)
		return true;
	if ((status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
	    status.st_gid != getegid())
		return true;
	return user != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
}

/* The script's author may have meant the text for the terminal. */
static bool has_control(const char *text)
{
	while (*text != '\0' && !iscntrl((unsigned char)*text))
		text++;
	return *text != '\0';
}

/* The first word of a "#!" line, or the second where the first is env; false if it is no script, or
   one that names no sensible path. */
static bool read_interpreter(const char *path, char interpreter[PATH_MAX])
{
	char line[256], *word, *rest;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t bytes = fd >= 0 ? read(fd, line, sizeof line - 1) : -1;

	if (fd >= 0)
		close(fd);
	if (bytes < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[bytes] = '\0';
	line[strcspn(line, "\n")] = '\0';
	word = strtok_r(line + 2, " \t", &rest);
	if (word == NULL)
		return false;
	if (has_control(word))
		return false;
	strcpy(interpreter, word);
	word = strrchr(interpreter, '/');
	if (word == NULL || strcmp(word, "/env") != 0)
		return true;
	while ((word = strtok_r(NULL, " \t", &rest)) != NULL &&
	       (word[0] == '-' || strchr(word, '=')))
		continue;
	if (word != NULL && has_control(word))
		return false;
	if (word != NULL)
		strcpy(interpreter, word);
	return true;
}

int program_find(const char *command, struct program *program)
{
	char interpreter[PATH_MAX];
	int status;

	memset(program, 0, sizeof *program);
	status = find_file(command, program->path);
	for (int i = 0; status == TOOL_OK && i < SCRIPTS_MAX; i++) {
		if (!read_interpreter(program->path, interpreter))
			break;
		if (program->script[0] == '\0')
			strcpy(program->script, program->path);
		status = find_file(interpreter, program->path);
	}
	if (status != TOOL_OK)
		return status;
	/* Its own bit does nothing for a script. */
	program->is_set_id = is_set_id(program->path);
	program->is_readable = elf_facts_read(program->path, &program->elf) == 0;
	return TOOL_OK;
}

/* Libraries that bring a malloc, by the beginning of their names. */
static const struct {
	const char *prefix;
	bool is_sanitizer; /* it has to come first, and refuses to be second */
} allocators[] = {{"libjemalloc.", false}, {"libtcmalloc", false},     {"libmimalloc", false},
                  {"libhoard.", false},    {"libsnmalloc", false},     {"librpmalloc", false},
                  {"libscudo", false},     {"liboomreclaim.", false},  {"libasan.", true},
                  {"libtsan.", true},      {"libclang_rt.asan", true}, {"libclang_rt.tsan", true}};

static int find_allocator(const struct elf_facts *elf, const char **library)
{
	for (unsigned i = 0; i < elf->needed_count; i++)
		for (size_t j = 0; j < COUNT(allocators); j++)
			if (strncmp(elf->needed[i], allocators[j].prefix,
			            strlen(allocators[j].prefix)) == 0) {
				*library = elf->needed[i];
				return (int)j;
			}
	return -1;
}

const char *program_allocator(const struct elf_facts *elf)
{
	const char *library = NULL;

	find_allocator(elf, &library);
	return library;
}

static bool has_sanitizer(const struct elf_facts *elf)
{
	const char *library;
	int allocator = find_allocator(elf, &library);

	return allocator >= 0 && allocators[allocator].is_sanitizer;
}

const char *program_obstacle(const struct program *program)
{
	if (program->is_set_id)
		return "it runs with privileges that you lack, and then LD_PRELOAD is ignored; start it "
		       "as the user it is for, or link it with -loomreclaim";
	if (!program->is_readable || !program->elf.is_elf)
		return NULL;
	if (!program->elf.is_native)
		return "it is for another machine or word length than the library; build it for this "
		       "one";
	if (program->elf.interpreter[0] == '\0')
		return program->elf.is_go
		               ? "it is a Go program, linked statically: Go has a heap of its "
		                 "own; set GOMEMLIMIT instead"
		               : "it is linked statically, so nothing can be preloaded; link "
		                 "it dynamically, or with -loomreclaim";
	if (strstr(program->elf.interpreter, "ld-musl") != NULL)
		return "it is linked with musl, and the library needs glibc; build it with glibc";
	if (program->elf.defines_malloc)
		return "it brings a malloc of its own, which comes before any library's; build it with "
		       "the system's malloc";
	if (has_sanitizer(&program->elf))
		return "a sanitizer's runtime has to be the only malloc; build it without -fsanitize";
	return NULL;
}

/* ---- The library ---- */

static bool join(char path[PATH_MAX], const char *directory, const char *between, const char *name)
{
	return snprintf(path, PATH_MAX, "%s%s/%s", directory, between, name) < PATH_MAX;
}

static bool find_beside(char path[PATH_MAX], const char *name)
{
	/* In one directory; as installed, wherever to; as other distributions have it; as built. */
	static const char *const places[] = {"",
	                                     "/" OOMRECLAIM_BIN_TO_LIB,
	                                     "/../lib64",
	                                     "/../lib",
	                                     "/../lib/" OOMRECLAIM_MULTIARCH,
	                                     "/../src"};
	char self[PATH_MAX], *slash;
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);

	if (length > 0) {
		self[length] = '\0';
		slash = strrchr(self, '/');
		if (slash != NULL)
			*slash = '\0';
		for (size_t i = 0; i < COUNT(places); i++)
			if (join(path, self, places[i], name) && access(path, R_OK) == 0)
				return true;
	}
	return join(path, OOMRECLAIM_LIBDIR, "", name) && access(path, R_OK) == 0;
}

int library_find(const char *named, bool is_debug, char path[PATH_MAX])
{
	const char *name = is_debug ? DEBUG_LIBRARY : LIBRARY;
	char found[PATH_MAX];

	if (named == NULL && !find_beside(found, name))
		return tool_fail("%s is neither beside this command nor in %s; install it, or name "
		                 "it with --library",
		                 name, OOMRECLAIM_LIBDIR);
	if (realpath(named != NULL ? named : found, path) == NULL)
		return tool_fail("%s: %s; name the library with --library",
		                 named != NULL ? named : found, strerror(errno));
	if (strpbrk(path, ": \t") != NULL)
		return tool_fail("%s: LD_PRELOAD can't hold a path with blanks or colons; move the "
		                 "library, or name a link with --library",
		                 path);
	return TOOL_OK;
}
