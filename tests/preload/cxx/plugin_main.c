/* SPDX-License-Identifier: BSD-2-Clause */
/* A program in C that knows nothing of C++: plugin_main PLUGIN [ARGUMENT] calls the plug-in's
   plugin_main(). */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	void *plugin = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	int (*plugin_main)(int argc, char **argv);

	if (!plugin) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
	*(void **)&plugin_main = dlsym(plugin, "plugin_main");
	return plugin_main(argc - 1, argv + 1);
}
