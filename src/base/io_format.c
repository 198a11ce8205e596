/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io_printf() without libc's printf(), which takes two KiB of stack, looks at the locale, and may
 * allocate: a thread that has run out of memory may have none of these to spare.
 */
#include <stdint.h>
#include <string.h>

#include "base/base.h"
#include "base/io.h"

/* Of 64 bits in decimal. */
#define DIGITS_MAX 20

/* What stands between '%' and the letter. */
struct conversion {
	size_t width;
	size_t precision; /* SIZE_MAX: none */
	unsigned longs;   /* 'l', one or two */
	bool is_size;     /* 'z' */
};

static void put_bytes(struct io_buf *buf, const char *text, size_t length, size_t width)
{
	for (; width > length && buf->used + 1 < buf->bytes; width--)
		buf->text[buf->used++] = ' ';
	for (; length > 0 && buf->used + 1 < buf->bytes; length--)
		buf->text[buf->used++] = *text++;
}

static void put_number(struct io_buf *buf, uint64_t number, unsigned base, const char *prefix,
                       size_t width)
{
	char text[sizeof "0x" + DIGITS_MAX];
	size_t at = sizeof text;

	do
		text[--at] = "0123456789abcdef"[number % base];
	while ((number /= base) > 0);
	for (size_t length = strlen(prefix); length > 0; length--)
		text[--at] = prefix[length - 1];
	put_bytes(buf, text + at, sizeof text - at, width);
}

void io_put_unsigned(struct io_buf *buf, uint64_t number)
{
	put_number(buf, number, 10, "", 0);
	if (buf->used < buf->bytes)
		buf->text[buf->used] = '\0';
}

static void put_signed(struct io_buf *buf, int64_t number, size_t width)
{
	put_number(buf, number < 0 ? -(uint64_t)number : (uint64_t)number, 10,
	           number < 0 ? "-" : "", width);
}

static void put_string(struct io_buf *buf, const char *text, const struct conversion *conversion)
{
	if (text == NULL)
		text = "(null)";
	put_bytes(buf, text, strnlen(text, conversion->precision), conversion->width);
}

static const char *parse_digits(const char *format, size_t *count)
{
	for (*count = 0; *format >= '0' && *format <= '9'; format++)
		*count = *count * 10 + (size_t)(*format - '0');
	return format;
}

static const char *parse(const char *format, va_list *args, struct conversion *conversion)
{
	*conversion = (struct conversion){.precision = SIZE_MAX};
	format = parse_digits(format, &conversion->width);
	if (strncmp(format, ".*", 2) == 0) {
		conversion->precision = (size_t)va_arg(*args, int);
		format += 2;
	} else if (*format == '.') {
		format = parse_digits(format + 1, &conversion->precision);
	}
	for (; *format == 'l'; format++)
		conversion->longs++;
	conversion->is_size = *format == 'z';
	return conversion->is_size ? format + 1 : format;
}

static uint64_t next_unsigned(va_list *args, const struct conversion *conversion)
{
	if (conversion->longs > 1)
		return va_arg(*args, unsigned long long);
	if (conversion->longs > 0)
		return va_arg(*args, unsigned long);
	return conversion->is_size ? va_arg(*args, size_t) : va_arg(*args, unsigned);
}

static int64_t next_signed(va_list *args, const struct conversion *conversion)
{
	if (conversion->longs > 1)
		return va_arg(*args, long long);
	return conversion->longs > 0 ? va_arg(*args, long) : va_arg(*args, int);
}

/* False for a letter that is unknown: what follows in `args` is then unknown too. */
static bool put_conversion(struct io_buf *buf, char letter, const struct conversion *conversion,
                           va_list *args)
{
	switch (letter) {
	case 's':
		put_string(buf, va_arg(*args, const char *), conversion);
		return true;
	case 'd':
		put_signed(buf, next_signed(args, conversion), conversion->width);
		return true;
	case 'u':
		put_number(buf, next_unsigned(args, conversion), 10, "", conversion->width);
		return true;
	case 'x':
		put_number(buf, next_unsigned(args, conversion), 16, "", conversion->width);
		return true;
	case 'p':
		put_number(buf, (uintptr_t)va_arg(*args, void *), 16, "0x", conversion->width);
		return true;
	case '%':
		put_bytes(buf, "%", 1, 0);
		return true;
	default:
		return false;
	}
}

void io_vprintf(struct io_buf *buf, const char *format, va_list args)
{
	struct conversion conversion;
	bool is_known = true;
	va_list rest;

	/* An array on some machines, of which no pointer can be passed on. */
	va_copy(rest, args);
	while (is_known && *format != '\0') {
		const char *percent = strchrnul(format, '%');

		put_bytes(buf, format, (size_t)(percent - format), 0);
		format = percent;
		if (*format == '\0')
			break;
		format = parse(format + 1, &rest, &conversion);
		is_known = put_conversion(buf, *format, &conversion, &rest);
		format += is_known;
	}
	va_end(rest);
	if (buf->used < buf->bytes)
		buf->text[buf->used] = '\0';
}
