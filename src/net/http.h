/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * One HTTP request to somebody else, and the answer.  Never follows a redirect;
 * https has to have a certificate that is good.  Blocking; thread-safe after
 * net_open().
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"

#define HTTP_ANSWER_MAX	((size_t)64 * 1024)

struct http_request {
	const char	*url;		/* http: or https: */
	const char	*method;	/* "GET", "HEAD", "POST" */
	struct span	 body;		/* of a POST */
	const char *const *headers;	/* "Name: value", NULL at the end */
	const char	*ca_file;	/* NULL: those of the system */
	const char	*connect_to;	/* "host:port:other:port"; NULL */
	int		 timeout_ms;	/* for all of it */
	/* Asked about once a second; true gives up.  May be NULL. */
	bool		(*is_stopped)(void *context);
	void		*context;
};

struct http_answer {
	int		 status;
	struct buf	 body;		/* what is longer is cut off */
	char		*location;	/* of a redirect; owned, NULL */
	bool		 sets_cookie;
	/* When the first certificate of the chain ends, those left aside that
	 * have ended already and so do not matter; 0 without https. */
	int64_t		 certificate_ends_ms;
};

/*
 * Returns 0 with an answer of whatever status, which is freed by _fini; or -1
 * and there is nothing to free: FAIL_TEMP when there is none (and the text says
 * why), FAIL_SETUP for a certificate that is not good (the text says in which
 * way), a URL or method that can't be used, or a ca_file that can't be read.
 * The text never has the URL, which may hold a secret.
 */
int	http_send(const struct http_request *request,
	    struct http_answer *answer, struct fail *fail)
	    __attribute__((warn_unused_result));
void	http_answer_fini(struct http_answer *answer);

#endif
