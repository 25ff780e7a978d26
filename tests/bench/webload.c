/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Clicks, as a mailbox provider sends them: one-click POSTs over many
 * connections that are kept, each for the next target of a file.
 *
 *	webload [-c connections] [-o FILE] HOST:PORT TARGETS
 *
 * TARGETS has one request target a line.  Prints one line of JSON; -o writes
 * "target status microseconds" a line for each, 0 for one without an answer.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/xalloc.h"

#define CONNECTIONS_MAX	3000
#define ANSWER_MAX	(64 * 1024)
#define BODY		"List-Unsubscribe=One-Click"

struct click {
	char	*target;
	int	 status;	/* 0: none */
	int64_t	 ns;
};

static struct sockaddr_in address;
static struct click *clicks;
static size_t click_count;
static atomic_size_t next_click;

static int64_t
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int
open_connection(void)
{
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd != -1 && connect(fd, (struct sockaddr *)&address,
	    sizeof(address)) == -1) {
		(void)close(fd);
		return -1;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* The length of the answer once its head is there; otherwise 0. */
static size_t
answer_length(const char *text)
{
	const char *body = strstr(text, "\r\n\r\n");
	const char *length = strstr(text, "Content-Length: ");

	if (body == NULL || length == NULL || length > body)
		return 0;
	return (size_t)(body + 4 - text) + strtoul(length + 16, NULL, 10);
}

/* Returns the status, or 0. */
static int
read_answer(int fd, char *text)
{
	size_t have = 0, want = 0;

	while (want == 0 || have < want) {
		ssize_t n = read(fd, text + have, ANSWER_MAX - 1 - have);

		if (n <= 0)
			return 0;
		have += (size_t)n;
		text[have] = '\0';
		want = answer_length(text);
	}
	return (int)strtol(text + strlen("HTTP/1.1 "), NULL, 10);
}

static int
ask(int fd, const char *target, char *text)
{
	int len = snprintf(text, ANSWER_MAX, "POST %s HTTP/1.1\r\n"
	    "Host: news.example.com\r\n"
	    "Content-Type: application/x-www-form-urlencoded\r\n"
	    "Content-Length: %zu\r\n\r\n%s", target, strlen(BODY), BODY);

	return write(fd, text, (size_t)len) == len ? read_answer(fd, text) :
	    0;
}

static void *
work(void *unused)
{
	char *text = xcalloc(1, ANSWER_MAX);
	int fd = open_connection();
	size_t i;

	(void)unused;
	while ((i = atomic_fetch_add(&next_click, 1)) < click_count) {
		int64_t start = now_ns();

		if (fd == -1)
			fd = open_connection();
		if (fd != -1)
			clicks[i].status = ask(fd, clicks[i].target, text);
		clicks[i].ns = now_ns() - start;
		if (fd != -1 && (clicks[i].status == 0 ||
		    strstr(text, "\r\nConnection: close\r\n") != NULL)) {
			(void)close(fd);
			fd = -1;
		}
	}
	if (fd != -1)
		(void)close(fd);
	free(text);
	return NULL;
}

static void
read_targets(const char *path)
{
	FILE *in = fopen(path, "r");
	char *line = NULL;
	size_t room = 0;

	if (in == NULL) {
		perror(path);
		exit(1);
	}
	while (getline(&line, &room, in) > 0) {
		line[strcspn(line, "\n")] = '\0';
		clicks = xrealloc(clicks, click_count + 1, sizeof(*clicks));
		clicks[click_count++] = (struct click){ xstrdup(line), 0, 0 };
	}
	free(line);
	(void)fclose(in);
}

static void
write_out(const char *path)
{
	FILE *out = fopen(path, "w");

	if (out == NULL) {
		perror(path);
		exit(1);
	}
	for (size_t i = 0; i < click_count; i++)
		(void)fprintf(out, "%s %d %lld\n", clicks[i].target,
		    clicks[i].status, (long long)(clicks[i].ns / 1000));
	(void)fclose(out);
}

static int
compare(const void *a, const void *b)
{
	int64_t x = ((const struct click *)a)->ns;
	int64_t y = ((const struct click *)b)->ns;

	return x < y ? -1 : x > y;
}

static double
percentile_ms(double p)
{
	size_t at = (size_t)(p * (double)(click_count - 1));

	return (double)clicks[at].ns / 1e6;
}

static void
print_result(int64_t took_ns)
{
	size_t done = 0, later = 0;

	for (size_t i = 0; i < click_count; i++) {
		done += clicks[i].status == 200;
		later += clicks[i].status == 503;
	}
	qsort(clicks, click_count, sizeof(*clicks), compare);
	printf("{\"clicks\": %zu, \"ok\": %zu, \"later\": %zu, "
	    "\"per_second\": %.0f, \"p50\": %.2f, \"p99\": %.2f, "
	    "\"max\": %.2f}\n", click_count, done, later,
	    (double)click_count / ((double)took_ns / 1e9),
	    percentile_ms(0.50), percentile_ms(0.99), percentile_ms(1));
}

int
main(int argc, char **argv)
{
	pthread_t threads[CONNECTIONS_MAX];
	const char *out = NULL, *colon;
	size_t connections = 1;
	int64_t start;
	char host[64];
	int c;

	while ((c = getopt(argc, argv, "c:o:")) != -1)
		if (c == 'c')
			connections = strtoul(optarg, NULL, 10);
		else if (c == 'o')
			out = optarg;
		else
			return 64;
	if (argc - optind != 2 || connections < 1 ||
	    connections > CONNECTIONS_MAX ||
	    (colon = strrchr(argv[optind], ':')) == NULL)
		return 64;
	(void)snprintf(host, sizeof(host), "%.*s", (int)(colon -
	    argv[optind]), argv[optind]);
	address.sin_family = AF_INET;
	address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		return 64;
	read_targets(argv[optind + 1]);
	start = now_ns();
	for (size_t i = 0; i < connections; i++)
		if (pthread_create(&threads[i], NULL, work, NULL) != 0)
			abort();
	for (size_t i = 0; i < connections; i++)
		(void)pthread_join(threads[i], NULL);
	start = now_ns() - start;
	if (out != NULL)
		write_out(out);
	if (click_count > 0)
		print_result(start);
	return 0;
}
