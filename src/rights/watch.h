/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Who waits for something long: told of what goes wrong beside it and of how
 * far it is, and asked whether to go on.
 */
#ifndef RIGHTS_WATCH_H
#define RIGHTS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct watch {
	/* One line, without an address. */
	void	(*warn)(const char *text, void *context);
	/* bytes of it are done; 0: it begins.  what NULL: at the end.  May be
	 * NULL. */
	void	(*progress)(const char *what, uint64_t bytes, void *context);
	/* May be NULL. */
	bool	(*is_stopped)(void *context);
	void	*context;
};

#endif
