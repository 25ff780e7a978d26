/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Writes Prometheus' text format, version 0.0.4.  Names and labels are ours and
 * need no escape.  Pure.
 */
#ifndef MONITOR_PROMETHEUS_H
#define MONITOR_PROMETHEUS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"

#define PROMETHEUS_TYPE		"text/plain; version=0.0.4; charset=utf-8"

/* Where to, and what stands before each name, with its underscore. */
struct prometheus {
	struct buf	*out;
	const char	*prefix;
};

/* The two lines before the numbers of a name. */
void	prometheus_head(const struct prometheus *p, const char *name,
	    const char *type, const char *help);
/* A number of that name.  labels: "" or such as {kind="timeout"}. */
void	prometheus_add(const struct prometheus *p, const char *name,
	    const char *labels, uint64_t value);
/* The same in seconds; what is negative is 0. */
void	prometheus_add_ms(const struct prometheus *p, const char *name,
	    const char *labels, int64_t ms);
void	prometheus_add_us(const struct prometheus *p, const char *name,
	    const char *labels, int64_t us);
/* Head and the only number. */
void	prometheus_one(const struct prometheus *p, const char *name,
	    const char *type, const char *help, uint64_t value);
/* The numbers of a histogram, in seconds.  label: "" or such as
 * stage="rcpt". */
void	prometheus_add_histogram(const struct prometheus *p, const char *name,
	    const char *label, const struct histogram_counts *counts);

#endif
