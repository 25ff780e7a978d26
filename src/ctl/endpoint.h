/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Does the public URL of the unsubscribe links answer as RFC 8058 and mailbox
 * providers want it?  Asked from here, over the network, with our own link; a
 * finding never holds it.  Blocking; one thread.
 */
#ifndef CTL_ENDPOINT_H
#define CTL_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "ctl/finding.h"

struct endpoint {
	const char	*base;		/* unsubscribe.url */
	const char	*link;		/* base and a good token */
	const char	*listen;	/* web.listen */
	const char	*ca_file;	/* NULL: those of the system */
	int64_t		 now_ms;
	bool		(*is_stopped)(void *context);	/* may be NULL */
	void		*context;
};

/*
 * What must change nothing: a forged link, GET and HEAD of a good one.  Adds
 * "certificate", "link-forged", "link-get", "link-head".  Returns false when
 * the host can't be talked to, and there is no use in going on.
 */
bool	endpoint_look(struct findings *findings,
	    const struct endpoint *endpoint);

/* The click of a mailbox provider, once.  Adds "one-click", "redirect",
 * "cookie".  Returns whether it was answered 200. */
bool	endpoint_click(struct findings *findings,
	    const struct endpoint *endpoint);

#endif
