/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Who signs, and what he covers.  Mailbox providers offer a one-click opt-out
 * only where both fields are signed (RFC 8058 section 4).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "ctl/doctor.h"

#define OPENDKIM_PORT	"8891"
#define RSPAMD_PORT	"11332"

static bool
read_opendkim(const struct doctor *d, struct buf *out)
{
	static const char *const usual[] = { "/etc/opendkim.conf",
	    "/etc/opendkim/opendkim.conf", "/etc/mail/opendkim.conf" };
	struct fail unused;

	if (d->opendkim_file != NULL)
		return file_read(d->opendkim_file, out, &unused) == 0;
	for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++)
		if (file_read(usual[i], out, &unused) == 0)
			return true;
	return false;
}

/* By its configuration. */
static bool
is_opendkims(const struct doctor *d, const struct mta_socket *socket)
{
	struct buf text = BUF_INIT(DOCTOR_FILE_MAX);
	struct mta_socket its;
	struct span where;
	bool is = read_opendkim(d, &text) &&
	    mtaconf_opendkim(buf_span(&text), "Socket", &where) &&
	    mtaconf_socket(where, &its) &&
	    mtaconf_same_socket(&its, socket, "/var/spool/postfix");

	buf_fini(&text);
	return is;
}

bool
doctor_signer_is(const struct doctor *d, const struct mta_socket *socket,
    struct doctor_signer *signer)
{
	if (is_opendkims(d, socket) || (socket->is_unix ?
	    strstr(socket->path, "opendkim") != NULL :
	    strcmp(socket->port, OPENDKIM_PORT) == 0)) {
		signer->is_opendkim = true;
		return true;
	}
	if (socket->is_unix ? strstr(socket->path, "rspamd") != NULL :
	    strcmp(socket->port, RSPAMD_PORT) == 0) {
		signer->is_rspamd = true;
		return true;
	}
	return socket->is_unix && strstr(socket->path, "dkim") != NULL;
}

/* -- OpenDKIM -- */

static const struct span fields[] = { SPAN("List-Unsubscribe"),
    SPAN("List-Unsubscribe-Post") };

/* A list in a file, or a data base, is not looked at. */
static bool
is_inline(struct span list)
{
	return list.len == 0 || (list.p[0] != '/' &&
	    !span_has_prefix_nocase(list, SPAN("file:")) &&
	    !span_has_prefix_nocase(list, SPAN("refile:")) &&
	    !span_has_prefix_nocase(list, SPAN("db:")));
}

static struct span
without_type(struct span list)
{
	return span_has_prefix_nocase(list, SPAN("csl:")) ?
	    span_from(list, 4) : list;
}

static void
tell_headers(struct findings *f, struct span signs, struct span omits)
{
	struct buf missing = BUF_INIT(256);

	for (size_t i = 0; i < 2; i++)
		/* OpenDKIM's default has the first of the two. */
		if (!(signs.len > 0 ? mtaconf_names_header(signs, fields[i],
		    i == 0) : i == 0) ||
		    mtaconf_names_header(omits, fields[i], false))
			buf_addf(&missing, "%s%.*s", missing.len > 0 ?
			    " and " : "", (int)fields[i].len,
			    (const char *)fields[i].p);
	if (missing.len == 0)
		findings_add(f, "signer-headers", FINDING_OK, "OpenDKIM signs "
		    "both fields of the links");
	else {
		findings_add(f, "signer-headers", FINDING_FAIL, "OpenDKIM does "
		    "not sign %s: mailbox providers do not offer the one-click "
		    "opt-out", buf_get(&missing));
		findings_fix(f, "opendkim.conf: SignHeaders *,"
		    "+List-Unsubscribe,+List-Unsubscribe-Post");
		findings_fix(f, "opendkim.conf: OversignHeaders From,"
		    "List-Unsubscribe,List-Unsubscribe-Post");
		findings_fix(f, "systemctl restart opendkim");
	}
	buf_fini(&missing);
}

static void
judge_opendkim(struct doctor *d)
{
	struct buf text = BUF_INIT(DOCTOR_FILE_MAX);
	struct span signs = span_of(NULL, 0), omits = signs, mode = signs;
	struct findings *f = &d->findings;

	if (!read_opendkim(d, &text)) {
		findings_add(f, "signer-headers", FINDING_SKIPPED, "the "
		    "configuration of OpenDKIM can't be read");
		findings_fix(f, "run it as root, or with --opendkim-config "
		    "FILE");
		buf_fini(&text);
		return;
	}
	(void)mtaconf_opendkim(buf_span(&text), "SignHeaders", &signs);
	(void)mtaconf_opendkim(buf_span(&text), "OmitHeaders", &omits);
	if (mtaconf_opendkim(buf_span(&text), "Mode", &mode) &&
	    span_index(mode, 's') == -1) {
		findings_add(f, "signer-mode", FINDING_FAIL, "OpenDKIM only "
		    "verifies (Mode %.*s): nothing is signed", (int)mode.len,
		    (const char *)mode.p);
		findings_fix(f, "opendkim.conf: Mode sv");
		findings_fix(f, "systemctl restart opendkim");
	} else
		findings_add(f, "signer-mode", FINDING_OK, "OpenDKIM signs");
	if (is_inline(signs) && is_inline(omits))
		tell_headers(f, without_type(signs), without_type(omits));
	else
		findings_add(f, "signer-headers", FINDING_SKIPPED, "OpenDKIM "
		    "has its SignHeaders in a file of its own, which is not "
		    "looked at");
	buf_fini(&text);
}

/* -- rspamd -- */

/* Its default has both fields; a value of its own may not. */
static void
judge_rspamd(struct doctor *d)
{
	static const char *const files[] = { "override.d", "local.d" };
	const char *directory = d->rspamd_directory != NULL ?
	    d->rspamd_directory : "/etc/rspamd";
	struct buf path = BUF_INIT(4096), text = BUF_INIT(DOCTOR_FILE_MAX);
	struct findings *f = &d->findings;
	struct span signs;
	struct fail unused;

	for (size_t i = 0; i < 2; i++) {
		buf_clear(&path);
		buf_clear(&text);
		buf_addf(&path, "%s/%s/dkim_signing.conf", directory,
		    files[i]);
		if (file_read(buf_get(&path), &text, &unused) == -1 ||
		    !mtaconf_rspamd(buf_span(&text), "sign_headers", &signs))
			continue;
		if (mtaconf_rspamd_signs(signs, fields[0]) &&
		    mtaconf_rspamd_signs(signs, fields[1]))
			break;
		findings_add(f, "signer-headers", FINDING_FAIL, "rspamd does "
		    "not sign both fields of the links (sign_headers in %s)",
		    buf_get(&path));
		findings_fix(f, "%s: add "
		    ":(o)list-unsubscribe:(o)list-unsubscribe-post to "
		    "sign_headers, or remove it", buf_get(&path));
		buf_fini(&path);
		buf_fini(&text);
		return;
	}
	findings_add(f, "signer-headers", FINDING_OK, "rspamd is not told to "
	    "leave out the fields of the links");
	buf_fini(&path);
	buf_fini(&text);
}

void
doctor_signer_judge(struct doctor *d, const struct doctor_signer *signer)
{
	struct findings *f = &d->findings;

	if (signer->is_opendkim)
		judge_opendkim(d);
	if (signer->is_rspamd)
		judge_rspamd(d);
	if (signer->is_before || signer->is_behind)
		return;
	findings_add(f, "signer", FINDING_WARN, "no DKIM signer is among the "
	    "filters: without a signature no mailbox provider offers the "
	    "one-click opt-out");
	findings_fix(f, "main.cf: smtpd_milters = %s, inet:127.0.0.1:8891 "
	    "(OpenDKIM), unless another machine signs behind this one",
	    d->settings->socket);
}
