/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/unwind_table.h"

#include <string.h>

/* What all linkers write: an absolute count, offsets from the header. */
#define HEADER_COUNT PE_UDATA4
#define HEADER_TABLE (0x30 | PE_SDATA4)

uint64_t unwind_take(struct cursor *cursor, size_t bytes)
{
	uint64_t value = 0;

	if (cursor->is_bad || (size_t)(cursor->end - cursor->at) < bytes) {
		cursor->is_bad = true;
		return 0;
	}
	memcpy(&value, cursor->at, bytes);
	cursor->at += bytes;
	return value;
}

uint64_t unwind_uleb(struct cursor *cursor)
{
	uint64_t value = 0, byte;
	unsigned shift = 0;

	do {
		byte = unwind_take(cursor, 1);
		if (shift < 64)
			value |= (byte & 0x7f) << shift;
		shift += 7;
	} while ((byte & 0x80) != 0 && !cursor->is_bad);
	return value;
}

int64_t unwind_sleb(struct cursor *cursor)
{
	const unsigned char *first = cursor->at;
	uint64_t value = unwind_uleb(cursor);
	unsigned bits = 7 * (unsigned)(cursor->at - first);

	if (!cursor->is_bad && bits < 64 && (cursor->at[-1] & 0x40) != 0)
		value |= ~0ULL << bits;
	return (int64_t)value;
}

void unwind_skip(struct cursor *cursor, uint64_t bytes)
{
	if ((uint64_t)(cursor->end - cursor->at) < bytes)
		cursor->is_bad = true;
	else
		cursor->at += bytes;
}

uint64_t unwind_pointer(struct cursor *cursor, uint8_t encoding)
{
	uint64_t from = (encoding & PE_BASE) == PE_PCREL ? (uint64_t)(uintptr_t)cursor->at : 0;

	if ((encoding & PE_BASE) != PE_PCREL && (encoding & PE_BASE) != 0)
		cursor->is_bad = true;
	switch (encoding & PE_FORM) {
	case PE_SDATA4:
		return from + (uint64_t)(int32_t)unwind_take(cursor, 4);
	case PE_UDATA4:
		return from + unwind_take(cursor, 4);
	case 0:
	case PE_UDATA8:
	case PE_SDATA8:
		return from + unwind_take(cursor, 8);
	default:
		cursor->is_bad = true;
		return 0;
	}
}

/* ---- Finding the function ---- */

static int32_t entry_at(const unsigned char *table, size_t index, size_t member)
{
	int32_t value;

	memcpy(&value, table + 8 * index + 4 * member, sizeof value);
	return value;
}

const unsigned char *unwind_find(const struct unwind_file *file, uint64_t pc)
{
	const unsigned char *header = file->header, *table = header + 12;
	int64_t wanted = (int64_t)(pc - (uint64_t)(uintptr_t)header);
	size_t low = 0, high;
	uint32_t count;

	if (header < file->begin || file->end - header < 12 || header[0] != 1 ||
	    header[1] == PE_OMIT || (header[1] & PE_FORM) != PE_SDATA4 ||
	    header[2] != HEADER_COUNT || header[3] != HEADER_TABLE)
		return NULL;
	memcpy(&count, header + 8, sizeof count);
	if (count == 0 || count > (size_t)(file->end - table) / 8 || entry_at(table, 0, 0) > wanted)
		return NULL;
	for (high = count; high - low > 1;) {
		size_t middle = low + (high - low) / 2;

		if (entry_at(table, middle, 0) <= wanted)
			low = middle;
		else
			high = middle;
	}
	return header + entry_at(table, low, 1);
}

bool unwind_open(const struct unwind_file *file, const unsigned char *record, struct cursor *cursor)
{
	uint32_t length;

	if (record < file->begin || record > file->end - 8)
		return false;
	memcpy(&length, record, sizeof length);
	if (length < 4 || length > (size_t)(file->end - record) - 4)
		return false;
	*cursor = (struct cursor){.at = record + 4, .end = record + 4 + length};
	return true;
}

/* What stands in the augmentation, by its letters: the encoding is all that is needed. A frame of a
   signal ('S') is the end. */
static bool read_augmentation(struct cursor *cursor, const char *letters,
                              struct unwind_common *common)
{
	for (letters++; *letters != '\0'; letters++)
		switch (*letters) {
		case 'R':
			common->encoding = (uint8_t)unwind_take(cursor, 1);
			break;
		case 'L':
			unwind_take(cursor, 1);
			break;
		case 'P': {
			uint8_t encoding = (uint8_t)unwind_take(cursor, 1);

			unwind_pointer(cursor, encoding & (uint8_t)~PE_INDIRECT);
			break;
		}
		default:
			return false;
		}
	return !cursor->is_bad;
}

bool unwind_common(const struct unwind_file *file, const unsigned char *record,
                   struct unwind_common *common)
{
	struct cursor cursor;
	const char *letters;
	const unsigned char *behind;
	unsigned version;
	uint64_t bytes;

	if (!unwind_open(file, record, &cursor) || unwind_take(&cursor, 4) != 0)
		return false;
	version = (unsigned)unwind_take(&cursor, 1);
	letters = (const char *)cursor.at;
	while (unwind_take(&cursor, 1) != 0)
		continue;
	common->code_align = unwind_uleb(&cursor);
	common->data_align = unwind_sleb(&cursor);
	if (unwind_uleb(&cursor) != UNWIND_PC || (version != 1 && version != 3) || cursor.is_bad ||
	    letters[0] != 'z')
		return false;
	bytes = unwind_uleb(&cursor);
	behind = cursor.at;
	unwind_skip(&cursor, bytes);
	common->program = cursor;
	cursor.at = behind;
	return !cursor.is_bad && read_augmentation(&cursor, letters, common);
}
