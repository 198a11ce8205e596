/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three functions that libm has too. Of jemalloc, heap profiling alone needs them, and a library
 * more to be loaded costs every process that starts. They are right to 15 digits, for the
 * arguments that profiling has.
 */
#include "heap/heap_math.h"

#include <stdint.h>
#include <string.h>

#define LN2_HIGH 0x1.62e42fefa38p-1 /* so few digits that its multiples are exact */
#define LN2_LOW 0x1.ef35793c7673p-45
#define SQRT_2 0x1.6a09e667f3bcdp+0
#define EXPONENT_BIAS 1023
#define MANTISSA_BITS 52

static double power_of_2(int exponent)
{
	uint64_t bits = (uint64_t)(exponent + EXPONENT_BIAS) << MANTISSA_BITS;
	double power;

	memcpy(&power, &bits, sizeof power);
	return power;
}

/* ln(m * 2^e) = e * ln(2) + 2 * artanh((m - 1) / (m + 1)), where m is about 1. */
double heap_log(double x)
{
	double mantissa, part, square, term, sum = 0;
	uint64_t bits;
	int exponent;

	memcpy(&bits, &x, sizeof bits);
	exponent = (int)(bits >> MANTISSA_BITS) - EXPONENT_BIAS;
	mantissa = x * power_of_2(-exponent);
	if (mantissa > SQRT_2) {
		mantissa /= 2;
		exponent++;
	}
	part = (mantissa - 1) / (mantissa + 1);
	square = part * part;
	term = part;
	for (int i = 1; i < 24; i += 2) {
		sum += term / i;
		term *= square;
	}
	return exponent * LN2_HIGH + (exponent * LN2_LOW + 2 * sum);
}

/* exp(x) = 2^n * exp(x - n * ln(2)); the second factor is the sum of its series. */
double heap_exp(double x)
{
	const double smallest = -708;
	double n, rest, term = 1, sum = 1;

	if (x < smallest)
		return 0;
	n = heap_round(x / (LN2_HIGH + LN2_LOW));
	rest = x - n * LN2_HIGH - n * LN2_LOW;
	for (int i = 1; i < 18; i++) {
		term *= rest / i;
		sum += term;
	}
	return sum * power_of_2((int)n);
}

double heap_round(double x)
{
	const double exact_from = 0x1p52; /* there is no fraction from here on */
	double whole;

	if (!(x > -exact_from && x < exact_from))
		return x;
	whole = (double)(int64_t)x;
	if (x - whole >= 0.5)
		whole += 1;
	else if (whole - x >= 0.5)
		whole -= 1;
	return whole;
}
