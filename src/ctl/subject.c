/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Pseudonyms of addresses, for who keeps a list of their own and is told of
 * changes by webhooks, which name nobody.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/json.h"
#include "ctl/ctl.h"

#define LINE_MAX_BYTES	4096

struct subjects {
	struct ctl	*ctl;
	bool		 json;
	bool		 any;
};

static void
print(struct subjects *s, struct span text, const struct address *address)
{
	struct subject subject;
	struct buf id = BUF_INIT(64), out = BUF_INIT(3 * LINE_MAX_BYTES);

	subject_of(s->ctl->settings->pseudonym_key, address, &subject);
	subject_format(&id, &subject);
	if (s->json) {
		buf_add_str(&out, s->any ? ",\n{" : "[\n{");
		json_add_member(&out, "address", text);
		json_add_member(&out, "subject", buf_span(&id));
		buf_add_char(&out, '}');
		fputs(buf_get(&out), stdout);
	} else {
		buf_add_span(&out, text);
		printf("%s %s\n", buf_get(&id), buf_get(&out));
	}
	s->any = true;
	buf_fini(&id);
	buf_fini(&out);
}

/* where is "", or says where the address stands. */
static int
tell(struct subjects *s, const char *where, struct span text)
{
	struct address address;
	struct fail fail;

	if (address_parse(text, &address, &fail) == -1) {
		ctl_warn("%s%.*s: %s", where, (int)span_head(text, 320).len,
		    (const char *)text.p, fail.text);
		return EX_DATAERR;
	}
	print(s, text, &address);
	return EX_OK;
}

/* One address a line. */
static int
tell_input(struct subjects *s)
{
	char line[LINE_MAX_BYTES], where[32];
	unsigned number = 0;
	int rc = EX_OK;

	while (fgets(line, sizeof(line), stdin) != NULL && !ferror(stdout) &&
	    s->ctl->interrupted == 0) {
		struct span text = span_trim(span_str(line));
		int one = EX_OK;

		number++;
		(void)snprintf(where, sizeof(where), "-:%u: ", number);
		if (text.len > 0 && text.p[0] != '#')
			one = tell(s, where, text);
		rc = one != EX_OK ? one : rc;
	}
	return s->ctl->interrupted != 0 ? EX_TEMPFAIL : rc;
}

int
command_subject(struct ctl *ctl, int argc, char **argv)
{
	struct subjects s = { .ctl = ctl };
	int option, rc;

	while ((option = ctl_getopt(argc, argv)) != -1)
		switch (option) {
		case 'j':
			s.json = true;
			break;
		case 'h':
			return EX_OK;
		default:
			return EX_USAGE;
		}
	if (optind == argc)
		return ctl_usage(argv[0], "needs an address, or - to read "
		    "them");
	rc = ctl_need_keys(ctl);
	if (rc != EX_OK)
		return rc;
	for (int i = optind; i < argc; i++) {
		int one = strcmp(argv[i], "-") == 0 ? tell_input(&s) :
		    tell(&s, "", span_str(argv[i]));

		rc = one != EX_OK ? one : rc;
	}
	if (s.json)
		puts(s.any ? "\n]" : "[]");
	return rc;
}
