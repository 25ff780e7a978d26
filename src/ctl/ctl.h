/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the commands of consentctl share.  One thread, one command, one run:
 * what is opened is opened when it is first needed and closed by main().
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fail.h"
#include "consent/event.h"
#include "consent/subject.h"
#include "journal/journal.h"
#include "mail/address.h"
#include "rights/redaction.h"
#include "rights/retention.h"
#include "settings/settings.h"
#include "store/store.h"

struct applier;
struct applying;

struct ctl {
	const char	*config_path;
	struct settings	*settings;	/* loaded, with keys once asked for */
	bool		 has_keys;
	struct store	*store;
	struct journal	*ledger;
	struct applier	*applier;
	struct applying	*applying;	/* NULL: ledger_record() applies */
	char		 host[256];	/* this one's name */
	const char	*actor;		/* who does it, for the ledger; NULL:
					   the login */
	int64_t		 now_ms;	/* the start of the run */
	atomic_int	 interrupted;	/* SIGINT was seen */
};

/* A command: gets its own argv (argv[0] is the command's name); returns the
 * exit code. */
typedef int (*ctl_command)(struct ctl *ctl, int argc, char **argv);

/* An error goes to stderr once; returns its exit code. */
int	ctl_error(const struct fail *fail);
/* The exit code for its class; 77 where a permission is missing, and 75 where
 * the disk is full or read-only, for that needs no change of ours. */
int	ctl_exit_code(const struct fail *fail);
/* For callbacks: ctl_warn(), and whether SIGINT was seen (context is the struct
 * ctl). */
void	ctl_on_warning(const char *text, void *context);
bool	ctl_is_interrupted(void *context);
/* Says it on stderr, as "consentctl: ...". */
void	ctl_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same for a mistake on the command line; returns EX_USAGE. */
int	ctl_usage(const char *command, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
/* For a command without arguments: -1 to go on, or the exit code (after
 * --help, or a mistake). */
int	ctl_no_arguments(int argc, char **argv);
/* The value of the next option, by the table of commands; -1 behind the last
 * one; 'h' after printing the help, '?' after telling of a mistake.  As for
 * getopt_long(3), optarg and optind are set. */
int	ctl_getopt(int argc, char **argv);
/* Says so, with the nearest one; returns EX_USAGE. */
int	ctl_unknown_command(const char *name);
/* Prints the help text of a command. */
void	ctl_help(const char *command);
/* Is the file (1 stdout, 2 stderr) a terminal? */
bool	ctl_is_terminal(int fd);

/* Each returns 0, or the exit code after saying why. */
int	ctl_need_settings(struct ctl *ctl);
int	ctl_need_keys(struct ctl *ctl);
int	ctl_need_ledger(struct ctl *ctl);
/* Opens the store; that it can be reached is another matter. */
int	ctl_need_store(struct ctl *ctl);

/* The list of this id, or NULL after naming the nearest one on stderr. */
const struct list *ctl_list(const struct ctl *ctl, const char *id);
/* Reads an address and its subject.  Returns 0, or EX_DATAERR after saying
 * what is wrong. */
int	ctl_subject(const struct ctl *ctl, const char *text,
	    struct address *address, struct subject *subject);

/* -- time.c -- */

/* Adds a time as a member of JSON; one that is 0 is left out. */
void	ctl_add_time(struct buf *out, const char *name, int64_t ms);
/* RFC 3339, or a length of time meaning that long ago.  Returns 0 or -1. */
int	ctl_time(const struct ctl *ctl, const char *text, int64_t *ms);

/* -- ledger.c: the ledger first, then Redis -- */

/*
 * Writes events to the ledger, durably, then brings Redis up to the ledger's
 * end, this and everything that waited before.  Returns 0; EX_TEMPFAIL when
 * they are recorded and Redis has to wait (*recorded is true); another code
 * when nothing is recorded.  Says why on stderr.
 */
int	ledger_record(struct ctl *ctl, const struct event *events, size_t n,
	    bool *recorded);
/*
 * For who records a lot: from now on a thread brings Redis up to the ledger's
 * end, and ledger_record() does not wait for it unless it falls far behind;
 * that the thread failed is told with a later call.  ledger_wait() waits for
 * Redis; it returns 0, or -1 with FAIL_TEMP.  ledger_end_behind() ends the
 * thread; ledger_record() without events then tells whether Redis has
 * everything.
 * Returns 0, or an exit code after saying why.
 */
int	ledger_apply_behind(struct ctl *ctl);
int	ledger_wait(struct ctl *ctl, struct fail *fail);
void	ledger_end_behind(struct ctl *ctl);
/* The time of an opt-out that is made now (when_opted_out()); list NULL: of all
 * lists. */
int64_t	ledger_opt_out_ms(struct ctl *ctl, const struct subject *subject,
	    const char *list);
/* What redaction_run() does for the same arguments, or with why NULL
 * redaction_count(), with progress on a terminal.  Returns 0, or an exit code
 * after saying why. */
int	ctl_redact(struct ctl *ctl, const struct erasures *erasures,
	    struct journal_set announced[REDACT_JOURNALS], const char *why,
	    uint64_t counts[REDACT_JOURNALS]);
/* What retention_run() does.  Returns 0, or an exit code after saying why. */
int	ctl_retain(struct ctl *ctl, bool dry_run,
	    struct retention_counts *counts);
/* What erasures_read() does.  Returns 0, or an exit code after saying why. */
int	ctl_read_erasures(const char *path, bool own, struct erasures *out,
	    struct journal_set announced[REDACT_JOURNALS]);
#define CTL_ACTOR_ROOM	128
/* The login behind sudo, or the user; and as the member "actor". */
void	ledger_name_actor(char name[CTL_ACTOR_ROOM]);
void	ledger_add_actor(struct buf *out);

/* -- the commands -- */
int	command_keygen(struct ctl *ctl, int argc, char **argv);
int	command_change(struct ctl *ctl, int argc, char **argv);
int	command_show(struct ctl *ctl, int argc, char **argv);
int	command_check(struct ctl *ctl, int argc, char **argv);
int	command_token(struct ctl *ctl, int argc, char **argv);
int	command_explain(struct ctl *ctl, int argc, char **argv);
int	command_import(struct ctl *ctl, int argc, char **argv);
int	command_log(struct ctl *ctl, int argc, char **argv);
int	command_verify(struct ctl *ctl, int argc, char **argv);
int	command_checkpoint(struct ctl *ctl, int argc, char **argv);
int	command_erase(struct ctl *ctl, int argc, char **argv);
int	command_ropa(struct ctl *ctl, int argc, char **argv);
int	command_stale(struct ctl *ctl, int argc, char **argv);
int	command_export(struct ctl *ctl, int argc, char **argv);
int	command_notice(struct ctl *ctl, int argc, char **argv);
int	command_prune(struct ctl *ctl, int argc, char **argv);
int	command_rebuild(struct ctl *ctl, int argc, char **argv);
int	command_status(struct ctl *ctl, int argc, char **argv);
int	command_subject(struct ctl *ctl, int argc, char **argv);
int	command_changes(struct ctl *ctl, int argc, char **argv);
int	command_report(struct ctl *ctl, int argc, char **argv);
int	command_doctor(struct ctl *ctl, int argc, char **argv);
int	command_selftest(struct ctl *ctl, int argc, char **argv);
int	command_help(struct ctl *ctl, int argc, char **argv);
int	command_complete(struct ctl *ctl, int argc, char **argv);
int	command_unsubscribe_mail(struct ctl *ctl, int argc, char **argv);

#endif
