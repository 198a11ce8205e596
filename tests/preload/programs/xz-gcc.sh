#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# xz, tar and gcc: a stream compressed by two threads and back, and the chain of processes of a
# compiler, down to the bytes of the object file.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

need xz tar gcc as ld

mkdir tree
i=0
while [ "$i" -lt 40 ]; do
	seq "$i" 29 300000 >"tree/$i.txt"
	cp "$lib" tree/library
	i=$((i + 1))
done

cat >pack.sh <<'WORK'
set -eu
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf packed.tar tree
xz -T2 --block-size=1MiB -3 -k -f packed.tar
cksum <packed.tar.xz
xz -T2 -t -v packed.tar.xz 2>/dev/null
mkdir again
xz -T2 -dc packed.tar.xz | tar -xf - -C again
diff -r tree again/tree
rm -rf packed.tar packed.tar.xz again
WORK
compare pack sh pack.sh
witnessed xz tar sh

cat >program.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW(n) static int row##n(int x) { return x * n + (x ^ n) % (n + 1); }
#define TEN(n) ROW(n##0) ROW(n##1) ROW(n##2) ROW(n##3) ROW(n##4) ROW(n##5) ROW(n##6) ROW(n##7)
TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9)
#define CALL(n) row##n##0, row##n##1, row##n##2, row##n##3, \
		row##n##4, row##n##5, row##n##6, row##n##7
static int (*const rows[])(int) = {CALL(1), CALL(2), CALL(3), CALL(4), CALL(5),
				   CALL(6), CALL(7), CALL(8), CALL(9)};

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(void)
{
	enum { COUNT = 100000 };
	char **lines = calloc(COUNT, sizeof *lines), text[64];
	unsigned long sum = 0;

	for (int i = 0; i < COUNT; i++) {
		snprintf(text, sizeof text, "%d:%d", rows[i % (sizeof rows / sizeof *rows)](i), i);
		lines[i] = strdup(text);
	}
	qsort(lines, COUNT, sizeof *lines, compare);
	for (int i = 0; i < COUNT; i++) {
		sum = sum * 31 + strlen(lines[i]) + (unsigned char)lines[i][0];
		free(lines[i]);
	}
	free(lines);
	printf("%lu\n", sum);
	return 0;
}
C
cat >compile.sh <<'WORK'
set -eu
gcc -O2 -g -Wall -c -o program.o program.c
cksum <program.o
gcc -o program program.o
./program
gcc -O2 -flto -o program program.c
./program
rm program program.o
WORK
compare compile sh compile.sh
witnessed gcc cc1 as ld program
