/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Identity starts here: two spellings of one mailbox must give the same bytes,
 * two mailboxes never (RFC 5321 4.1.2, RFC 6531 3.3, RFC 5890).
 *
 * Interop: dot-atoms with leading, trailing or double dots are no RFC 5321
 * syntax, but real mailboxes have them and MTAs take them, so they are read.
 */
#include "mail/address.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

#include "base/utf8.h"

#define LABEL_MAX	63

struct address_builder {
	struct address *out;
	struct fail *fail;
};

static int
bad(struct address_builder *b, const char *what)
{
	return fail_set(b->fail, FAIL_INPUT, "not a mailbox address: %s",
	    what);
}

struct span
address_strip_brackets(struct span path)
{
	path = span_trim(path);
	if (path.len >= 2 && path.p[0] == '<' && path.p[path.len - 1] == '>')
		return span_trim(span_of(path.p + 1, path.len - 2));
	return path;
}

bool
address_is_null_path(struct span path)
{
	return address_strip_brackets(path).len == 0;
}

struct span
address_local(const struct address *a)
{
	return span_of(a->text, a->local_len);
}

struct span
address_domain(const struct address *a)
{
	return span_from(address_span(a), a->local_len + 1);
}

struct span
address_span(const struct address *a)
{
	return span_of(a->text, a->len);
}

static int
append(struct address_builder *b, const void *p, size_t len)
{
	struct address *a = b->out;

	if (len >= sizeof(a->text) - a->len)
		return bad(b, "too long");
	memcpy(a->text + a->len, p, len);
	a->len += len;
	a->text[a->len] = '\0';
	return 0;
}

/* A control character, in ASCII or as C1 (U+0080 to U+009F). */
static bool
has_control(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7f ||
		    (s.p[i] == 0xc2 && i + 1 < s.len && s.p[i + 1] < 0xa0))
			return true;
	return false;
}

/*
 * Quoted-string = DQUOTE *QcontentSMTP DQUOTE
 * Writes what it means into out (room for in.len bytes).
 */
static int
unquote(struct address_builder *b, struct span in, unsigned char *out,
    size_t *len)
{
	*len = 0;
	for (size_t i = 1; i + 1 < in.len; i++) {
		if (in.p[i] == '"')
			return bad(b, "a quote inside the quoted local part");
		if (in.p[i] == '\\' && ++i + 1 >= in.len)
			return bad(b, "the quoted local part has no end");
		out[(*len)++] = in.p[i];
	}
	return 0;
}

/* The characters that stand for themselves in a dot-atom (RFC 6531 adds what
 * is not ASCII). */
static int
check_atoms(struct address_builder *b, struct span local)
{
	static const char specials[] = " ()<>[]:;@\\,\"";

	for (size_t i = 0; i < local.len; i++)
		if (strchr(specials, local.p[i]) != NULL)
			return bad(b, "a character in the local part that "
			    "needs quoting");
	return 0;
}

/*
 * Simple case folding of one character (CaseFolding.txt, status C and S): the
 * full folding where that is one character; otherwise lower case, but U+0130
 * has no simple folding at all.
 */
static ucs4_t
fold(ucs4_t c)
{
	uint32_t in[1] = { c }, folded[8];
	size_t n = sizeof(folded) / sizeof(folded[0]);
	uint32_t *result = u32_casefold(in, 1, NULL, NULL, folded, &n);

	if (result == NULL)
		return c;
	if (n == 1)
		c = result[0];
	else if (c != 0x130)
		c = uc_tolower(c);
	if (result != folded)
		free(result);
	return c;
}

static int
append_character(struct address_builder *b, ucs4_t c)
{
	unsigned char out[6];
	int n = u8_uctomb(out, c, sizeof(out));

	return n < 0 ? bad(b, "not UTF-8") : append(b, out, (size_t)n);
}

/* NFC, fold, NFC again: folding can bring characters that compose. */
static int
append_unicode(struct address_builder *b, struct span local)
{
	size_t n = 0, start = b->out->len;
	uint8_t *nfc = u8_normalize(UNINORM_NFC, local.p, local.len, NULL, &n);
	int rc = 0;

	if (nfc == NULL)
		return bad(b, "not UTF-8");
	for (struct span s = span_of(nfc, n); rc == 0 && s.len > 0;) {
		size_t len;
		int32_t c = utf8_decode(s, &len);

		rc = append_character(b, fold((ucs4_t)c));
		s = span_from(s, len);
	}
	free(nfc);
	if (rc == -1)
		return -1;
	nfc = u8_normalize(UNINORM_NFC, (const uint8_t *)b->out->text + start,
	    b->out->len - start, NULL, &n);
	if (nfc == NULL)
		return bad(b, "not UTF-8");
	b->out->len = start;
	rc = append(b, nfc, n);
	free(nfc);
	return rc;
}

static int
append_lower(struct address_builder *b, struct span s)
{
	size_t start = b->out->len;

	if (append(b, s.p, s.len) == -1)
		return -1;
	for (size_t i = start; i < b->out->len; i++)
		b->out->text[i] =
		    (char)ascii_tolower((unsigned char)b->out->text[i]);
	return 0;
}

static int
parse_local(struct address_builder *b, struct span local)
{
	unsigned char plain[ADDRESS_LOCAL_MAX];
	size_t len;

	if (local.len == 0)
		return bad(b, "nothing before the @");
	if (local.len > ADDRESS_LOCAL_MAX)
		return bad(b, "more than 64 octets before the @");
	if (local.p[0] == '"') {
		if (local.len < 2 || local.p[local.len - 1] != '"')
			return bad(b, "the quoted local part has no end");
		if (unquote(b, local, plain, &len) == -1)
			return -1;
		local = span_of(plain, len);
		if (local.len == 0)
			return bad(b, "nothing before the @");
	} else if (check_atoms(b, local) == -1)
		return -1;
	if (has_control(local))
		return bad(b, "a control character in the local part");
	if (span_is_ascii(local))
		return append_lower(b, local);
	if (!utf8_is_valid(local))
		return bad(b, "not UTF-8");
	return append_unicode(b, local);
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" */
static int
parse_literal(struct address_builder *b, struct span literal)
{
	unsigned char address[16];
	char text[64];
	struct span inside;

	if (literal.p[literal.len - 1] != ']' || literal.len > sizeof(text))
		return bad(b, "the address literal has no end");
	inside = span_of(literal.p + 1, literal.len - 2);
	if (has_control(inside))
		return bad(b, "a control character in the address literal");
	if (span_has_prefix_nocase(inside, SPAN("IPv6:"))) {
		inside = span_from(inside, 5);
		memcpy(text, inside.p, inside.len);
		text[inside.len] = '\0';
		if (inet_pton(AF_INET6, text, address) != 1)
			return bad(b, "no IPv6 address in the brackets");
	} else {
		memcpy(text, inside.p, inside.len);
		text[inside.len] = '\0';
		if (inet_pton(AF_INET, text, address) != 1)
			return bad(b, "no IP address in the brackets");
	}
	return append_lower(b, literal);
}

static int
check_labels(struct address_builder *b, struct span domain)
{
	size_t label = 0;

	if (domain.len > ADDRESS_DOMAIN_MAX)
		return bad(b, "more than 255 octets after the @");
	for (size_t i = 0; i <= domain.len; i++) {
		unsigned char c = i < domain.len ? domain.p[i] : '.';

		if (c == '.') {
			if (label == 0)
				return bad(b, "an empty label in the domain");
			label = 0;
		} else if (!ascii_isalnum(c) && c != '-' && c != '_')
			return bad(b, "a character that no domain has");
		else if (++label > LABEL_MAX)
			return bad(b, "a domain label of more than 63 octets");
	}
	return 0;
}

static int
append_idn(struct address_builder *b, struct span domain)
{
	unsigned char text[ADDRESS_DOMAIN_MAX + 1];
	uint8_t *ascii = NULL;
	struct span result;
	int rc;

	memcpy(text, domain.p, domain.len);
	text[domain.len] = '\0';
	rc = idn2_lookup_u8(text, &ascii,
	    IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
	if (rc != IDN2_OK)
		return bad(b, idn2_strerror(rc));
	result = span_str((const char *)ascii);
	if (result.len > 0 && result.p[result.len - 1] == '.')
		result.len--;
	rc = check_labels(b, result) == -1 ? -1 : append_lower(b, result);
	idn2_free(ascii);
	return rc;
}

static int
parse_domain(struct address_builder *b, struct span domain)
{
	if (domain.len > 0 && domain.p[0] == '[')
		return parse_literal(b, domain);
	if (domain.len > 0 && domain.p[domain.len - 1] == '.')
		domain.len--;
	if (domain.len == 0)
		return bad(b, "no domain behind the @");
	if (domain.len > ADDRESS_DOMAIN_MAX)
		return bad(b, "more than 255 octets after the @");
	if (span_is_ascii(domain))
		return check_labels(b, domain) == -1 ? -1 :
		    append_lower(b, domain);
	if (!utf8_is_valid(domain) || has_control(domain))
		return bad(b, "the domain is not UTF-8");
	return append_idn(b, domain);
}

int
address_parse(struct span text, struct address *out, struct fail *fail)
{
	struct address_builder b = { out, fail };
	ptrdiff_t at;

	out->len = out->local_len = 0;
	out->text[0] = '\0';
	if (text.len > ADDRESS_PATH_MAX)
		return bad(&b, "too long");
	text = address_strip_brackets(text);
	if (text.len > 0 && text.p[0] == '@')
		return bad(&b, "a source route");
	/* Of several @ only the last can be outside quotes. */
	at = span_rindex(text, '@');
	if (at == -1)
		return bad(&b, "no @");
	if (parse_local(&b, span_head(text, (size_t)at)) == -1)
		return -1;
	out->local_len = out->len;
	if (append(&b, "@", 1) == -1)
		return -1;
	return parse_domain(&b, span_from(text, (size_t)at + 1));
}

void
address_add_printable(struct buf *out, struct span path, size_t max_bytes)
{
	char room[256];
	struct buf text = BUF_ON(room, 16 * ADDRESS_PATH_MAX);

	path = span_head(address_strip_brackets(path), ADDRESS_PATH_MAX);
	utf8_add_ascii(&text, path);
	if (text.len > max_bytes) {
		buf_truncate(&text, max_bytes - 3);
		buf_add_str(&text, "...");
	}
	buf_add_span(out, buf_span(&text));
	buf_fini(&text);
}

void
address_add_masked(struct buf *out, struct span path)
{
	ptrdiff_t at;
	struct span local;
	size_t len = 0;

	path = address_strip_brackets(path);
	at = span_rindex(path, '@');
	local = at == -1 ? path : span_head(path, (size_t)at);
	if (local.len > 0 && local.p[0] == '"')
		local = span_from(local, 1);
	if (local.len > 0) {
		(void)utf8_decode(local, &len);
		utf8_add_ascii(out, span_head(local, len));
	}
	buf_add_str(out, "***");
	if (at != -1)
		address_add_printable(out, span_from(path, (size_t)at), 280);
}
