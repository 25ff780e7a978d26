/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The parts of `consentctl doctor'.  Each looks at one area and adds what it
 * found; none of them changes anything, sends mail or waits for long.  Where
 * the configuration can't be read, settings is NULL, and a part looks at what it
 * can without.  One thread.
 *
 * The names of checks are the interface: consentctl(1) lists them.
 */
#ifndef CTL_DOCTOR_H
#define CTL_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "ctl/ctl.h"
#include "ctl/finding.h"
#include "ctl/mtaconf.h"
#include "ctl/reach.h"

#define DOCTOR_TIMEOUT_MS	3000	/* for one question to somebody */
#define DOCTOR_PROGRAM_MS	10000	/* for one program to end */
#define DOCTOR_FILE_MAX		((size_t)1024 * 1024)

struct doctor {
	struct ctl	*ctl;
	const struct settings *settings;	/* NULL: not readable */
	struct findings	 findings;
	int64_t		 now_ms;

	/* As whom the daemons run; "" and ourselves where `user' is. */
	const char	*user_name;
	struct reach_user user;
	bool		 has_user;
	/* Where the filter listens, by the configuration. */
	struct mta_socket socket;
	bool		 has_socket;
	const char	*redis_url;	/* of a node that is looked at now; or
					   NULL */
	bool		 sees_postfix;	/* one is set up here */

	const char	*postfix_directory;	/* NULL: Postfix' own */
	const char	*sendmail_file, *opendkim_file, *rspamd_directory;
};

void	doctor_settings(struct doctor *doctor);		/* needs nothing */
void	doctor_rules(struct doctor *doctor);
void	doctor_files(struct doctor *doctor);
void	doctor_redis(struct doctor *doctor);
void	doctor_ledger(struct doctor *doctor);
void	doctor_clock(struct doctor *doctor);
void	doctor_daemons(struct doctor *doctor);
void	doctor_units(struct doctor *doctor);
void	doctor_postfix(struct doctor *doctor);
void	doctor_sendmail(struct doctor *doctor);

/* -- what they share -- */

/* Part of doctor_files(). */
void	doctor_keys(struct doctor *doctor);
/* Tells that who runs this can't look at it. */
void	doctor_files_skip(struct doctor *doctor, const char *check,
	    const char *path);
/* Tells when others can read it, or the daemons' user can't.  Returns whether
 * it is as it should be; what is not there is the caller's to tell. */
bool	doctor_files_secret(struct doctor *doctor, const char *check,
	    const char *path);

/* Part of doctor_ledger(). */
void	doctor_events(struct doctor *doctor);

/* As whom Redis is asked. */
enum doctor_login {
	DOCTOR_FILTER,
	DOCTOR_WRITER,		/* consentctl */
	DOCTOR_WEB
};

struct inspector;
/* Returns 0, or -1 as inspect_open(), or with FAIL_SETUP for a password that
 * can't be read. */
int	doctor_redis_open(const struct doctor *doctor,
	    enum doctor_login login, struct inspector **out,
	    struct fail *fail) __attribute__((warn_unused_result));

void	doctor_redis_options(const struct doctor *doctor,
	    struct store_options *options);	/* of the filter */
/* Part of doctor_redis(); redis is the filter's connection. */
void	doctor_rights(struct doctor *doctor, struct inspector *redis);

/* What `systemctl show' said of a unit.  For tests. */
void	doctor_units_judge(struct findings *findings, const char *unit,
	    struct span shown, uint64_t connections);

/* The signer among the filters, behind ours: text is their list, of Postfix or
 * Sendmail; from_ours is what stands behind ours, or NULL for all. */
struct doctor_signer {
	bool	 is_before, is_behind;	/* there is one, on that side of ours */
	bool	 is_opendkim, is_rspamd;
};
/* Is the socket a signer's?  By what OpenDKIM's configuration says, else by the
 * names and ports that they usually have. */
bool	doctor_signer_is(const struct doctor *doctor,
	    const struct mta_socket *socket, struct doctor_signer *signer);
/* Does what signs cover the fields that the filter adds? */
void	doctor_signer_judge(struct doctor *doctor,
	    const struct doctor_signer *signer);

/* "for 3 hours", "2 days ago" and so on: the length alone. */
const char *doctor_span_of_time(int64_t ms, char text[32]);

#endif
