/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "net/net.h"

#include <curl/curl.h>
#include <stdlib.h>

void
net_open(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
}

const char *
net_library_version(void)
{
	return curl_version_info(CURLVERSION_NOW)->version;
}
