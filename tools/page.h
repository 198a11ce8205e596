/* SPDX-License-Identifier: BSD-2-Clause */
/* The pages of counters that processes share: see src/report/stats_layout.h. */
#ifndef PAGE_H
#define PAGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "report/stats_layout.h"

enum page_error {
	PAGE_OK,
	PAGE_NO_PROCESS,
	PAGE_ENDED, /* its parent has not waited for it yet */
	PAGE_FORBIDDEN,
	PAGE_NONE,    /* the process has none */
	PAGE_FOREIGN, /* it has another's, of which it is a copy */
	PAGE_VERSION, /* of a library that is not this command's */
	PAGE_BUSY     /* it was never whole */
};

/* Copies the page of a process. What is in it has been looked at: texts end and are printable,
   numbers are within their tables. */
enum page_error page_read(pid_t pid, struct stats_page *page);

/* The page of a process, to be kept open: it outlives the process. -1: none. */
int page_open(pid_t pid);

/* What is in it when nobody writes to it any more. False if it is no page of this version. */
bool page_read_last(int fd, struct stats_page *page);

/* What is wrong, in one line that says what to do. For PAGE_VERSION `page` is what page_read()
   left. */
int page_fail(pid_t pid, enum page_error error, const struct stats_page *page);

/* PAGE_OK if the process may be looked at, whether or not it has a page; else why not. */
enum page_error page_may_look(pid_t pid);
/* True if the library is in it. */
bool page_has_library(pid_t pid);

/* The mount on which the descriptor's file lies, or -1. The kernel has it without asking the file
   system. */
int page_mount_of(int fd);
/* Of a thread, by its directory in /proc: it is one of the library's, which has descriptors of its
   own. */
bool page_has_own_table(const char *task);

/* Reads the file stat of a task (/proc/PID, or a thread's directory below it) into `text`. Returns
   the part from the parenthesis behind the name on: the state, the parent, and so on; NULL if the
   file can't be read. */
const char *page_stat(const char *task, char *text, size_t bytes);

/* The nearest process above it that is shown; 0 where there is none. Processes come and go
   meanwhile: a way that is longer than there are levels leads in a circle. */
#define PAGE_LEVELS_MAX 100
pid_t page_ancestor(pid_t pid, bool (*is_shown)(pid_t pid, const void *arg), const void *arg);

/* True for a zombie: a process that has ended, or the first thread of one that goes on. By its
   directory in /proc. */
bool page_has_ended(const char *task);

/* True if it is so of one of the process's threads, by its directory in /proc. */
bool page_any_thread(pid_t pid, bool (*is_it)(const char *task, void *arg), void *arg);

/* Takes out a total that the process does not share: it has none of that id mapped. */
void page_check_total(pid_t pid, struct stats_page *page);

/* What a process has written: no number leads out of the page, and no text is more than one. */
void page_sanitize(struct stats_page *page);

#define PAGE_COMM_MAX 16
/* The process's name as ps has it, "?" if unknown. */
void page_comm(pid_t pid, char name[PAGE_COMM_MAX]);

/* Calls `visit` with every process whose page can be read; returns how many. */
unsigned page_walk(void (*visit)(pid_t pid, const struct stats_page *page, void *arg), void *arg);

#endif
