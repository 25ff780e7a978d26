/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What single values must look like.  Each check returns 0, or -1 with
 * FAIL_SETUP and a text that says what is wrong and what would be right, to be
 * put behind the name of the key.  Thread-safe; only value_read_password()
 * does I/O.
 */
#ifndef SETTINGS_VALUE_H
#define SETTINGS_VALUE_H

#include "base/fail.h"

int	value_check_line(const char *text, struct fail *fail);
int	value_check_path(const char *text, struct fail *fail);
int	value_check_socket(const char *text, struct fail *fail);
int	value_check_redis_url(const char *text, struct fail *fail);
int	value_check_sentinel(const char *text, struct fail *fail);
int	value_check_cluster(const char *text, struct fail *fail);
int	value_check_master(const char *text, struct fail *fail);
int	value_check_link(const char *text, struct fail *fail);
int	value_check_listen(const char *text, struct fail *fail);
int	value_check_mailto(const char *text, struct fail *fail);
int	value_check_authserv_id(const char *text, struct fail *fail);
int	value_check_email(const char *text, struct fail *fail);
int	value_check_pages(const char *text, struct fail *fail);
int	value_check_origins(const char *text, struct fail *fail);
int	value_check_server(const char *text, struct fail *fail);
int	value_check_list_name(const char *text, struct fail *fail);
int	value_check_list_id(const char *text, struct fail *fail);
int	value_check_field_name(const char *text, struct fail *fail);
int	value_check_webhook_name(const char *text, struct fail *fail);
int	value_check_webhook_url(const char *text, struct fail *fail);
int	value_check_notice(const char *text, struct fail *fail);

/* Is this a file that we can read, and others can't read or write? */
int	value_check_secret(const char *path, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Reads a secret of one line from such a file.  *out is owned by the caller,
 * who wipes it. */
int	value_read_password(const char *path, char **out, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
