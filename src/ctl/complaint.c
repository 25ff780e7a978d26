/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/complaint.h"

#include "mail/address.h"
#include "mail/authres.h"
#include "mail/field.h"
#include "mail/mime.h"

#define PART_MAX	((size_t)256 * 1024)	/* of a part, decoded */
#define REPORT_TYPE_MAX	100

/* The value of Content-Type; empty where it is not there exactly once. */
static struct span
content_type(struct span header)
{
	struct span value = SPAN("");

	return mime_count_fields(header, SPAN("Content-Type"), &value) == 1 ?
	    value : SPAN("");
}

bool
complaint_is_report(struct span header)
{
	struct buf type = BUF_INIT(REPORT_TYPE_MAX);
	struct span value = content_type(header);
	bool is_report = field_is_media_type(value,
	    SPAN("multipart/report")) &&
	    mime_parameter(&type, value, SPAN("report-type")) &&
	    span_is_nocase(buf_span(&type), SPAN("feedback-report"));

	buf_fini(&type);
	return is_report;
}

/* The position behind a quoted string or a comment at s[i]. */
static size_t
skip_opaque(struct span s, size_t i)
{
	if (s.p[i] == '(')
		return field_skip_cfws(s, i);
	for (i++; i < s.len && s.p[i] != '"'; i++)
		if (s.p[i] == '\\')
			i++;
	return i < s.len ? i + 1 : s.len;
}

/* One mailbox, with a name or without: the address in it.  Groups and lists of
 * mailboxes give an empty one, for whose domain would it be? */
static struct span
only_address(struct span from)
{
	size_t start = field_skip_cfws(from, 0), end;
	bool quoted_local = start < from.len && from.p[start] == '"';
	ptrdiff_t close;

	for (size_t i = start; i < from.len;) {
		unsigned char c = from.p[i];

		if (c == ',' || c == ':' || c == ';')
			return SPAN("");
		if (c == '<') {
			start = i;
			break;
		}
		i = c == '"' || c == '(' ? skip_opaque(from, i) : i + 1;
	}
	if (start < from.len && from.p[start] == '<') {
		close = span_index(span_from(from, start), '>');
		if (close == -1)
			return SPAN("");
		end = start + (size_t)close + 1;
	} else {
		end = quoted_local ? skip_opaque(from, start) : start;
		while (end < from.len && !ascii_isspace(from.p[end]) &&
		    from.p[end] != '(')
			end++;
	}
	return field_skip_cfws(from, end) < from.len ? SPAN("") :
	    span_from(span_head(from, end), start);
}

static bool
is_verified(struct span header, struct span authserv_id)
{
	struct address address;
	struct fail unused;
	struct span from = SPAN("");

	return mime_count_fields(header, SPAN("From"), &from) == 1 &&
	    address_parse(only_address(span_head(from, FIELD_VALUE_MAX)),
	    &address, &unused) == 0 &&
	    authres_has_dkim(header, authserv_id, address_domain(&address));
}

/* The contents of a part.  False: it is in an encoding that nobody knows. */
static bool
read_part(struct buf *out, struct span header, struct span body)
{
	struct span encoding = SPAN("");

	return mime_count_fields(header, SPAN("Content-Transfer-Encoding"),
	    &encoding) <= 1 && mime_decode(out, body, encoding);
}

/* message/feedback-report (RFC 5965 section 3): each of three fields must be
 * there once. */
static bool
says_abuse(struct span fields)
{
	struct span type = SPAN(""), unused;

	return mime_count_fields(fields, SPAN("Feedback-Type"), &type) == 1 &&
	    mime_count_fields(fields, SPAN("User-Agent"), &unused) == 1 &&
	    mime_count_fields(fields, SPAN("Version"), &unused) == 1 &&
	    span_is_nocase(field_keyword(type), SPAN("abuse"));
}

static bool
is_abuse_part(struct span part)
{
	struct buf text = BUF_INIT(PART_MAX);
	struct span header, body;
	bool is_abuse;

	mime_split(part, &header, &body);
	is_abuse = field_is_media_type(content_type(header),
	    SPAN("message/feedback-report")) &&
	    read_part(&text, header, body) && says_abuse(buf_span(&text));
	buf_fini(&text);
	return is_abuse;
}

static bool
is_token_byte(unsigned char c)
{
	return ascii_isalnum(c) || c == '-' || c == '_';
}

/* Of each run of bytes that a token is made of the end, in both forms: what
 * stands before it in a link may be of such bytes, too. */
static void
take_tokens(struct mailto *mailto, const struct token_keys *keys,
    struct span text)
{
	static const size_t lengths[] = { TOKEN_URL_LEN, TOKEN_MAILTO_LEN };

	for (size_t i = 0, end; i < text.len; i = end + 1) {
		for (end = i; end < text.len && is_token_byte(text.p[end]);)
			end++;
		for (size_t j = 0; j < 2; j++)
			if (end - i >= lengths[j])
				mailto_add(mailto, keys, span_from(
				    span_head(text, end), end - lengths[j]));
	}
}

/* The header section of the message that came back. */
static void
take_original(struct mailto *mailto, const struct token_keys *keys,
    struct span part)
{
	struct buf text = BUF_INIT(PART_MAX);
	struct span header, body, fields, type;
	struct mime_field field;

	mime_split(part, &header, &body);
	type = content_type(header);
	if ((field_is_media_type(type, SPAN("message/rfc822")) ||
	    field_is_media_type(type, SPAN("text/rfc822-headers"))) &&
	    read_part(&text, header, body)) {
		mime_split(buf_span(&text), &fields, &body);
		while (mime_next_field(&fields, &field))
			if (span_is_nocase(field.name,
			    SPAN("List-Unsubscribe")) ||
			    span_is_nocase(field.name,
			    SPAN("CFBL-Feedback-ID")))
				take_tokens(mailto, keys, field.value);
	}
	buf_fini(&text);
}

/* The second and third part: the first is for people. */
static bool
find_parts(struct span message, struct span *report, struct span *original)
{
	struct buf boundary = BUF_INIT(MIME_BOUNDARY_MAX);
	struct span header, body, unused;
	bool found;

	mime_split(message, &header, &body);
	found = mime_parameter(&boundary, content_type(header),
	    SPAN("boundary")) && !boundary.overflow &&
	    mime_next_part(&body, buf_span(&boundary), &unused) &&
	    mime_next_part(&body, buf_span(&boundary), report) &&
	    mime_next_part(&body, buf_span(&boundary), original);
	buf_fini(&boundary);
	return found;
}

const char *
complaint_take(struct mailto *mailto, const struct token_keys *keys,
    struct span authserv_id, struct span message)
{
	struct span header, body, report, original;
	size_t before = mailto->count;

	mime_split(message, &header, &body);
	if (authserv_id.len == 0)
		return "a complaint report, and unsubscribe.authserv_id does "
		    "not tell whose DKIM results to trust";
	if (!is_verified(header, authserv_id))
		return "a complaint report without a good DKIM signature of "
		    "its From domain";
	if (!find_parts(message, &report, &original))
		return "a complaint report that has not three parts";
	if (!is_abuse_part(report))
		return "a feedback report that is not about abuse";
	take_original(mailto, keys, original);
	return mailto->count > before ? NULL :
	    "a complaint report with no good token in it";
}
