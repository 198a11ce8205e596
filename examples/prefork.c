/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prefork: a server with children, one of whom it can do without.
 *
 *     prefork MIB SIZE[:ADJ]...
 *
 * Starts a child for each further argument, which takes SIZE MiB and sets its
 * oom_score_adj to ADJ (0); then the parent wants MIB for itself. It knows
 * nothing of oomreclaim, which is preloaded and told by its settings what to do
 * when the memory cgroup of them all is full:
 *
 *     OOMRECLAIM_CONF=limit:auto,policy:kill,kill_target:children,costly:off
 *
 * The child that the kernel's own measure finds worst is killed, the parent gets
 * its memory, and the other children never notice. Prints who died and what the
 * parent got; exit status 0 if it got everything, 1 if it did not.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN_MAX = 64, BLOCK_BYTES = 1 << 20 };

struct child {
	pid_t pid;
	long mib;
	long oom_score_adj;
};

static struct child children[CHILDREN_MAX];
static unsigned count;

/* Taken and touched: what is only mapped is not counted by a cgroup. */
static long take(long mib)
{
	long got = 0;

	for (; got < mib; got++) {
		void *block = malloc(BLOCK_BYTES);

		if (block == NULL)
			break;
		memset(block, 1, BLOCK_BYTES);
	}
	return got;
}

static int set_oom_score_adj(long value)
{
	FILE *file = fopen("/proc/self/oom_score_adj", "w");
	int error;

	if (file == NULL)
		return -1;
	error = fprintf(file, "%ld", value) < 0;
	return fclose(file) != 0 || error ? -1 : 0;
}

static void serve(const struct child *child, int ready)
{
	char answer = 'y';

	signal(SIGTERM, SIG_DFL);
	if (set_oom_score_adj(child->oom_score_adj) != 0 || take(child->mib) < child->mib)
		answer = 'n';
	if (write(ready, &answer, 1) != 1 || answer != 'y')
		_exit(1);
	for (;;)
		pause();
}

static int start(struct child *child)
{
	int ready[2];
	char answer = 'n';

	if (pipe(ready) != 0)
		return -1;
	child->pid = fork();
	if (child->pid == 0) {
		close(ready[0]);
		serve(child, ready[1]);
	}
	close(ready[1]);
	if (child->pid < 0 || read(ready[0], &answer, 1) != 1)
		answer = 'n';
	close(ready[0]);
	return answer == 'y' ? 0 : -1;
}

static unsigned report_dead(void)
{
	unsigned dead = 0;
	int status;

	for (unsigned i = 0; i < count; i++) {
		if (waitpid(children[i].pid, &status, WNOHANG) != children[i].pid)
			continue;
		dead++;
		printf("child %u (%ld MiB, oom_score_adj %ld) died of signal %d\n", i + 1,
		       children[i].mib, children[i].oom_score_adj,
		       WIFSIGNALED(status) ? WTERMSIG(status) : 0);
		children[i].pid = 0;
	}
	return dead;
}

static void stop_all(void)
{
	for (unsigned i = 0; i < count; i++)
		if (children[i].pid > 0) {
			kill(children[i].pid, SIGTERM);
			waitpid(children[i].pid, NULL, 0);
		}
}

static int parse(const char *text, struct child *child)
{
	char *end;

	errno = 0;
	child->mib = strtol(text, &end, 10);
	child->oom_score_adj = *end == ':' ? strtol(end + 1, &end, 10) : 0;
	return errno != 0 || *end != '\0' || child->mib <= 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	long wanted = argc > 1 ? strtol(argv[1], NULL, 10) : 0, got;
	unsigned dead;

	if (wanted <= 0 || argc - 2 > CHILDREN_MAX) {
		fprintf(stderr, "usage: prefork MIB SIZE[:ADJ]...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		if (parse(argv[i], &children[count]) != 0) {
			fprintf(stderr, "prefork: %s: not SIZE[:ADJ]\n", argv[i]);
			return 2;
		}
		if (start(&children[count]) != 0) {
			fprintf(stderr, "prefork: child %u did not start\n", count + 1);
			stop_all();
			return 2;
		}
		count++;
	}
	got = take(wanted);
	dead = report_dead();
	printf("parent: got %ld of %ld MiB, %u of %u children died\n", got, wanted, dead, count);
	fflush(stdout);
	stop_all();
	return got == wanted ? 0 : 1;
}
