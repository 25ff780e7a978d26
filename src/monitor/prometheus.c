/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "monitor/prometheus.h"

#include <inttypes.h>

void
prometheus_head(const struct prometheus *p, const char *name,
    const char *type, const char *help)
{
	buf_addf(p->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", p->prefix, name,
	    help, p->prefix, name, type);
}

void
prometheus_add(const struct prometheus *p, const char *name,
    const char *labels, uint64_t value)
{
	buf_addf(p->out, "%s%s%s %" PRIu64 "\n", p->prefix, name, labels,
	    value);
}

void
prometheus_add_ms(const struct prometheus *p, const char *name,
    const char *labels, int64_t ms)
{
	if (ms < 0)
		ms = 0;
	buf_addf(p->out, "%s%s%s %" PRId64 ".%03d\n", p->prefix, name, labels,
	    ms / 1000, (int)(ms % 1000));
}

void
prometheus_add_us(const struct prometheus *p, const char *name,
    const char *labels, int64_t us)
{
	if (us < 0)
		us = 0;
	buf_addf(p->out, "%s%s%s %" PRId64 ".%06d\n", p->prefix, name, labels,
	    us / 1000000, (int)(us % 1000000));
}

void
prometheus_one(const struct prometheus *p, const char *name,
    const char *type, const char *help, uint64_t value)
{
	prometheus_head(p, name, type, help);
	prometheus_add(p, name, "", value);
}

/* A bucket counts what is in those below it as well. */
static void
add_buckets(const struct prometheus *p, const char *name, const char *label,
    const struct histogram_counts *counts)
{
	const char *comma = label[0] != '\0' ? "," : "";
	uint64_t total = 0;

	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		total += counts->counts[i];
		buf_addf(p->out, "%s%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n",
		    p->prefix, name, label, comma,
		    histogram_bounds[i] / 1e6, total);
	}
	total += counts->counts[HISTOGRAM_BOUNDS];
	buf_addf(p->out, "%s%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n",
	    p->prefix, name, label, comma, total);
}

void
prometheus_add_histogram(const struct prometheus *p, const char *name,
    const char *label, const struct histogram_counts *counts)
{
	const char *open = label[0] != '\0' ? "{" : "";
	const char *close = label[0] != '\0' ? "}" : "";
	uint64_t total = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		total += counts->counts[i];
	add_buckets(p, name, label, counts);
	buf_addf(p->out, "%s%s_sum%s%s%s %" PRIu64 ".%06d\n", p->prefix, name,
	    open, label, close, counts->sum_us / 1000000,
	    (int)(counts->sum_us % 1000000));
	buf_addf(p->out, "%s%s_count%s%s%s %" PRIu64 "\n", p->prefix, name,
	    open, label, close, total);
}
