/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What evidence must look like when it is recorded.
 */
#include "consent/event.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <string.h>

#include "base/closest.h"
#include "base/crypto.h"

#define SUBTAG_MAX	8	/* RFC 5646 section 2.1 */

/* The order is that of enum basis. */
static const char *const bases[BASES] = {
	"consent", "explicit-consent", "soft-opt-in", "charity-soft-opt-in",
	"casl-implied", "legitimate-interest"
};

const char *
evidence_basis_name(enum basis basis)
{
	return bases[basis];
}

int
evidence_basis_parse(struct span name, enum basis *out, struct fail *fail)
{
	char text[64];
	const char *near;

	if (name.len == 0) {
		*out = BASIS_CONSENT;
		return 1;
	}
	for (unsigned i = 0; i < BASES; i++)
		if (span_is(name, span_str(bases[i]))) {
			*out = (enum basis)i;
			return 1;
		}
	name = span_head(name, sizeof(text) - 1);
	memcpy(text, name.p, name.len);
	text[name.len] = '\0';
	near = closest_name(text, bases, BASES);
	(void)fail_set(fail, FAIL_INPUT, "there is no basis \"%s\"%s%s%s; it "
	    "is one of consent, explicit-consent, soft-opt-in, "
	    "charity-soft-opt-in, casl-implied, legitimate-interest", text,
	    near ? ": did you mean \"" : "", near ? near : "",
	    near ? "\"?" : "");
	return 0;
}

static bool
is_subtag(struct span tag, bool first)
{
	unsigned char c = tag.len == 0 ? 0 : ascii_tolower(tag.p[0]);

	if (tag.len == 0 || tag.len > SUBTAG_MAX)
		return false;
	for (size_t i = 0; i < tag.len; i++)
		if (!(first ? ascii_isalpha(tag.p[i]) :
		    ascii_isalnum(tag.p[i])))
			return false;
	/* Of single letters only these two start a tag. */
	return !first || tag.len > 1 || c == 'x' || c == 'i';
}

/* The shape of RFC 5646, without asking the registry: a language of letters,
 * then subtags; a single letter announces another subtag, and behind `x'
 * everything goes. */
static bool
is_language(struct span text)
{
	bool first = true, private = false;

	for (;;) {
		ptrdiff_t dash = span_index(text, '-');
		struct span tag = dash == -1 ? text :
		    span_head(text, (size_t)dash);

		if (!is_subtag(tag, first))
			return false;
		if (dash == -1)
			return tag.len > 1 || private;
		private |= span_is_nocase(tag, SPAN("x"));
		text = span_from(text, (size_t)dash + 1);
		first = false;
	}
}

static void
fold(char *text, bool upper)
{
	for (; *text != '\0'; text++)
		if (upper && *text >= 'a' && *text <= 'z')
			*text = (char)(*text - 'a' + 'A');
		else if (!upper)
			*text = (char)ascii_tolower((unsigned char)*text);
}

/* "SE" or "CA-QC": ISO 3166-1 alpha-2, and the part of ISO 3166-2. */
static bool
is_jurisdiction(const char *text)
{
	size_t len = strlen(text);

	if (len < 2 || !ascii_isalpha((unsigned char)text[0]) ||
	    !ascii_isalpha((unsigned char)text[1]))
		return false;
	if (len == 2)
		return true;
	if (text[2] != '-' || len < 4 || len > 6)
		return false;
	for (size_t i = 3; i < len; i++)
		if (!ascii_isalnum((unsigned char)text[i]))
			return false;
	return true;
}

static bool
is_digest(const char *text)
{
	return strlen(text) == 2 * CRYPTO_DIGEST_BYTES &&
	    strspn(text, "0123456789abcdef") == 2 * CRYPTO_DIGEST_BYTES;
}

static int
check_ip(char *text, enum evidence_ip form, struct fail *fail)
{
	static const unsigned char mapped[12] =
	    { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	unsigned char address[16];
	bool v4 = inet_pton(AF_INET, text, address) == 1;

	if (!v4 && inet_pton(AF_INET6, text, address) != 1)
		return fail_set(fail, FAIL_INPUT, "ip is no address such as "
		    "192.0.2.7 or 2001:db8::7");
	/* IPv4 in the clothes of IPv6: cut as such, nothing would be left. */
	if (!v4 && memcmp(address, mapped, sizeof(mapped)) == 0) {
		memmove(address, address + 12, 4);
		v4 = true;
	}
	if (form == EVIDENCE_IP_OFF) {
		text[0] = '\0';
		return 0;
	}
	if (form == EVIDENCE_IP_TRUNCATED && v4)
		address[3] = 0;
	else if (form == EVIDENCE_IP_TRUNCATED)
		memset(address + 6, 0, 10);
	if (inet_ntop(v4 ? AF_INET : AF_INET6, address, text,
	    INET6_ADDRSTRLEN) == NULL)
		return fail_set(fail, FAIL_BUG, "an address that can't be "
		    "written");
	return 0;
}
_Static_assert(INET6_ADDRSTRLEN <= EVIDENCE_TEXT_MAX, "ip fits");

int
evidence_check(struct evidence *evidence, enum evidence_ip ip,
    struct fail *fail)
{
	enum basis basis;

	if (evidence->language[0] != '\0' &&
	    !is_language(span_str(evidence->language)))
		return fail_set(fail, FAIL_INPUT, "language is no tag such as "
		    "\"en\" or \"pt-BR\" (BCP 47)");
	if (evidence_basis_parse(span_str(evidence->basis), &basis, fail) == 0)
		return -1;
	fold(evidence->digest, false);
	if (evidence->digest[0] != '\0' && !is_digest(evidence->digest))
		return fail_set(fail, FAIL_INPUT, "digest is no SHA-256 of 64 "
		    "hexadecimal digits");
	fold(evidence->jurisdiction, true);
	if (evidence->jurisdiction[0] != '\0' &&
	    !is_jurisdiction(evidence->jurisdiction))
		return fail_set(fail, FAIL_INPUT, "jurisdiction is no country "
		    "such as \"SE\", or part of one such as \"CA-QC\" (ISO "
		    "3166)");
	return evidence->ip[0] == '\0' ? 0 : check_ip(evidence->ip, ip, fail);
}

bool
evidence_limit_ip(struct evidence *evidence, enum evidence_ip most)
{
	char before[EVIDENCE_TEXT_MAX + 1];
	struct fail unused;

	if (most == EVIDENCE_IP_FULL || evidence->ip[0] == '\0')
		return false;
	memcpy(before, evidence->ip, sizeof(before));
	if (check_ip(evidence->ip, most, &unused) == -1)
		evidence->ip[0] = '\0';
	return strcmp(before, evidence->ip) != 0;
}
