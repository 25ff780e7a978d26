/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * HTTP, by libmicrohttpd, which only this file and monitor.h know.  Threads of
 * its own answer requests between _start and _stop.
 */
#ifndef WEBD_SERVER_H
#define WEBD_SERVER_H

#include "settings/settings.h"
#include "webd/recorder.h"
#include "webd/site.h"
#include "webd/texts.h"

struct server;
/* Takes the socket over, and a reference to settings, which have an
 * unsubscribe.url, and one to texts; the others are borrowed until _stop.
 * Returns 0, or -1 with FAIL_SETUP. */
int	server_start(int fd, struct settings *settings,
	    struct texts *texts, struct recorder *recorder,
	    struct metrics *metrics, struct server **out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Takes no more requests, and waits for those under way. */
void	server_stop(struct server **server);

/* Requests from now on go by these (lists, keys, links, words); the
 * socket stays.  Takes a reference to each. */
void	server_reload(struct server *server, struct settings *settings,
	    struct texts *texts);

const char *server_library_version(void);

#endif
