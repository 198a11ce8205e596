/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef OOM_HEAP_MATH_H
#define OOM_HEAP_MATH_H

/* The natural logarithm; x is positive and no denormal number. */
double heap_log(double x);
/* x is at most 0. */
double heap_exp(double x);
/* To the nearest whole number, halves away from zero. */
double heap_round(double x);

#endif
