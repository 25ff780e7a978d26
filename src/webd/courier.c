/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/courier.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "net/smtp.h"
#include "webd/letter.h"

#define WAITING_MAX	1000
#define FIRST_RETRY_MS	2000
#define GIVE_UP_MS	(INT64_C(15) * 60 * 1000)
#define SEND_MS		20000

struct errand {
	struct errand	*next;
	struct settings	*settings;
	const struct words *words;
	struct subject	 subject;
	char		*message;	/* NULL: the link to their data */
	size_t		 message_len;
	int64_t		 asked_ms;	/* monotonic */
	int64_t		 due_ms;
	int64_t		 pause_ms;
	char		*address;
};

struct courier {
	struct recorder	*recorder;
	pthread_t	 thread;
	pthread_mutex_t	 lock;
	pthread_cond_t	 wakes;
	struct errand	*first;
	size_t		 count;
	bool		 stopping;
};

static void
free_errand(struct errand *e)
{
	settings_put(&e->settings);
	crypto_wipe(e->address, strlen(e->address));
	free(e->address);
	if (e->message != NULL)
		crypto_wipe(e->message, e->message_len);
	free(e->message);
	free(e);
}

int
courier_send(const struct settings *settings, const char *address,
    struct span message, struct fail *fail)
{
	const struct smtp_options options = {
		.server = settings->mail.server,
		.envelope_sender = settings->mail.envelope_sender != NULL ?
		    settings->mail.envelope_sender : "",
		.recipient = address, .timeout_ms = SEND_MS };

	return smtp_send(&options, message, fail);
}

static void
take_nothing(const char *list, const struct record *record,
    const struct evidence *evidence, void *context)
{
	(void)list;
	(void)record;
	(void)evidence;
	(void)context;
}

static int
mail_link(const struct errand *e, struct fail *fail)
{
	struct link link = { .purpose = LINK_ACCESS, .subject = e->subject,
	    .at_ms = clock_now_ms() };
	struct buf url = BUF_INIT(4096), message = BUF_INIT(LETTER_MAX);
	struct letter letter = { .settings = e->settings, .words = e->words,
	    .recipient = e->address, .now_ms = link.at_ms };
	int rc;

	crypto_random(link.detail, sizeof(link.detail));
	crypto_random(letter.id, sizeof(letter.id));
	buf_addf(&url, "%sdata/", e->settings->web.url);
	link_add(&url, e->settings->link_key, &link);
	letter.link = buf_get(&url);
	letter_data(&message, &letter);
	rc = courier_send(e->settings, e->address, buf_span(&message), fail);
	crypto_wipe(url.data, url.len);
	crypto_wipe(message.data, message.len);
	buf_fini(&url);
	buf_fini(&message);
	return rc;
}

/* Returns 0 when there is nothing more to do. */
static int
run_errand(const struct courier *c, const struct errand *e, struct fail *fail)
{
	struct store *store = recorder_store(c->recorder);
	int rc;

	if (e->message != NULL)
		return courier_send(e->settings, e->address, span_of(
		    e->message, e->message_len), fail);
	if (store == NULL)
		return fail_set(fail, FAIL_TEMP, "Redis must not be used");
	rc = store_visit(store, &e->subject, take_nothing, NULL, fail);
	if (rc == 0)
		log_info("a link to their data was asked for: nothing is held");
	if (rc != 1)
		return rc;
	rc = mail_link(e, fail);
	if (rc == 0)
		log_info("a link to their data was mailed");
	return rc;
}

/* Keeps those that are due the longest in front. */
static void
put_in_order(struct courier *c, struct errand *e)
{
	struct errand **at = &c->first;

	while (*at != NULL && (*at)->due_ms <= e->due_ms)
		at = &(*at)->next;
	e->next = *at;
	*at = e;
	c->count++;
}

/* NULL at the end. */
static struct errand *
next_errand(struct courier *c)
{
	struct errand *e;

	for (;;) {
		int64_t now_ms = clock_monotonic_ms(), ms;
		struct timespec until;

		if (c->stopping)
			return NULL;
		if (c->first != NULL && c->first->due_ms <= now_ms)
			break;
		ms = c->first != NULL ? c->first->due_ms : now_ms + 60000;
		until = clock_deadline(ms);
		(void)pthread_cond_timedwait(&c->wakes, &c->lock, &until);
	}
	e = c->first;
	c->first = e->next;
	c->count--;
	return e;
}

/* Returns whether it is to be tried again. */
static bool
is_worth_more(struct errand *e, const struct fail *fail)
{
	int64_t now_ms = clock_monotonic_ms();

	if (fail->class != FAIL_INPUT && now_ms - e->asked_ms < GIVE_UP_MS) {
		if (e->pause_ms == FIRST_RETRY_MS)
			log_warn("a link that was asked for is mailed later: "
			    "%s", fail->text);
		e->due_ms = now_ms + e->pause_ms;
		e->pause_ms *= 2;
		return true;
	}
	log_error("a link that was asked for was not mailed, and is given up: "
	    "%s", fail->text);
	return false;
}

static void *
work(void *argument)
{
	struct courier *c = argument;
	struct errand *e;
	struct fail fail;

	(void)pthread_mutex_lock(&c->lock);
	while ((e = next_errand(c)) != NULL) {
		bool again;

		(void)pthread_mutex_unlock(&c->lock);
		again = run_errand(c, e, &fail) == -1 &&
		    is_worth_more(e, &fail);
		(void)pthread_mutex_lock(&c->lock);
		if (again)
			put_in_order(c, e);
		else
			free_errand(e);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return NULL;
}

int
courier_open(struct recorder *recorder, struct courier **out,
    struct fail *fail)
{
	struct courier *c = xcalloc(1, sizeof(*c));
	int err;

	c->recorder = recorder;
	(void)pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->wakes);
	err = pthread_create(&c->thread, NULL, work, c);
	if (err != 0) {
		free(c);
		return fail_errno(fail, FAIL_SETUP, err,
		    "can't start a thread");
	}
	*out = c;
	return 0;
}

void
courier_close(struct courier **courier)
{
	struct courier *c = *courier;

	if (c == NULL)
		return;
	*courier = NULL;
	(void)pthread_mutex_lock(&c->lock);
	c->stopping = true;
	(void)pthread_cond_signal(&c->wakes);
	(void)pthread_mutex_unlock(&c->lock);
	(void)pthread_join(c->thread, NULL);
	if (c->count > 0)
		log_warn("%zu people who asked for a link get none and have "
		    "to ask again", c->count);
	while (c->first != NULL) {
		struct errand *e = c->first;

		c->first = e->next;
		free_errand(e);
	}
	(void)pthread_cond_destroy(&c->wakes);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Takes the errand. */
static bool
take(struct courier *c, struct errand *e)
{
	bool taken;

	e->asked_ms = e->due_ms = clock_monotonic_ms();
	e->pause_ms = FIRST_RETRY_MS;
	(void)pthread_mutex_lock(&c->lock);
	taken = c->count < WAITING_MAX && !c->stopping;
	if (taken) {
		put_in_order(c, e);
		(void)pthread_cond_signal(&c->wakes);
	}
	(void)pthread_mutex_unlock(&c->lock);
	if (!taken)
		free_errand(e);
	return taken;
}

static struct errand *
new_errand(struct settings *settings, const char *address)
{
	struct errand *e = xcalloc(1, sizeof(*e));

	e->settings = settings_get(settings);
	e->address = xstrdup(address);
	return e;
}

bool
courier_ask(struct courier *c, struct settings *settings,
    const struct words *words, const char *address,
    const struct subject *subject)
{
	struct errand *e = new_errand(settings, address);

	e->words = words;
	e->subject = *subject;
	return take(c, e);
}

bool
courier_post(struct courier *c, struct settings *settings,
    const char *address, struct span message)
{
	struct errand *e = new_errand(settings, address);

	e->message = xmemdupz(message.p, message.len);
	e->message_len = message.len;
	return take(c, e);
}
