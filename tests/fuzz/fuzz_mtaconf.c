/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Whatever a configuration of a mail server or signer is, what is taken out of
 * it is a part of it, and the end comes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/dialog.h"
#include "ctl/mtaconf.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span whole;

/* An empty one may be anywhere. */
static void
check(struct span part)
{
	if (part.len > 0 && (part.p < whole.p || part.len > whole.len ||
	    part.p + part.len > whole.p + whole.len))
		abort();
}

static void
check_socket(struct span text)
{
	struct mta_socket socket;

	if (!mtaconf_socket(text, &socket))
		return;
	if (socket.is_unix ? socket.path[0] == '\0' : socket.port[0] == '\0')
		abort();
	if (!mtaconf_same_socket(&socket, &socket, NULL))
		abort();
	(void)mtaconf_is_loopback(socket.host);
}

static void
check_postfix(void)
{
	struct span rest = whole, value;
	struct mta_milter milter;
	struct mta_service service;
	struct mta_override one;
	int64_t ms;

	while (mtaconf_next_milter(&rest, &milter)) {
		check(milter.text);
		check(milter.socket);
		check(milter.action);
		check_socket(milter.socket);
		(void)mtaconf_time(milter.timeout, 's', &ms);
	}
	for (rest = whole; mtaconf_next_service(&rest, &service);) {
		check(service.command);
		if (mtaconf_override(whole, &service, "smtpd_milters", &value))
			check(value);
	}
	for (rest = whole; mtaconf_next_override(&rest, &one);) {
		check(one.name);
		check(one.value);
		(void)mtaconf_has_word(one.value, SPAN("no_milters"));
	}
	if (mtaconf_value(whole, "smtpd_milters", &value))
		check(value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest, value;
	struct mta_filter filter;
	struct fail unused;
	char text[64];

	whole = rest = span_of(data, size);
	check_postfix();
	check_socket(whole);
	while (mtaconf_next_filter(&rest, &filter)) {
		check(filter.name);
		check(filter.flags);
		check_socket(filter.socket);
	}
	if (mtaconf_sendmail_option(whole, "InputMailFilters", &value))
		check(value);
	if (mtaconf_opendkim(whole, "SignHeaders", &value)) {
		check(value);
		(void)mtaconf_names_header(value, SPAN("List-Unsubscribe"),
		    true);
	}
	if (mtaconf_rspamd(whole, "sign_headers", &value)) {
		check(value);
		(void)mtaconf_rspamd_signs(value, SPAN("list-unsubscribe"));
	}
	(void)!dialog_read_negotiation(whole, &unused);
	if (dialog_read_http(whole, text, sizeof(text), &unused) != -1 &&
	    strlen(text) >= sizeof(text))
		abort();
	return 0;
}
