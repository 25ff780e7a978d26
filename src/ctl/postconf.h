/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What postconf(1) says: how Postfix understands its files.  One thread.
 */
#ifndef CTL_POSTCONF_H
#define CTL_POSTCONF_H

#include <limits.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"
#include "ctl/doctor.h"
#include "ctl/mtaconf.h"
#include "ctl/reach.h"

struct postconf {
	struct buf	values;		/* postconf -x NAME... */
	struct buf	services;	/* postconf -M */
	struct buf	overrides;	/* postconf -P */
	struct buf	warnings;	/* of postconf -n */
	char		queue[PATH_MAX];
	struct reach_user owner;	/* mail_owner */
	bool		has_owner;
};

/* Asks.  Returns false after adding why nothing can be said; postconf_fini() is
 * due in any case. */
bool	postconf_read(struct doctor *doctor, struct postconf *out);
void	postconf_fini(struct postconf *postconf);

/* A parameter of main.cf, of those that are asked for; empty where it is. */
struct span postconf_value(const struct postconf *postconf,
	    const char *name);
/* What counts for a service: its own value, or main.cf's. */
struct span postconf_of_service(const struct postconf *postconf,
	    const struct mta_service *service, const char *name);
bool	postconf_is_smtpd(const struct mta_service *service);

/* Is it our filter, by the socket? */
bool	postconf_is_ours(const struct doctor *doctor,
	    const struct postconf *postconf, const struct mta_milter *milter);
/* Looks for it in a list of filters. */
bool	postconf_find_ours(const struct doctor *doctor,
	    const struct postconf *postconf, struct span list,
	    struct mta_milter *out);

/* Part of doctor_postfix(): what each smtpd does with the filter. */
void	doctor_smtpd(struct doctor *doctor, const struct postconf *postconf);

#endif
