/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtimes.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

#define ALLOCATES_AT_ITS_END                                                                            \
	"abort is better here: after a malloc() that fails it writes a report, which allocates, fails " \
	"and begins again, without end"

/* Patterns of names: the program's own, as it was called and behind all links, and of a library. */
static const struct {
	const char *const programs[3];
	const char *library;
	struct runtime runtime;
} known[] = {
	{{"java", "jshell"},
         "libjli.so*",
         {"Java",
          "Java's heap is mapped by the JVM: -Xmx limits it, -XX:MaxRAMPercentage in a container; the "
          "limit here is for what the JVM and native libraries allocate",
          NULL, true}},
	{{"node", "nodejs"},
         "libnode.so*",
         {"node",
          "V8's heap is mapped by V8: --max-old-space-size=MiB (NODE_OPTIONS) limits it; Buffers come "
          "from malloc()",
          NULL, true}},
	{{"dotnet"},
         "libcoreclr.so*",
         {".NET", "the heap is mapped by .NET: DOTNET_GCHeapHardLimit limits it", NULL, true}},
	{{"php", "php[0-9]*", "php-*"},
         NULL,
         {"PHP",
          "scripts' memory is mapped in pieces of 2 MiB: memory_limit in php.ini limits it; "
          "USE_ZEND_ALLOC=0 brings it to malloc()",
          NULL, true}},
	{{"python[0-9]*", "python"},
         "libpython[0-9]*",
         {"Python",
          "objects of up to 512 bytes are in arenas that Python maps: PYTHONMALLOC=malloc brings them "
          "to malloc(), at a price",
          NULL, false}},
	{{"postgres", "postmaster"},
         NULL,
         {"PostgreSQL",
          "shared_buffers is shared memory, and not charged to limit:SIZE, which each backend has for "
          "itself; run --total is for all of them together",
          NULL, false}},
	{{"redis-server", "valkey-server", "keydb-server"},
         NULL,
         {"Redis", NULL, ALLOCATES_AT_ITS_END, false}},
};

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static bool is_linked_with(const struct elf_facts *elf, const char *library)
{
	for (unsigned i = 0; library != NULL && i < elf->needed_count; i++)
		if (fnmatch(library, elf->needed[i], 0) == 0)
			return true;
	return false;
}

static bool is_called(size_t number, const char *name)
{
	for (size_t i = 0; i < COUNT(known[0].programs); i++)
		if (known[number].programs[i] != NULL &&
		    fnmatch(known[number].programs[i], name, 0) == 0)
			return true;
	return false;
}

const struct runtime *runtime_find(const struct program *program)
{
	const struct runtime *found = NULL;
	char *real = realpath(program->path, NULL);

	for (size_t i = 0; i < COUNT(known) && found == NULL; i++)
		if (is_called(i, last_part(program->path)) ||
		    (real != NULL && is_called(i, last_part(real))) ||
		    is_linked_with(&program->elf, known[i].library))
			found = &known[i].runtime;
	free(real);
	return found;
}
