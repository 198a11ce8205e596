/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/unwind.h"

#include <string.h>

#include "base/base.h"
#include "base/unwind_table.h"

#define OP_BREG0 0x70
#define OP_DEREF 0x06

#define REMEMBERED 4

/* A register plus an offset; is_deref: what stands there. */
struct place {
	uint8_t base;
	bool is_deref;
	int64_t offset;
};

enum rule_kind { RULE_SAME, RULE_AT, RULE_NONE };
/* Where the caller's register is: at an offset from the frame's address, or a place. */
struct rule {
	enum rule_kind kind;
	bool is_of_frame;
	struct place place;
};

struct row {
	bool has_frame;
	struct place frame;
	struct rule rule[UNWIND_REGISTERS];
};

/* What a step works with, too large for a small stack. */
static struct {
	struct row now, initial, remembered[REMEMBERED];
	unsigned depth;
} work;

/* ---- Its program ---- */

/* "register plus offset", or what stands there; false for any other expression. */
static bool read_place(struct cursor *cursor, struct place *place)
{
	uint64_t bytes = unwind_uleb(cursor);
	struct cursor inside = *cursor;
	uint64_t op;

	unwind_skip(cursor, bytes);
	if (cursor->is_bad)
		return false;
	inside.end = cursor->at;
	op = unwind_take(&inside, 1);
	if (op < OP_BREG0 || op >= OP_BREG0 + UNWIND_PC)
		return false;
	*place = (struct place){.base = (uint8_t)(op - OP_BREG0), .offset = unwind_sleb(&inside)};
	if (inside.at < inside.end)
		place->is_deref = unwind_take(&inside, 1) == OP_DEREF;
	return !inside.is_bad && inside.at == inside.end;
}

static void set_rule(uint64_t number, enum rule_kind kind, int64_t offset)
{
	if (number < UNWIND_REGISTERS)
		work.now.rule[number] = (struct rule){.kind = kind,
		                                      .is_of_frame = true,
		                                      .place = {.offset = offset}};
}

static void restore(uint64_t number)
{
	if (number < UNWIND_REGISTERS)
		work.now.rule[number] = work.initial.rule[number];
}

static void set_frame(uint64_t number, int64_t offset)
{
	work.now.has_frame = number < UNWIND_PC;
	work.now.frame = (struct place){.base = (uint8_t)number, .offset = offset};
}

static void set_expression(struct cursor *program)
{
	uint64_t number = unwind_uleb(program);
	struct rule rule = {.kind = RULE_AT};

	if (!read_place(program, &rule.place) || rule.place.is_deref)
		rule.kind = RULE_NONE;
	if (number < UNWIND_REGISTERS)
		work.now.rule[number] = rule;
}

static bool remember(void)
{
	if (work.depth == REMEMBERED)
		return false;
	work.remembered[work.depth++] = work.now;
	return true;
}

static bool recall(void)
{
	if (work.depth == 0)
		return false;
	work.now = work.remembered[--work.depth];
	return true;
}

/* About the frame's address. False: it is another instruction. */
static bool run_frame(struct cursor *program, const struct unwind_common *common, unsigned op)
{
	uint64_t number;

	switch (op) {
	case 0x0c: /* def_cfa */
		number = unwind_uleb(program);
		set_frame(number, (int64_t)unwind_uleb(program));
		return true;
	case 0x0d: /* def_cfa_register */
		set_frame(unwind_uleb(program), work.now.frame.offset);
		return true;
	case 0x0e: /* def_cfa_offset */
		work.now.frame.offset = (int64_t)unwind_uleb(program);
		return true;
	case 0x0f: /* def_cfa_expression */
		work.now.has_frame = read_place(program, &work.now.frame);
		return true;
	case 0x12: /* def_cfa_sf */
		number = unwind_uleb(program);
		set_frame(number, unwind_sleb(program) * common->data_align);
		return true;
	case 0x13: /* def_cfa_offset_sf */
		work.now.frame.offset = unwind_sleb(program) * common->data_align;
		return true;
	default:
		return false;
	}
}

/* About a register. False: it is none that is known. */
static bool run_rule(struct cursor *program, const struct unwind_common *common, unsigned op)
{
	uint64_t number;

	switch (op) {
	case 0x05: /* offset_extended */
		number = unwind_uleb(program);
		set_rule(number, RULE_AT, (int64_t)unwind_uleb(program) * common->data_align);
		return true;
	case 0x11: /* offset_extended_sf */
		number = unwind_uleb(program);
		set_rule(number, RULE_AT, unwind_sleb(program) * common->data_align);
		return true;
	case 0x06: /* restore_extended */
		restore(unwind_uleb(program));
		return true;
	case 0x07: /* undefined */
		set_rule(unwind_uleb(program), RULE_NONE, 0);
		return true;
	case 0x08: /* same_value */
		set_rule(unwind_uleb(program), RULE_SAME, 0);
		return true;
	case 0x10: /* expression */
		set_expression(program);
		return true;
	case 0x0a:
		return remember();
	case 0x0b:
		return recall();
	case 0x2e: /* GNU_args_size */
		unwind_uleb(program);
		return true;
	default:
		return op == 0; /* nop */
	}
}

/* How far an instruction moves on; 0 for those that do not. */
static uint64_t advance(struct cursor *program, unsigned op)
{
	if (op >> 6 == 1)
		return op & 0x3f;
	if (op == 0x02 || op == 0x03)
		return unwind_take(program, op - 1);
	return op == 0x04 ? unwind_take(program, 4) : 0;
}

/* Up to the row of `pc`. */
static bool run(struct cursor *program, const struct unwind_common *common, uint64_t begin,
                uint64_t pc)
{
	uint64_t at = begin;

	while (program->at < program->end && at <= pc) {
		unsigned op = (unsigned)unwind_take(program, 1);

		if (op >> 6 == 1 || (op >= 0x02 && op <= 0x04))
			at += advance(program, op) * common->code_align;
		else if (op >> 6 == 2)
			set_rule(op & 0x3f, RULE_AT,
			         (int64_t)unwind_uleb(program) * common->data_align);
		else if (op >> 6 == 3)
			restore(op & 0x3f);
		else if (!run_frame(program, common, op) && !run_rule(program, common, op))
			return false;
		if (program->is_bad)
			return false;
	}
	return true;
}

static bool find_row(const struct unwind_file *file, uint64_t pc)
{
	const unsigned char *record = unwind_find(file, pc), *at;
	struct unwind_common common = {.encoding = 0};
	struct cursor cursor;
	uint64_t begin, bytes;

	if (record == NULL || !unwind_open(file, record, &cursor))
		return false;
	at = cursor.at;
	if (!unwind_common(file, at - unwind_take(&cursor, 4), &common))
		return false;
	begin = unwind_pointer(&cursor, common.encoding);
	/* The length is written as the pointer is, but counts from nowhere. */
	bytes = unwind_pointer(&cursor, common.encoding & PE_FORM);
	unwind_skip(&cursor, unwind_uleb(&cursor));
	if (cursor.is_bad || pc < begin || pc - begin >= bytes)
		return false;
	memset(&work, 0, sizeof work);
	if (!run(&common.program, &common, 0, 0))
		return false;
	work.initial = work.now;
	return run(&cursor, &common, begin, pc);
}

/* ---- Its caller's registers ---- */

static bool is_known(const struct unwind_registers *registers, unsigned number)
{
	return (registers->known >> number & 1) != 0;
}

static bool address_of(const struct unwind_registers *registers, const struct place *place,
                       unwind_read *read, uint64_t *address)
{
	if (!is_known(registers, place->base))
		return false;
	*address = registers->value[place->base] + (uint64_t)place->offset;
	return !place->is_deref || read(*address, address);
}

static void take_register(const struct unwind_registers *from, struct unwind_registers *to,
                          unsigned number, uint64_t frame, unwind_read *read)
{
	/* A function leaves these as they were, unless it says where it has put them. */
	static const uint32_t preserved = 1U << 3 | 1U << 6 | 15U << 12;
	const struct rule *rule = &work.now.rule[number];
	uint64_t address = frame + (uint64_t)rule->place.offset;
	bool is_there = false;

	if (rule->kind == RULE_SAME && (preserved >> number & 1) != 0) {
		to->value[number] = from->value[number];
		is_there = is_known(from, number);
	} else if (rule->kind == RULE_AT &&
	           (rule->is_of_frame || address_of(from, &rule->place, read, &address))) {
		is_there = read(address, &to->value[number]);
	}
	to->known |= (uint32_t)is_there << number;
}

bool unwind_step(struct unwind_registers *registers, const struct unwind_file *file, bool is_call,
                 unwind_read *read)
{
	struct unwind_registers above = {.known = 0};
	uint64_t frame;

	/* Behind a call that never returns another function may begin. */
	if (!find_row(file, registers->value[UNWIND_PC] - is_call) || !work.now.has_frame ||
	    !address_of(registers, &work.now.frame, read, &frame) ||
	    frame <= registers->value[UNWIND_RSP])
		return false;
	for (unsigned i = 0; i < UNWIND_REGISTERS; i++)
		take_register(registers, &above, i, frame, read);
	above.value[UNWIND_RSP] = frame;
	above.known |= 1U << UNWIND_RSP;
	*registers = above;
	return is_known(registers, UNWIND_PC) && registers->value[UNWIND_PC] != 0;
}
