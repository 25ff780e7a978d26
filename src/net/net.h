/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections that we open ourselves, by libcurl, which this room alone knows.
 */
#ifndef NET_NET_H
#define NET_NET_H

/* Once, before the first thread. */
void	net_open(void);
/* For -V.  Static. */
const char *net_library_version(void);

#endif
