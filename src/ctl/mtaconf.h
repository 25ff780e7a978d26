/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The configuration of mail servers and signers, as far as it says who filters
 * mail and in which order: what postconf(1) prints, sendmail.cf, opendkim.conf,
 * and where a socket is in the notations of all of them.  Whoever edits those
 * files writes what he likes: nothing here relies on their form, and what can't
 * be read is left out.  Spans are borrowed from the text.  Pure; thread-safe.
 */
#ifndef CTL_MTACONF_H
#define CTL_MTACONF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* -- sockets -- */

#define MTA_SOCKET_TEXT_MAX	255

struct mta_socket {
	bool	is_unix;
	char	path[MTA_SOCKET_TEXT_MAX + 1];	/* relative to a directory of
						   the reader, without a '/' */
	char	host[MTA_SOCKET_TEXT_MAX + 1];	/* "": any */
	char	port[32];			/* or the name of a service */
};

/*
 * "unix:/path", "local:/path", "/path", "inet:port@host", "inet:host:port",
 * "inet6:[::1]:port", "inet:port", "host:port", "port": libmilter's, Postfix'
 * and ours.  False where it is none of them.
 */
bool	mtaconf_socket(struct span text, struct mta_socket *out);
/* Do both mean the same?  Names of this machine are as good as its loopback
 * addresses, and as no host at all.  queue is where relative paths start, and
 * may be the root of who has an absolute one; NULL: there is none. */
bool	mtaconf_same_socket(const struct mta_socket *a,
	    const struct mta_socket *b, const char *queue);
bool	mtaconf_is_loopback(const char *host);

/* -- postconf -- */

/* The value of "name = value" in what postconf printed; false without. */
bool	mtaconf_value(struct span text, const char *name,
	    struct span *value);
/* "30s", "5m", "1h", "2d", "1w"; a number alone counts as unit, one of these
 * letters.  False where it is none. */
bool	mtaconf_time(struct span text, char unit, int64_t *ms);
/* Is it a value that Postfix takes as yes? */
bool	mtaconf_is_yes(struct span value);
/* Is the word among those of a list, with blanks or commas between? */
bool	mtaconf_has_word(struct span list, struct span word);

/* One of smtpd_milters: "inet:host:port", or "{ inet:host:port, name=value }".
 */
struct mta_milter {
	struct span	text;		/* all of it */
	struct span	socket;
	struct span	action;		/* default_action; "" where none */
	struct span	timeout;	/* command_timeout; "" where none */
};
/* Takes the first off *rest; false at the end. */
bool	mtaconf_next_milter(struct span *rest, struct mta_milter *out);

/* A line of postconf -M. */
struct mta_service {
	struct span	name, type, chroot, command;
};
bool	mtaconf_next_service(struct span *rest, struct mta_service *out);

/* A line of postconf -P: "smtp/inet/smtpd_milters = ". */
struct mta_override {
	struct span	service, type, name, value;
};
bool	mtaconf_next_override(struct span *rest, struct mta_override *out);
/* The value of a parameter for a service, or false where the service has none
 * of its own. */
bool	mtaconf_override(struct span text, const struct mta_service *service,
	    const char *name, struct span *value);

/* -- sendmail.cf -- */

/* "Xname, S=socket, F=T, T=...". */
struct mta_filter {
	struct span	name;
	struct span	socket;		/* S= */
	struct span	flags;		/* F=; "" where none */
};
bool	mtaconf_next_filter(struct span *rest, struct mta_filter *out);
/* The value of "O name=value"; false without. */
bool	mtaconf_sendmail_option(struct span text, const char *name,
	    struct span *value);

/* -- opendkim.conf -- */

/* The value of a parameter, the last where there are several; false without.
 */
bool	mtaconf_opendkim(struct span text, const char *name,
	    struct span *value);
/* The value of "name = value;" in a file of rspamd. */
bool	mtaconf_rspamd(struct span text, const char *name,
	    struct span *value);
/* Does a sign_headers of rspamd, "(o)from:date:...", name the field? */
bool	mtaconf_rspamd_signs(struct span value, struct span header);
/*
 * Does a SignHeaders or OmitHeaders of this value name the field?  With "*"
 * the value is a change of the default, which has it or not.
 */
bool	mtaconf_names_header(struct span value, struct span header,
	    bool by_default);

#endif
