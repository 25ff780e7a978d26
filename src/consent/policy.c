/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "consent/policy.h"

#include <arpa/inet.h>
#include <string.h>

const struct list *
policy_list(const struct policy *policy, struct span id)
{
	for (size_t i = 0; i < policy->list_count; i++)
		if (span_is(span_str(policy->lists[i].id), id))
			return &policy->lists[i];
	return NULL;
}

bool
policy_observes(const struct policy *policy, const struct list *list)
{
	if (list != NULL && list->mode != LIST_MODE_DEFAULT)
		return list->mode == LIST_MODE_OBSERVE;
	return policy->observe;
}

bool
policy_observes_all(const struct policy *policy)
{
	for (size_t i = 0; i < policy->list_count; i++)
		if (!policy_observes(policy, &policy->lists[i]))
			return false;
	return policy->observe;
}

const struct list *
policy_list_of_token(const struct policy *policy,
    const unsigned char list[TOKEN_LIST_BYTES])
{
	for (size_t i = 0; i < policy->list_count; i++) {
		unsigned char id[TOKEN_LIST_BYTES];

		token_list(span_str(policy->lists[i].id), id);
		if (memcmp(id, list, sizeof(id)) == 0)
			return &policy->lists[i];
	}
	return NULL;
}

unsigned
policy_bases(const struct list *list)
{
	if (list->bases != 0)
		return list->bases;
	return 1u << BASIS_EXPLICIT_CONSENT |
	    (list->special_category ? 0u : 1u << BASIS_CONSENT);
}

/* "ID VERSION" at the last blank; the major version is -1 when there is none. */
static struct span
split_notice(struct span notice, int64_t *major)
{
	size_t blank = notice.len, digits = 0;
	struct span version;

	*major = -1;
	while (blank > 0 && notice.p[blank - 1] != ' ')
		blank--;
	if (blank == 0)
		return notice;
	version = span_from(notice, blank);
	while (digits < version.len && ascii_isdigit(version.p[digits]))
		digits++;
	if ((digits < version.len && version.p[digits] != '.') ||
	    span_to_i64(span_head(version, digits), major) == -1)
		*major = -1;
	return span_trim(span_head(notice, blank));
}

bool
policy_notice_is_valid(struct span wanted)
{
	int64_t major;
	struct span id = split_notice(wanted, &major);

	return id.len > 0 && major >= 0 &&
	    span_index(span_from(wanted, id.len), '.') == -1;
}

struct span
policy_notice_id(const struct list *list)
{
	struct span wanted = span_str(list->notice != NULL ? list->notice :
	    list->id);
	ptrdiff_t blank = span_index(wanted, ' ');

	return span_head(wanted, blank == -1 ? wanted.len : (size_t)blank);
}

bool
policy_takes_consent(const struct list *list)
{
	return (policy_bases(list) & (1u << BASIS_CONSENT |
	    1u << BASIS_EXPLICIT_CONSENT)) != 0;
}

bool
policy_takes_explicit_only(const struct list *list)
{
	return (policy_bases(list) & 1u << BASIS_CONSENT) == 0;
}

bool
policy_notice_suffices(struct span wanted, struct span notice)
{
	int64_t wanted_major, major;
	struct span wanted_id = split_notice(wanted, &wanted_major);
	struct span id = split_notice(span_trim(notice), &major);

	return span_is(id, wanted_id) && major != -1 && major >= wanted_major;
}

enum grant_fault
policy_grant_fault(const struct list *list, int64_t at_ms,
    const struct evidence *evidence)
{
	enum basis basis;
	struct fail fail;

	if (!evidence_method_counts(span_str(evidence->method)))
		return GRANT_METHOD;
	if (evidence_basis_parse(span_str(evidence->basis), &basis,
	    &fail) == 0 || (policy_bases(list) & 1u << basis) == 0)
		return GRANT_BASIS;
	if (list->notice != NULL && at_ms >= list->notice_since_ms &&
	    !policy_notice_suffices(span_str(list->notice),
	    span_str(evidence->notice)))
		return GRANT_NOTICE;
	return GRANT_COUNTS;
}

enum event_kind
policy_grant_kind(const struct list *list, int64_t at_ms,
    const struct evidence *evidence)
{
	return policy_grant_fault(list, at_ms, evidence) == GRANT_COUNTS ?
	    EVENT_GRANT : EVENT_UNPROVEN;
}

/* Is any bit of address set at or behind position bits? */
static bool
has_host_bits(const unsigned char address[16], unsigned bits)
{
	for (unsigned i = bits; i < 128; i++)
		if ((address[i / 8] >> (7 - i % 8) & 1) != 0)
			return true;
	return false;
}

int
network_parse(struct span text, struct network *out, struct fail *fail)
{
	ptrdiff_t slash = span_index(text, '/');
	struct span address = slash == -1 ? text :
	    span_head(text, (size_t)slash);
	struct network network = { { 0 }, 0 };
	char host[INET6_ADDRSTRLEN];
	unsigned offset;
	uint64_t bits;

	if (address.len >= sizeof(host) || span_index(address, '\0') != -1)
		return fail_set(fail, FAIL_INPUT, "not an IP network");
	memcpy(host, address.p, address.len);
	host[address.len] = '\0';
	if (inet_pton(AF_INET, host, network.address + 12) == 1) {
		network.address[10] = network.address[11] = 0xff;
		offset = 96;
	} else if (inet_pton(AF_INET6, host, network.address) == 1)
		offset = 0;
	else
		return fail_set(fail, FAIL_INPUT, "not an IP network: write "
		    "192.0.2.0/24 or 2001:db8::/32");
	bits = 128 - offset;
	if (slash != -1 && (span_to_u64(span_from(text, (size_t)slash + 1),
	    &bits) == -1 || bits > 128 - offset))
		return fail_set(fail, FAIL_INPUT, "the prefix length behind "
		    "the / is 0 to %u", 128 - offset);
	network.prefix_bits = (unsigned)bits + offset;
	if (has_host_bits(network.address, network.prefix_bits))
		return fail_set(fail, FAIL_INPUT, "the address has bits "
		    "behind its prefix of %u", (unsigned)bits);
	*out = network;
	return 0;
}

bool
network_has(const struct network *network, const unsigned char address[16])
{
	unsigned bytes = network->prefix_bits / 8;
	unsigned bits = network->prefix_bits % 8;

	if (memcmp(network->address, address, bytes) != 0)
		return false;
	return bits == 0 || ((network->address[bytes] ^ address[bytes]) &
	    (0xff << (8 - bits) & 0xff)) == 0;
}
