/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What is held about a person, and every use that was made of it, for that
 * person (GDPR Art. 15 and 20).  `consentctl import' reads the JSON.
 */
#ifndef RIGHTS_EXPORT_H
#define RIGHTS_EXPORT_H

#include <stdio.h>

#include "consent/subject.h"
#include "rights/watch.h"
#include "settings/settings.h"
#include "store/store.h"

/* The value of its member "schema_version". */
#define EXPORT_SCHEMA	"cm-27560-1"

/* All borrowed. */
struct export_options {
	const struct settings *settings;
	struct store	*store;
	struct subject	 subject;
	const char	*given;		/* the address, where it is known */
	bool		 csv;
	int64_t		 now_ms;
	const char *const *ledgers;	/* directories; ours among them */
	size_t		 ledger_count;
	const char *const *logs;
	size_t		 log_count;
	const struct watch *watch;
};

/*
 * Reads all of the journals and writes what it finds.  What can't be read is
 * warned of and makes the document incomplete, which it says.  Thread-safe.
 * Returns 0, or -1 with *fail and half a document.
 */
int	export_write(const struct export_options *options, FILE *out,
	    bool *complete, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
