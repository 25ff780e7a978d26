/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The configuration file (libconfig) and the keys directory, read into one
 * immutable struct.  Users of a snapshot count references; it may be shared
 * by all threads.
 */
#ifndef SETTINGS_SETTINGS_H
#define SETTINGS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/fail.h"
#include "consent/policy.h"
#include "consent/token.h"

enum recipients_form {		/* audit.recipients */
	RECIPIENTS_MASKED,
	RECIPIENTS_HASHED,
	RECIPIENTS_CLEAR
};

/* Who is told of each change, by consent-web. */
struct webhook {
	char	*name;		/* [a-z0-9][a-z0-9-]{0,31} */
	char	*url;
	char	*secret_file;
	char	*ca_file;	/* NULL: those of the system */
	unsigned events;	/* 1 << enum event_kind each; 0: all */
	bool	 from_start;	/* a new one is told the whole ledger */
};

struct settings {
	char	*socket;		/* "unix:/path", "inet:port@host", … */
	char	*socket_group;		/* NULL: left as made */
	int	 socket_mode;		/* -1: left to the umask */
	char	*user;			/* "": stay */
	char	*keys;			/* directory */
	char	*metrics;		/* as web.listen; NULL: none */
	char	*control;		/* path of a socket; NULL: none */

	struct {
		char	*url;
		char	*username;	/* NULL */
		char	*password_file;	/* NULL */
		char	*password;	/* NULL; read from password_file */
		/* Who writes: consentctl.  NULL: as above.  The filter's user
		 * need not be able to read this password, so it is read when
		 * it is wanted, by settings_writer_password(). */
		char	*writer_username;
		char	*writer_password_file;
		int	 timeout_ms;
		char	*read_from;	/* NULL: look-ups ask url, too */
		int	 read_within_ms;
		int	 wait_replicas;
		/* For rediss://; each NULL when not set. */
		char	*ca_file, *certificate, *key;
		struct {
			char	*master;	/* NULL: no Sentinels */
			char	*hosts;		/* "host:port host:port" */
			char	*username;	/* of theirs; NULL */
			char	*password_file;	/* NULL */
			char	*password;	/* NULL; read from that */
		} sentinel;
		char	*cluster;	/* the same; NULL: no cluster */
	} redis;
	struct {
		char	*directory;
		char	*ledger;	/* default: directory + "/ledger" */
		enum recipients_form recipients;
		uint64_t segment_bytes;
	} audit;
	struct {
		struct duration decisions;	/* of the decision log */
		struct duration proof;	/* of consents that have ended */
		struct duration full_ip;	/* complete, of a grant */
		struct duration ip;	/* of a grant at all */
		struct duration pending;	/* never confirmed */
		struct duration requests;	/* who saw their data */
	} retention;
	struct {
		size_t	 recipients;	/* of one message */
		size_t	 header_bytes;	/* of one message */
		size_t	 connections;	/* of MTAs; 0: what files allow */
	} limits;
	struct {
		char	*url;		/* https://…, the token is appended */
		char	*mailto;	/* NULL, or u@host */
		char	*authserv_id;	/* NULL: no complaint reports */
		bool	 keep_existing;
	} unsubscribe;
	struct {
		char	*listen;	/* "host:port", "unix:/path" */
		char	*languages;	/* directory */
		char	*metrics;	/* as listen; NULL: none */
		char	*control;	/* path of a socket; NULL: none */
		char	*url;		/* NULL: links alone are answered */
		struct duration confirm_within;
		char	*embed;		/* NULL, or origins, blanks between */
		char	*api_keys;	/* NULL, or a file */
		/* As whom consent-web uses Redis; NULL: as who writes.  Read
		 * when it is wanted, by settings_web_password(). */
		char	*redis_username;
		char	*redis_password_file;
	} web;
	struct {
		char	*server;	/* "host:port" */
		char	*from;		/* set where web.url is */
		char	*envelope_sender;	/* NULL: the null sender */
	} mail;
	struct {
		/* Each NULL when not set. */
		char *name, *address, *email, *dpo;
		char *recipients, *transfers, *authority;
	} controller;

	struct policy policy;
	struct webhook *webhooks;
	size_t	 webhook_count;

	/* Filled by settings_load_keys(), otherwise NULL and empty. */
	struct crypto_hmac *pseudonym_key;
	struct token_keys token_keys;
	struct crypto_signer *checkpoint_key;	/* NULL: no checkpoints */
	struct crypto_hmac *link_key;	/* of link.h; NULL: none is made */
};

/*
 * Reads a configuration file.  Every mistake goes as one line
 * "file:line: what is wrong, and what would be right" to errors; nothing stops
 * at the first, except syntax, where libconfig knows no further.
 * Returns 0 with *out owned by the caller (one reference), or -1 when there is
 * any line in errors.
 */
int	settings_load(const char *path, struct settings **out,
	    struct buf *errors) __attribute__((warn_unused_result));
/* Reads pseudonym.key, token-0.key … token-15.key and, where they are there,
 * checkpoint.key and link.key (one line, 64 hex digits; not readable by `others', not
 * writable by group or others) from the keys directory.  Only before the
 * snapshot is shared.  Returns 0, or -1 with FAIL_SETUP. */
int	settings_load_keys(struct settings *settings, struct fail *fail)
	    __attribute__((warn_unused_result));
/* checkpoint.key alone, for who needs no other: 0 (and NULL) where there is
 * none. */
int	settings_load_checkpoint_key(struct settings *settings,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Reads the public key that an auditor checks with from a file of one line,
 * 64 hex digits; path NULL: checkpoint.pub of the keys directory.
 * Returns 0, or -1 with FAIL_SETUP. */
int	settings_read_public_key(const struct settings *settings,
	    const char *path, unsigned char out[CRYPTO_PUBLIC_BYTES],
	    struct fail *fail) __attribute__((warn_unused_result));
/*
 * Makes the directory (0750) and the keys that are missing in it: a
 * pseudonym.key, a checkpoint.key with its checkpoint.pub (0644), a link.key
 * and, when there is no token key at all, token-0.key; mode 0600.  Never touches one that is there.  Owned by settings->user when run as
 * root.  Calls made for each file it made.  Returns 0, or -1 with FAIL_SETUP.
 */
int	settings_make_keys(const struct settings *settings,
	    void (*made)(const char *path, void *context), void *context,
	    struct fail *fail) __attribute__((warn_unused_result));

/* Is there a pseudonym.key?  What else it is shows when it is read. */
bool	settings_has_pseudonym_key(const struct settings *settings);

/*
 * Reads the password of redis.writer_password_file into *out (owned by the
 * caller, who wipes it), NULL where none is configured.
 * Returns 0, or -1 with FAIL_SETUP.
 */
int	settings_writer_password(const struct settings *settings, char **out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* The same for web.redis_password_file. */
int	settings_web_password(const struct settings *settings, char **out,
	    struct fail *fail) __attribute__((warn_unused_result));

/* Reference counting; _put frees (and wipes keys) with the last one. */
struct settings *settings_get(struct settings *settings);
void	settings_put(struct settings **settings);

/* Adds the effective values, one "path = value" per line. */
void	settings_dump(struct buf *out, const struct settings *settings);

/* SYSCONFDIR/consent-milter/consent-milter.conf */
const char *settings_default_path(void);
/* For -V.  Static. */
const char *settings_library_version(void);

#endif
