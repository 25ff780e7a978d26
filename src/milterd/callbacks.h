/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * libmilter's side: callbacks translate, message.h decides.
 */
#ifndef MILTERD_CALLBACKS_H
#define MILTERD_CALLBACKS_H

#include <stddef.h>

#include "base/fail.h"
#include "milterd/runtime.h"

/* Registers the callbacks; call once.  Returns 0, or -1 with FAIL_SETUP. */
int	callbacks_register(struct fail *fail)
	    __attribute__((warn_unused_result));
/* Sets what the callbacks work on, before the first can run.  Borrowed. */
void	callbacks_start(struct runtime *runtime);
/* Waits until no callback is running, for at most timeout_ms: libmilter does
 * not wait for them when it stops. */
void	callbacks_drain(int timeout_ms);
/* Connections of MTAs that are open. */
size_t	callbacks_connections(void);
/* For -V: libmilter's version, in buf of size bytes. */
void	callbacks_version(char *buf, size_t size);

#endif
