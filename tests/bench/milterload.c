/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Load for a milter: the MTA's side of the protocol, version 6, over many
 * connections in one thread, as Postfix speaks it: a macro packet before each
 * command, a write when an answer is waited for, a new connection after some
 * messages, ABORT after each.  Answers are checked: recipient pN is refused
 * when N ends in 0, and taken otherwise.
 *
 *	milterload [-c connections] [-r recipients] [-m messages]
 *	    [-k messages per connection] [-R messages per second] SOCKET
 *
 * Prints one line of JSON.
 */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmilter/mfdef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/xalloc.h"

#define PEOPLE		100000
#define OFFERED_STEPS	0x1fffffu
#define OFFERED_ACTIONS	0x1ffu

enum step { STEP_NEGOTIATE, STEP_CONNECT, STEP_MAIL, STEP_RCPT, STEP_HEADER,
	STEP_EOM, STEP_IDLE };

struct connection {
	int		 fd;
	enum step	 step;
	uint32_t	 steps;		/* negotiated */
	struct buf	 in, out;
	unsigned	 messages;	/* on this connection */
	unsigned	 recipient, accepted, header;
	unsigned	 person;	/* of the recipient that is asked */
	int64_t		 asked_ns;
};

struct samples {
	int64_t *ns;
	size_t n, room;
};

static struct {
	unsigned connections, recipients, messages, per_connection, rate;
	const char *path;
} options = { 1, 1, 1000, 20, 0, NULL };
static struct samples rcpt, eom;
static unsigned started, finished, mismatches, errors, next_person;
static int epoll_fd;
static int64_t start_ns;

static int64_t
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void
add_sample(struct samples *s, int64_t ns)
{
	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 4096;
		s->ns = xrealloc(s->ns, s->room, sizeof(*s->ns));
	}
	s->ns[s->n++] = ns;
}

static void
put_packet(struct connection *c, char command, const void *data, size_t len)
{
	uint32_t size = htonl((uint32_t)len + 1);

	buf_add(&c->out, &size, 4);
	buf_add_char(&c->out, command);
	buf_add(&c->out, data, len);
}

static void
put_macros(struct connection *c, char stage, const char *pairs, size_t len)
{
	struct buf b = BUF_INIT(1000);

	buf_add_char(&b, stage);
	buf_add(&b, pairs, len);
	put_packet(c, 'D', b.data, b.len);
	buf_fini(&b);
}

static void
flush_out(struct connection *c)
{
	ssize_t n = write(c->fd, c->out.data, c->out.len);

	/* A socket's buffer holds far more than one message's commands. */
	if (n != (ssize_t)c->out.len)
		errors++;
	buf_clear(&c->out);
	c->asked_ns = now_ns();
}

static void
open_connection(struct connection *c)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = c } };
	uint32_t offer[3] = { htonl(6), htonl(OFFERED_ACTIONS),
	    htonl(OFFERED_STEPS) };

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", options.path);
	c->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(c->fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		perror(options.path);
		exit(EXIT_FAILURE);
	}
	(void)fcntl(c->fd, F_SETFL, O_NONBLOCK);
	(void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
	c->step = STEP_NEGOTIATE;
	c->messages = 0;
	put_packet(c, 'O', offer, sizeof(offer));
	flush_out(c);
}

static void
close_connection(struct connection *c)
{
	put_packet(c, 'Q', NULL, 0);
	flush_out(c);
	(void)close(c->fd);
	buf_clear(&c->in);
}

static void
ask_recipient(struct connection *c)
{
	static const char macros[] = "i\0AB12CD34\0{rcpt_addr}\0p@x";
	char text[64];
	int n;

	c->person = next_person++ % PEOPLE;
	n = snprintf(text, sizeof(text), "<p%u@example.org>", c->person);
	put_macros(c, 'R', macros, sizeof(macros));
	put_packet(c, 'R', text, (size_t)n + 1);
	c->step = STEP_RCPT;
	flush_out(c);
}

static void start_message(struct connection *c);

static void
end_message(struct connection *c)
{
	put_packet(c, 'A', NULL, 0);
	finished++;
	c->messages++;
	c->step = STEP_IDLE;
	if (c->messages == options.per_connection) {
		close_connection(c);
		open_connection(c);
		return;
	}
	if (options.rate == 0)
		start_message(c);
	else
		flush_out(c);
}

static void
start_message(struct connection *c)
{
	static const char macros[] = "{auth_authen}\0campaigns";
	static const char sender[] = "<news@news.example.com>\0SIZE=2000";

	if (started >= options.messages)
		return;
	started++;
	c->recipient = c->accepted = c->header = 0;
	put_macros(c, 'M', macros, sizeof(macros));
	put_packet(c, 'M', sender, sizeof(sender));
	if ((c->steps & SMFIP_NOMAIL) == 0 &&
	    (c->steps & SMFIP_NR_MAIL) == 0) {
		c->step = STEP_MAIL;
		flush_out(c);
	} else
		ask_recipient(c);
}

/* The header fields, and the end. */
static void
send_rest(struct connection *c)
{
	static const char *const fields[][2] = {
		{ "From", "News <news@news.example.com>" },
		{ "To", "p@example.org" }, { "Subject", "Weekly news" },
		{ "Date", "Mon, 05 Jan 2026 10:00:00 +0000" },
		{ "Message-Id", "<1@news.example.com>" },
		{ "MIME-Version", "1.0" }, { "Content-Type", "text/html" },
		{ "X-Mailer", "tool 1.0" },
	};

	while (c->header < sizeof(fields) / sizeof(fields[0])) {
		const char *const *f = fields[c->header++];
		struct buf b = BUF_INIT(1000);

		if ((c->steps & SMFIP_NOHDRS) != 0)
			continue;
		buf_add(&b, f[0], strlen(f[0]) + 1);
		buf_add(&b, f[1], strlen(f[1]) + 1);
		put_packet(c, 'L', b.data, b.len);
		buf_fini(&b);
		if ((c->steps & SMFIP_NR_HDR) == 0) {
			c->step = STEP_HEADER;
			flush_out(c);
			return;
		}
	}
	put_macros(c, 'E', "i\0AB12CD34", 11);
	put_packet(c, 'E', NULL, 0);
	c->step = STEP_EOM;
	flush_out(c);
}

static void
take_answer(struct connection *c, char answer)
{
	bool taken = answer == 'c';

	switch (c->step) {
	case STEP_MAIL:
		ask_recipient(c);
		break;
	case STEP_RCPT:
		add_sample(&rcpt, now_ns() - c->asked_ns);
		if (taken != (c->person % 10 != 0))
			mismatches++;
		c->accepted += taken;
		if (++c->recipient < options.recipients)
			ask_recipient(c);
		else if (c->accepted == 0)
			end_message(c);
		else
			send_rest(c);
		break;
	case STEP_HEADER:
		send_rest(c);
		break;
	case STEP_EOM:
		if (strchr("him-", answer) != NULL)
			break;		/* an edit comes before the answer */
		add_sample(&eom, now_ns() - c->asked_ns);
		if (!taken)
			mismatches++;
		end_message(c);
		break;
	case STEP_NEGOTIATE:
	case STEP_CONNECT:
	case STEP_IDLE:
		errors++;
	}
}

static void
take_packet(struct connection *c, const char *p)
{
	uint32_t steps;

	if (c->step != STEP_NEGOTIATE) {
		take_answer(c, p[0]);
		return;
	}
	memcpy(&steps, p + 9, 4);
	c->steps = ntohl(steps);
	if ((c->steps & SMFIP_NORCPT) != 0) {
		fputs("this filter wants no recipients\n", stderr);
		exit(EXIT_FAILURE);
	}
	if ((c->steps & SMFIP_NOCONNECT) == 0) {
		static const char host[] = "client.example.com\0004\0\0001"
		    "92.0.2.1";

		put_macros(c, 'C', "{daemon_name}\0mta", 18);
		put_packet(c, 'C', host, sizeof(host));
		if ((c->steps & SMFIP_NR_CONN) == 0) {
			c->step = STEP_CONNECT;
			flush_out(c);
			return;
		}
	}
	c->step = STEP_IDLE;
	if (options.rate == 0)
		start_message(c);
}

static void
readable(struct connection *c)
{
	char chunk[65536];
	ssize_t n = read(c->fd, chunk, sizeof(chunk));
	int fd = c->fd;

	if (n <= 0) {
		errors++;
		(void)close(c->fd);
		c->step = STEP_IDLE;
		return;
	}
	buf_add(&c->in, chunk, (size_t)n);
	while (c->in.len >= 5 && c->fd == fd) {
		uint32_t size;
		char packet[4096];

		memcpy(&size, c->in.data, 4);
		size = ntohl(size);
		if (c->in.len < 4 + size || size > sizeof(packet))
			break;
		memcpy(packet, c->in.data + 4, size);
		buf_consume(&c->in, 4 + size);
		if (c->step == STEP_CONNECT) {
			c->step = STEP_IDLE;
			if (options.rate == 0)
				start_message(c);
		} else
			take_packet(c, packet);
	}
}

/* Open loop: starts what is due, on connections that are idle. */
static void
start_due(struct connection *all)
{
	unsigned due = (unsigned)((double)(now_ns() - start_ns) / 1e9 *
	    options.rate) + 1;

	for (unsigned i = 0; i < options.connections && started < due; i++)
		if (all[i].step == STEP_IDLE)
			start_message(&all[i]);
}

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static double
percentile(struct samples *s, double p)
{
	if (s->n == 0)
		return 0;
	return (double)s->ns[(size_t)((double)(s->n - 1) * p)] / 1000;
}

static void
parse(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "c:r:m:k:R:")) != -1) {
		unsigned value = (unsigned)strtoul(optarg ? optarg : "0",
		    NULL, 10);

		if (option == 'c')
			options.connections = value;
		else if (option == 'r')
			options.recipients = value;
		else if (option == 'm')
			options.messages = value;
		else if (option == 'k')
			options.per_connection = value;
		else if (option == 'R')
			options.rate = value;
		else
			exit(EXIT_FAILURE);
	}
	if (optind + 1 != argc)
		exit(EXIT_FAILURE);
	options.path = argv[optind];
}

int
main(int argc, char **argv)
{
	struct connection *all;
	struct epoll_event events[256];
	double seconds;

	parse(argc, argv);
	epoll_fd = epoll_create1(0);
	all = xcalloc(options.connections, sizeof(*all));
	start_ns = now_ns();
	for (unsigned i = 0; i < options.connections; i++) {
		buf_init(&all[i].in, 1 << 20);
		buf_init(&all[i].out, 1 << 20);
		open_connection(&all[i]);
	}
	while (finished < options.messages && errors < 1000 &&
	    now_ns() - start_ns < INT64_C(120000000000)) {
		int n = epoll_wait(epoll_fd, events, 256,
		    options.rate ? 1 : 1000);

		for (int i = 0; i < n; i++)
			readable(events[i].data.ptr);
		if (options.rate != 0)
			start_due(all);
	}
	seconds = (double)(now_ns() - start_ns) / 1e9;
	qsort(rcpt.ns, rcpt.n, sizeof(*rcpt.ns), by_value);
	qsort(eom.ns, eom.n, sizeof(*eom.ns), by_value);
	printf("{\"messages\":%u,\"recipients\":%zu,\"seconds\":%.3f,"
	    "\"per_second\":%.0f,\"rcpt_p50\":%.1f,\"rcpt_p99\":%.1f,"
	    "\"rcpt_p999\":%.1f,\"eom_p50\":%.1f,\"eom_p99\":%.1f,"
	    "\"mismatches\":%u,\"errors\":%u}\n", finished, rcpt.n, seconds,
	    (double)rcpt.n / seconds, percentile(&rcpt, 0.5),
	    percentile(&rcpt, 0.99), percentile(&rcpt, 0.999),
	    percentile(&eom, 0.5), percentile(&eom, 0.99), mismatches,
	    errors);
	return mismatches == 0 && errors == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
