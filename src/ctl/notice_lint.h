/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What is missing in the notice of a list (GDPR Art. 7, 12, 13): parts, that
 * are looked for by what the configuration says and by words of the six
 * languages of the pages, and translations; and whether it can be read.
 */
#ifndef CTL_NOTICE_LINT_H
#define CTL_NOTICE_LINT_H

#include "ctl/ctl.h"
#include "ctl/finding.h"
#include "rights/notice.h"

/* Adds the findings about one list's notices, or about all.  Returns 0, or -1
 * with *fail when a text can't be read. */
int	notice_lint_list(struct findings *findings,
	    const struct settings *settings, const struct notices *notices,
	    const struct list *list, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
