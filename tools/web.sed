# SPDX-License-Identifier: BSD-2-Clause
# A line of the file, a string of C.
s/[\\"]/\\&/g
s/.*/"&\\n"/
