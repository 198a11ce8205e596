/* SPDX-License-Identifier: BSD-2-Clause */
/* What the library and `oomreclaim ctl` have to agree on. */
#ifndef OOM_CTL_WIRE_H
#define OOM_CTL_WIRE_H

/* All words of a request, with the NULs. */
#define CTL_REQUEST_MAX 256
/* What goes before the text of an answer. */
#define CTL_DONE '+'
#define CTL_REFUSED '-'
#define CTL_ANSWER_MAX 20480
/* The name of the socket's file, which lies nowhere any more once the socket listens. */
#define CTL_SOCKET_NAME ".oomreclaim-control."

#endif
