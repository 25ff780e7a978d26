/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/signature.h"

#include <sys/types.h>
#include <netinet/in.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dkim.h>

#include "base/buf.h"
#include "mail/mime.h"

#define DNS_SECONDS	10
#define ANSWER_MAX	8192

/* -- the key -- */

/* Joins the quoted strings of a zone file (RFC 1035 section 5.1); comments
 * start with ';' outside of them. */
static size_t
join_strings(struct span text, char *out, size_t room)
{
	bool quoted = false, comment = false;
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = text.p[i];

		if (comment)
			comment = c != '\n';
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted)
			comment = c == ';';
		else {
			if (c == '\\' && i + 1 < text.len)
				c = text.p[++i];
			if (len < room)
				out[len] = (char)c;
			len++;
		}
	}
	return len;
}

int
signature_read_key(struct span text, char *out, struct fail *fail)
{
	size_t len;

	text = span_trim(text);
	if (span_index(text, '"') != -1)
		len = join_strings(text, out, SIGNATURE_KEY_MAX);
	else {
		len = text.len;
		memcpy(out, text.p, len < SIGNATURE_KEY_MAX ? len :
		    SIGNATURE_KEY_MAX);
	}
	if (len > SIGNATURE_KEY_MAX)
		return fail_set(fail, FAIL_INPUT, "this is longer than a DKIM "
		    "key can be");
	out[len] = '\0';
	if (memmem(out, len, "p=", 2) == NULL || strlen(out) != len)
		return fail_set(fail, FAIL_INPUT, "there is no DKIM key in it, "
		    "want \"v=DKIM1; k=rsa; p=...\" or the .txt file of "
		    "opendkim-genkey");
	return 0;
}

static DKIM_CBSTAT
give_key(DKIM *dkim, DKIM_SIGINFO *sig, u_char *to, size_t room)
{
	const char *key = dkim_get_user_context(dkim);
	size_t len = strlen(key);

	(void)sig;
	if (len >= room)
		return DKIM_CBSTAT_ERROR;
	memcpy(to, key, len + 1);
	return DKIM_CBSTAT_CONTINUE;
}

/* -- the message -- */

/* libopendkim takes bytes without const and copies them. */
static u_char *
unconst(struct span s)
{
	union {
		const unsigned char	*p;
		u_char			*q;
	} u = { s.p };

	return u.q;
}

/* A field, folds and all, without the CRLF behind it. */
static struct span
take_field(struct span *header)
{
	struct span field;
	size_t end = 0;

	do {
		ptrdiff_t line = span_index(span_from(*header, end), '\n');

		end = line == -1 ? header->len : end + (size_t)line + 1;
	} while (end < header->len && (header->p[end] == ' ' ||
	    header->p[end] == '\t'));
	field = span_head(*header, end);
	*header = span_from(*header, end);
	if (field.len >= 2 && field.p[field.len - 1] == '\n')
		field.len -= 2;
	return field;
}

/* Is it a field that libopendkim is to see?  It asks the DNS for the key of each
 * signature, of which a message can have as many as it likes. */
static bool
is_wanted(struct span field, size_t *signatures)
{
	ptrdiff_t colon = span_index(field, ':');

	if (colon < 1)
		return false;
	return !span_is_nocase(span_trim(span_head(field, (size_t)colon)),
	    SPAN("DKIM-Signature")) || ++*signatures <= SIGNATURES_MAX;
}

/* What can't be read shows in the signatures, which do not verify then. */
static void
feed(DKIM *dkim, struct span message)
{
	struct span header, body;
	size_t signatures = 0;

	mime_split(message, &header, &body);
	while (header.len > 0) {
		struct span field = take_field(&header);

		if (is_wanted(field, &signatures))
			(void)dkim_header(dkim, unconst(field), field.len);
	}
	(void)dkim_eoh(dkim);
	if (body.len > 0)
		(void)dkim_body(dkim, unconst(body), body.len);
	(void)dkim_eom(dkim, NULL);
}

/* -- what became of it -- */

static enum signature_state
state_of(DKIM_SIGINFO *sig)
{
	if (DKIM_SIG_CHECK(sig))
		return SIGNATURE_GOOD;
	switch (dkim_sig_geterror(sig)) {
	case DKIM_SIGERROR_OK:
	case DKIM_SIGERROR_BADSIG:
		return dkim_sig_getbh(sig) == DKIM_SIGBH_MISMATCH ?
		    SIGNATURE_BODY_CHANGED : SIGNATURE_HEADER_CHANGED;
	case DKIM_SIGERROR_KEYFAIL:
		return SIGNATURE_LATER;
	case DKIM_SIGERROR_NOKEY:
	case DKIM_SIGERROR_DNSSYNTAX:
	case DKIM_SIGERROR_KEYVERSION:
	case DKIM_SIGERROR_KEYUNKNOWNHASH:
	case DKIM_SIGERROR_KEYHASHMISMATCH:
	case DKIM_SIGERROR_NOTEMAILKEY:
	case DKIM_SIGERROR_KEYTYPEMISSING:
	case DKIM_SIGERROR_KEYTYPEUNKNOWN:
	case DKIM_SIGERROR_KEYREVOKED:
	case DKIM_SIGERROR_KEYDECODE:
	case DKIM_SIGERROR_MULTIREPLY:
	case DKIM_SIGERROR_KEYTOOSMALL:
		return SIGNATURE_NO_KEY;
	default:
		return SIGNATURE_UNREADABLE;
	}
}

/* libopendkim tells a name that is not there from a DNS that fails only where
 * the resolver does, and that of the C library does not.  So it is asked why. */
static bool
has_no_record(const struct signature *s)
{
	unsigned char answer[ANSWER_MAX];
	struct buf name = BUF_INIT(2 * sizeof(s->domain));
	bool missing;

	buf_addf(&name, "%s._domainkey.%s", s->selector, s->domain);
	missing = res_query(buf_get(&name), ns_c_in, ns_t_txt, answer,
	    sizeof(answer)) == -1 && (h_errno == HOST_NOT_FOUND ||
	    h_errno == NO_DATA);
	buf_fini(&name);
	return missing;
}

static void
copy_tag(DKIM_SIGINFO *sig, const char *tag, char *to, size_t room)
{
	u_char *value = dkim_sig_gettagvalue(sig, false,
	    unconst(span_str(tag)));

	(void)snprintf(to, room, "%s", value != NULL ? (const char *)value :
	    "");
}

static void
read_signature(DKIM *dkim, DKIM_SIGINFO *sig, struct signature *out)
{
	char length[32];
	const char *why;

	memset(out, 0, sizeof(*out));
	/* Those behind the first good one are left aside otherwise. */
	if ((dkim_sig_getflags(sig) & DKIM_SIGFLAG_PROCESSED) == 0)
		(void)dkim_sig_process(dkim, sig);
	out->state = state_of(sig);
	why = dkim_sig_geterrorstr(dkim_sig_geterror(sig));
	if (out->state != SIGNATURE_GOOD)
		(void)snprintf(out->why, sizeof(out->why), "%s", why != NULL ?
		    why : "not good");
	copy_tag(sig, "d", out->domain, sizeof(out->domain));
	copy_tag(sig, "s", out->selector, sizeof(out->selector));
	copy_tag(sig, "h", out->fields, sizeof(out->fields));
	copy_tag(sig, "l", length, sizeof(length));
	out->has_length = length[0] != '\0';
	if (out->state == SIGNATURE_LATER && has_no_record(out)) {
		out->state = SIGNATURE_NO_KEY;
		(void)snprintf(out->why, sizeof(out->why), "there is no such "
		    "name in the DNS");
	}
}

static DKIM_LIB *
open_library(const char *key)
{
	unsigned int flags = DKIM_LIBFLAGS_BADSIGHANDLES, seconds =
	    DNS_SECONDS;
	DKIM_LIB *lib = dkim_init(NULL, NULL);

	if (lib == NULL)
		abort();
	(void)dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_FLAGS, &flags,
	    sizeof(flags));
	(void)dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_TIMEOUT, &seconds,
	    sizeof(seconds));
	if (key != NULL)
		(void)dkim_set_key_lookup(lib, give_key);
	return lib;
}

size_t
signature_check(struct span message, const char *key,
    struct signature out[SIGNATURES_MAX])
{
	static const unsigned char id[] = "selftest";
	char copy[SIGNATURE_KEY_MAX + 1];
	DKIM_LIB *lib = open_library(key);
	DKIM_SIGINFO **sigs = NULL;
	DKIM_STAT status;
	DKIM *dkim;
	int count = 0;
	size_t n = 0;

	dkim = dkim_verify(lib, id, NULL, &status);
	if (dkim == NULL)
		abort();
	(void)snprintf(copy, sizeof(copy), "%s", key != NULL ? key : "");
	(void)dkim_set_user_context(dkim, copy);
	feed(dkim, message);
	if (dkim_getsiglist(dkim, &sigs, &count) == DKIM_STAT_OK)
		for (; n < (size_t)count && n < SIGNATURES_MAX; n++)
			read_signature(dkim, sigs[n], &out[n]);
	(void)dkim_free(dkim);
	dkim_close(lib);
	return n;
}

size_t
signature_covers(const struct signature *signature, struct span name)
{
	struct span rest = span_str(signature->fields);
	size_t n = 0;

	while (rest.len > 0) {
		ptrdiff_t colon = span_index(rest, ':');
		struct span one = colon == -1 ? rest :
		    span_head(rest, (size_t)colon);

		n += span_is_nocase(span_trim(one), name);
		rest = span_from(rest, one.len + 1);
	}
	return n;
}
