/* SPDX-License-Identifier: BSD-2-Clause */
#include "background/ctl.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "background/background.h"
#include "background/rounds.h"
#include "background/watch.h"
#include "base/base.h"
#include "base/flight.h"
#include "base/fork_data.h"
#include "base/io.h"
#include "base/own_thread.h"
#include "config/policy_in_force.h"
#include "config/verbose.h"
#include "limits/budget.h"
#include "reclaim/registry.h"
#include "report/dump.h"
#include "report/report.h"

#define CHILD_NS NSEC_PER_SEC

/* One command, on its way between the two threads. All but the state belongs to the one of them
   that the state names. */
static struct {
	enum { FREE, ASKED, ANSWERED } _Atomic state; /* acquire and release */
	struct ctl_command command;
	pid_t by;
	char words[CTL_REQUEST_MAX + 1];
	char answer[CTL_ANSWER_MAX];
	size_t answer_bytes;
	atomic_int error; /* why there is no socket; 0: there is one, or it was said */
} desk;

/* When the process has come from a fork(); 0: it has not. Written where there is one thread. */
static uint64_t forked_ns;

static size_t kib(size_t bytes)
{
	return bytes >> 10;
}

/* ---- What is asked for. False: refused, and `out` says why. ---- */

/* Asks for so much, of one callback or all; returns what was claimed. */
static size_t ask_for(size_t bytes, oomreclaim_handle only)
{
	struct rounds rounds = {.reason = OOMRECLAIM_REASON_MANUAL, .only = only};

	while (rounds.claimed_bytes < bytes && !background_is_stopping())
		if (!rounds_make(&rounds, bytes - rounds.claimed_bytes))
			break;
	return rounds.claimed_bytes;
}

static bool do_reclaim(const struct ctl_command *command, struct io_buf *out)
{
	size_t before = budget_charged(), claimed;

	rounds_give_back(GROUP_KEEPS_LOW);
	claimed = ask_for(command->bytes, 0);
	rounds_give_back(claimed > 0 ? GROUP_KEEPS_LOW : GROUP_KEEPS_MIN);
	io_printf(out, "callbacks gave %zuK; charged %zuK, before %zuK", kib(claimed),
	          kib(budget_charged()), kib(before));
	return true;
}

static bool do_limit(const struct ctl_command *command, struct io_buf *out)
{
	struct rounds rounds = {.reason = OOMRECLAIM_REASON_MANUAL};
	bool goes_on = true;
	size_t excess;

	budget_set_limit(command->bytes);
	if (budget_excess() > 0)
		rounds_give_back(GROUP_KEEPS_LOW);
	while (goes_on && (excess = budget_excess()) > 0 && !background_is_stopping()) {
		goes_on = rounds_make(&rounds, excess);
		rounds_give_back(GROUP_KEEPS_LOW);
	}
	if (budget_excess() > 0)
		rounds_give_back(GROUP_KEEPS_MIN);
	if (command->bytes == SIZE_MAX)
		io_printf(out, "no limit");
	else
		io_printf(out, "limit %zuK", kib(command->bytes));
	io_printf(out, "; charged %zuK", kib(budget_charged()));
	if (budget_excess() > 0)
		io_printf(out, ", and nothing more to reclaim");
	return true;
}

static bool do_high(const struct ctl_command *command, struct io_buf *out)
{
	size_t high, low, limit = oomreclaim_get_limit();

	if (command->watermark.percent > 0 && limit == SIZE_MAX)
		io_printf(out, "a share of the limit, and there is none");
	else if (command->watermark.bytes > limit)
		io_printf(out, "above the limit of %zuK", kib(limit));
	if (out->used > 0)
		return false;
	budget_set_high(&command->watermark);
	budget_watermarks(&high, &low);
	if (high == SIZE_MAX)
		io_printf(out, "no watermark");
	else
		io_printf(out, "high %zuK, low %zuK", kib(high), kib(low));
	io_printf(out, "; charged %zuK", kib(budget_charged()));
	return true;
}

static bool do_policy(const struct ctl_command *command, struct io_buf *out)
{
	oomreclaim_set_policy(command->policy);
	io_printf(out, "policy %s", policy_name(command->policy));
	return true;
}

static bool do_report(const struct ctl_command *command, struct io_buf *out)
{
	(void)command;
	out->used = report_ask(out->text, out->bytes);
	return true;
}

static bool do_dump(const struct ctl_command *command, struct io_buf *out)
{
	char path[DUMP_PATH_MAX];
	int error = dump_write_asked(path);

	(void)command;
	if (error == -ENOTSUP)
		io_printf(out, "the setting oom_dump names no directory");
	else if (error == -EBUSY)
		io_printf(out, "another dump is under way");
	else if (error != 0)
		io_printf(out, "%s: %s", path, strerrordesc_np(-error));
	else
		io_printf(out, "wrote %s", path);
	return error == 0;
}

/* All callbacks of that name, until it is enough. */
static bool do_callback(const struct ctl_command *command, struct io_buf *out)
{
	struct registry_code code = {.handle = 0};
	unsigned found = 0, flags = 0;
	size_t claimed = 0;

	while (registry_next_code(&code)) {
		if (strcmp(code.name, command->name) != 0)
			continue;
		found++;
		flags |= code.flags;
		if (claimed < command->bytes)
			claimed += ask_for(command->bytes - claimed, code.handle);
	}
	if (found == 0)
		io_printf(out, "no callback has that name; report lists them");
	else if (claimed == 0 && (flags & OOMRECLAIM_CALLBACK_DIRECT) != 0)
		io_printf(out, "it is for threads alone that need the memory");
	else if (claimed == 0 && (flags & OOMRECLAIM_CALLBACK_ROOM) != 0)
		io_printf(out, "it is told of room, and frees nothing");
	if (out->used > 0)
		return false;
	rounds_give_back(GROUP_KEEPS_LOW);
	io_printf(out, "gave %zuK; charged %zuK", kib(claimed), kib(budget_charged()));
	return true;
}

static bool do_verbose(const struct ctl_command *command, struct io_buf *out)
{
	verbose_set(command->is_on);
	io_printf(out, "verbose %s", command->is_on ? "on" : "off");
	return true;
}

static bool (*const deeds[CTL_VERBS])(const struct ctl_command *command, struct io_buf *out) = {
	[CTL_RECLAIM] = do_reclaim,   [CTL_LIMIT] = do_limit,     [CTL_HIGH] = do_high,
	[CTL_POLICY] = do_policy,     [CTL_REPORT] = do_report,   [CTL_DUMP] = do_dump,
	[CTL_CALLBACK] = do_callback, [CTL_VERBOSE] = do_verbose,
};

/* ---- Between the threads ---- */

bool ctl_is_free(void)
{
	return atomic_load_explicit(&desk.state, memory_order_acquire) == FREE;
}

/* For the events. */
static void note_words(const char *request)
{
	size_t used = 0;

	for (const char *word = request; used < sizeof desk.words && *word != '\0';
	     word += strlen(word) + 1) {
		struct io_buf buf = {.text = desk.words, .bytes = sizeof desk.words, .used = used};

		if (used > 0)
			io_printf(&buf, " ");
		io_puts_clean(&buf, word);
		used = buf.used;
	}
}

void ctl_hand_over(const struct ctl_command *command, const char *request, pid_t by)
{
	desk.command = *command;
	desk.by = by;
	note_words(request);
	atomic_store_explicit(&desk.state, ASKED, memory_order_release);
	own_thread_call(WATCH_CONTROL);
}

const char *ctl_answer(size_t *bytes)
{
	if (atomic_load_explicit(&desk.state, memory_order_acquire) != ANSWERED)
		return NULL;
	*bytes = desk.answer_bytes;
	atomic_store_explicit(&desk.state, FREE, memory_order_relaxed);
	return desk.answer;
}

void ctl_fail(int error)
{
	atomic_store(&desk.error, error);
	own_thread_call(WATCH_CONTROL);
}

void ctl_serve(void)
{
	struct io_buf out = {.text = desk.answer + 1, .bytes = sizeof desk.answer - 1};
	int error = atomic_exchange(&desk.error, 0);
	bool is_done;

	if (error != 0)
		io_warn("control: no socket: %s; commands are not taken", strerrordesc_np(-error));
	if (atomic_load_explicit(&desk.state, memory_order_acquire) != ASKED)
		return;
	is_done = deeds[desk.command.verb](&desk.command, &out);
	flight_note(FLIGHT_CONTROL, !is_done, (size_t)desk.by, 0, desk.words);
	desk.answer[0] = is_done ? CTL_DONE : CTL_REFUSED;
	desk.answer_bytes = out.used + 1;
	atomic_store_explicit(&desk.state, ANSWERED, memory_order_release);
}

bool ctl_is_due(void)
{
	return options.is_control && (forked_ns == 0 || now_ns() - forked_ns >= CHILD_NS);
}

void ctl_fork_child(void)
{
	if (options.is_control)
		forked_ns = now_ns();
	fork_reset(desk.state, FREE);
	fork_reset(desk.error, 0);
}
