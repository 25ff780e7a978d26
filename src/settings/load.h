/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef SETTINGS_LOAD_H
#define SETTINGS_LOAD_H

#include "base/buf.h"
#include "base/span.h"
#include "settings/settings.h"

/* Like settings_load() for text in memory: path is what messages call it, and
 * its directory is where relative @include paths start. */
int	settings_load_text(const char *path, struct span text,
	    struct settings **out, struct buf *errors)
	    __attribute__((warn_unused_result));

#endif
