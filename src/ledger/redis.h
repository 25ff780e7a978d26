/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The Redis that the settings name, as store_open() wants it: in one place, so
 * that no program can leave out what a setting says.  Thread-safe.
 */
#ifndef LEDGER_REDIS_H
#define LEDGER_REDIS_H

#include "settings/settings.h"
#include "store/store.h"

/* The options borrow the texts of *settings.  They are for the primary, with the
 * filter's login; who asks a replica or logs in as somebody else changes that. */
struct store_options	ledger_redis_options(const struct settings *settings,
    int timeout_ms);

#endif
