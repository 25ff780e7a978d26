/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * From libconfig's tree to struct settings, with every mistake told.  The only
 * module that knows libconfig.
 */
#ifndef SETTINGS_READER_H
#define SETTINGS_READER_H

#include "base/span.h"
#include "settings/problems.h"
#include "settings/settings.h"

/* Parses text, the content of the problems' main file, into settings that hold
 * the defaults.  Usable only when no problem was added. */
void	reader_read(struct span text, struct settings *settings,
	    struct problems *problems);
/* libconfig's version.  Static. */
const char *reader_library_version(void);

#endif
