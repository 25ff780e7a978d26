/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The message that a self-test sends, and the verdict on what came out of the
 * mail server: are both unsubscribe fields there, once, for this list and this
 * person, and signed (RFC 8058)?  What came back is hostile text like any
 * other; a finding never holds a link or a token of it.  Pure; thread-safe.
 */
#ifndef CTL_PROBE_H
#define CTL_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "consent/classify.h"
#include "ctl/finding.h"
#include "ctl/signature.h"
#include "mail/address.h"
#include "settings/settings.h"

#define PROBE_ID_BYTES	12
#define PROBE_MAX	((size_t)64 * 1024)
/* In the last line of each. */
#define PROBE_END	SPAN("End of the self-test.")

struct probe {
	const struct settings *settings;
	const struct list *list;
	struct subject	 subject;	/* whom it goes to */
	const char	*from;		/* as it stands in From */
	struct address	 sender;	/* the same, read */
	const char	*envelope_sender;
	const char	*to;
	const char *const *fields;	/* further ones, "Name: value" */
	size_t		 field_count;
	unsigned char	 id[PROBE_ID_BYTES];	/* random */
	int64_t		 now_ms;
	/* Would the filter take it for mail of the list?  What only the
	 * connection tells is not known. */
	bool		 is_listed;
};

/* May this be one of `fields'? */
bool	probe_field_is_valid(struct span field);
/* Adds the message, with CRLF line ends, and its Message-ID alone. */
void	probe_format(struct buf *out, const struct probe *probe);
void	probe_add_id(struct buf *out, const struct probe *probe);
/* What the filter would say of it, as far as header and sender tell; client is
 * 16 bytes, IPv4 as IPv4-mapped, or NULL when that is not known. */
void	probe_classify(const struct probe *probe,
	    const unsigned char *client, struct classification *out);

/* Adds "unix:…" or "inet:host:port", as Postfix writes the filter's socket: in
 * its chroot where it is below the queue directory. */
void	probe_add_milter(struct buf *out, const char *socket);
/* Adds to the last finding the line that makes the probe one of the list; and
 * the lines that make the filter act on it, in front of the signer. */
void	probe_fix_list(struct findings *findings, const struct probe *probe);
/* ... that makes the filter enforce for the list. */
void	probe_fix_mode(struct findings *findings, const struct probe *probe);
void	probe_fix_milter(struct findings *findings,
	    const struct probe *probe);

/*
 * Adds the findings about the header of what arrived (message has CRLF line
 * ends): "unsubscribe", "unsubscribe-post", "link".
 */
void	probe_judge_fields(struct findings *findings,
	    const struct probe *probe, struct span message);
/* ... and about its n signatures, the best of which counts: "dkim",
 * "dkim-covers", "dkim-length", "dkim-aligned". */
void	probe_judge_signatures(struct findings *findings,
	    const struct probe *probe, const struct signature *signatures,
	    size_t n);

#endif
