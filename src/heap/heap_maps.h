/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mappings of the heap, counted: vm.max_map_count is a limit of the whole process, and what the
 * heap uses up of it the program's own mmap(), pthread_create() and fork() lack.
 *
 * Unmapping the middle of a mapping makes two of it. So addresses are unmapped only where they are
 * what is short, and as long as the heap has few mappings; elsewhere their pages are given back and
 * the addresses kept. The count is what the kernel's is where the heap's mappings touch none but
 * each other. Between two threads that map or unmap side by side at one moment it may be off by
 * one.
 */
#ifndef OOM_HEAP_MAPS_H
#define OOM_HEAP_MAPS_H

#include <stdbool.h>
#include <stddef.h>

/* The part of vm.max_map_count that the heap takes at most: a fifth. Read from /proc where the
   process has a limit on its addresses at its start; else the kernel's default is taken for
   granted. */
void heap_maps_init(void);

/* A mapping came to be. */
void heap_maps_added(const void *addr, size_t bytes);

size_t heap_maps_count(void);

/* Whether there is an extent of the heap at this address: there is a record at the boundaries of
   each. */
bool heap_maps_has_extent(const void *addr);

/* Whether the heap has, or had, a mapping above this address. */
bool heap_maps_is_below_top(const void *addr);

/* Whether this thread may make a mapping two by unmapping its middle, as long as there are few.
   False at first. Returns what it was. */
bool heap_maps_let_split(bool let);

/* Whether the process can have one mapping more, of one page. If so a mapping that was refused was
   too large: addresses are short, and not mappings. */
bool heap_maps_has_slot(void);

/* Whether the process can have so many bytes more, which are whole pages, for the heap. */
bool heap_maps_has_room(size_t bytes);

/* Unmaps what is in no extent any more, if that does not make too many mappings. False where it
   stays mapped: then it is as it was. */
bool heap_maps_try_unmap(void *addr, size_t bytes);

/* Unmaps what nobody will ask for again. What the system refuses to unmap is given back as pages,
   kept in mind, and tried again by heap_maps_retry(). unmap is for what was never counted. */
void heap_maps_drop(void *addr, size_t bytes);
void heap_maps_unmap(void *addr, size_t bytes);
void heap_maps_retry(void);

#endif
