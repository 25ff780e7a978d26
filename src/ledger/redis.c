/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ledger/redis.h"

struct store_options
ledger_redis_options(const struct settings *settings, int timeout_ms)
{
	return (struct store_options){
		.url = settings->redis.url,
		.username = settings->redis.username,
		.password = settings->redis.password,
		.ca_file = settings->redis.ca_file,
		.certificate = settings->redis.certificate,
		.key = settings->redis.key,
		.sentinels = settings->redis.sentinel.hosts,
		.master = settings->redis.sentinel.master,
		.sentinel_username = settings->redis.sentinel.username,
		.sentinel_password = settings->redis.sentinel.password,
		.cluster = settings->redis.cluster,
		.wait_replicas = settings->redis.wait_replicas,
		.timeout_ms = timeout_ms,
	};
}
