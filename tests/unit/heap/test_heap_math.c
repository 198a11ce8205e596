/* SPDX-License-Identifier: BSD-2-Clause */
/* The heap's own logarithm, exponential and rounding, held against those of libm. */
#include <criterion/criterion.h>
#include <math.h>

#include "heap/heap_math.h"
#include "support.h"

TestSuite(heap_math, .init = support_init, .timeout = WATCHDOG_SECONDS);

/* Profiling rounds to whole numbers below 2^45, which have 14 digits. */
static void expect_near(double is, double should, double of)
{
	cr_expect(fabs(is - should) <= 4e-15 * fmax(fabs(should), 1e-300),
	          "%.17g is %.17g, not %.17g", of, is, should);
}

Test(heap_math, logarithms)
{
	expect_near(heap_log(1), 0, 1);
	/* Profiling has logarithms of a random number in (0, 1], and of 1 - 1 /
	   2^lg_prof_sample. */
	for (double x = 0x1p-53; x < 1; x *= 1.37)
		expect_near(heap_log(x), log(x), x);
	for (double bytes = 2; bytes < 0x1p40; bytes *= 2)
		expect_near(heap_log(1 - 1 / bytes), log(1 - 1 / bytes), bytes);
	for (double x = 1.0001; x < 1e300; x *= 3.7)
		expect_near(heap_log(x), log(x), x);
}

Test(heap_math, exponentials)
{
	cr_expect_eq(heap_exp(0), 1);
	for (double x = -1e-12; x > -708; x *= 1.19)
		cr_expect(fabs(heap_exp(x) / exp(x) - 1) < 1e-12, "%.17g", x);
	cr_expect(heap_exp(-709) < 1e-300);
	cr_expect_eq(heap_exp(-1e9), 0);
	cr_expect_eq(heap_exp(-INFINITY), 0);
}

Test(heap_math, rounding)
{
	static const double some[] = {0,           0.25,
	                              0.5,         0.49999999999999994,
	                              0.75,        1,
	                              1.5,         2.5,
	                              123456789.5, 0x1p51 + 0.5,
	                              0x1p52,      0x1p53,
	                              1e300,       INFINITY};

	for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
		cr_expect_eq(heap_round(some[i]), round(some[i]), "%.17g", some[i]);
		cr_expect_eq(heap_round(-some[i]), round(-some[i]), "%.17g", -some[i]);
	}
	cr_expect(isnan(heap_round(NAN)));
}
