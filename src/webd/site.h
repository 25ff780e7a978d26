/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Which request gets which answer.  Everything below unsubscribe.url and
 * web.url; what is shared by those who answer.  Thread-safe.
 *
 *	unsubscribe.url + TOKEN		unsubscribe.c
 *	web.url + subscribe/LIST	signup.c
 *	        + confirm/LINK
 *	        + api/subscribe
 *	        + data, data/LINK	mydata.c
 *	        + data/session
 */
#ifndef WEBD_SITE_H
#define WEBD_SITE_H

#include "webd/courier.h"
#include "webd/eraser.h"
#include "webd/exchange.h"
#include "webd/limit.h"
#include "webd/recorder.h"
#include "webd/session.h"

struct site {
	struct recorder	*recorder;	/* borrowed */
	struct courier	*courier;
	struct eraser	*eraser;
	struct sessions	*sessions;
	/* How often we send mail because somebody asks: */
	struct limit	*per_sign_up;	/* by person and list */
	struct limit	*per_data;	/* by person */
	struct limit	*per_client;
	struct limit	*per_download;	/* by person */
	struct limit	*of_all;
};

/* Returns 0, or -1 with FAIL_SETUP. */
int	site_open(const struct settings *settings,
	    struct recorder *recorder, struct site **out, struct fail *fail)
	    __attribute__((warn_unused_result));
void	site_close(struct site **site);

/* May the answer take longer than an fsync does? */
bool	site_is_slow(const struct request *request);
void	site_answer(struct site *site, const struct request *request,
	    struct answer *answer);

/* May this client, known by its address, ask for something once more?  And may
 * one more mail go out to whom the key names?  Each counts it if so. */
bool	site_may_try(struct site *site, const struct request *request);
bool	site_may_mail(struct site *site, const struct request *request,
	    struct limit *per, struct span key);

/* -- who answers what; token, name and so on are what follows in the target -- */

void	unsubscribe_answer(struct site *site, const struct request *request,
	    struct span token, struct answer *answer);
void	signup_answer(struct site *site, const struct request *request,
	    struct span list, struct answer *answer);
void	signup_answer_confirm(struct site *site,
	    const struct request *request, struct span link,
	    struct answer *answer);
void	signup_answer_program(struct site *site,
	    const struct request *request, struct answer *answer);
/* rest is what follows "data". */
void	mydata_answer(struct site *site, const struct request *request,
	    struct span rest, struct answer *answer);

#endif
