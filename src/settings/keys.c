/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The keys directory: pseudonym.key, checkpoint.key (with checkpoint.pub),
 * link.key and token-0.key … token-15.key, each one line of 64 hexadecimal
 * digits.  Whatever holds key bytes is wiped.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/privilege.h"
#include "base/xalloc.h"
#include "settings/settings.h"

#define KEY_TEXT_LEN	(2 * CRYPTO_KEY_BYTES)
#define PSEUDONYM_KEY	"pseudonym.key"
#define CHECKPOINT_KEY	"checkpoint.key"
#define CHECKPOINT_PUB	"checkpoint.pub"
#define LINK_KEY	"link.key"

struct owner {
	bool	change;
	uid_t	uid;
	gid_t	gid;
};

static char *
key_path(const struct settings *settings, const char *name)
{
	struct buf path = BUF_INIT(4096);

	buf_addf(&path, "%s/%s", settings->keys, name);
	return buf_take(&path);
}

static char *
token_key_path(const struct settings *settings, unsigned id)
{
	struct buf name = BUF_INIT(32);
	char *path;

	buf_addf(&name, "token-%u.key", id);
	path = key_path(settings, buf_get(&name));
	buf_fini(&name);
	return path;
}

/* Security: others may not know a key, and only its owner may choose it. */
static int
check_key_file(const char *path, int fd, struct fail *fail)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return fail_set(fail, FAIL_SETUP, "%s: not a regular file",
		    path);
	if ((st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0)
		return fail_set(fail, FAIL_SETUP, "%s: others can read it, or "
		    "others than its owner write to it (mode %04o); chmod "
		    "0600, and make new keys if it may have leaked", path,
		    (unsigned)(st.st_mode & 07777));
	return 0;
}

/* @UNSAFE: text has room for KEY_TEXT_LEN + 2 bytes. */
static int
read_key_text(const char *path, int fd, char *text, size_t *len,
    struct fail *fail)
{
	ssize_t n;

	*len = 0;
	do {
		n = read(fd, text + *len, KEY_TEXT_LEN + 2 - *len);
		if (n == -1 && errno != EINTR)
			return fail_errno(fail, FAIL_SETUP, errno, "%s", path);
		if (n > 0)
			*len += (size_t)n;
	} while (n != 0 && *len < KEY_TEXT_LEN + 2);
	return 0;
}

static int
parse_key(const char *path, int fd, unsigned char key[CRYPTO_KEY_BYTES],
    struct fail *fail)
{
	char text[KEY_TEXT_LEN + 2];
	size_t len;
	int rc = read_key_text(path, fd, text, &len, fail);

	if (rc == 0 && len > 0 && text[len - 1] == '\n')
		len--;
	if (rc == 0 && hex_parse(span_of(text, len), key,
	    CRYPTO_KEY_BYTES) == -1)
		rc = fail_set(fail, FAIL_SETUP, "%s: not a key, want one line "
		    "of %d hexadecimal digits in lower case", path,
		    KEY_TEXT_LEN);
	crypto_wipe(text, sizeof(text));
	return rc;
}

/* Returns 1 with key filled, 0 when the file is not there, or -1. */
static int
read_key(const char *path, unsigned char key[CRYPTO_KEY_BYTES],
    struct fail *fail)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int rc;

	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s", path);
	rc = check_key_file(path, fd, fail);
	if (rc == 0)
		rc = parse_key(path, fd, key, fail);
	(void)close(fd);
	return rc == 0 ? 1 : -1;
}

/* Returns 1 with *out set, 0 when the file is not there, or -1. */
static int
lookup_key(const char *path, struct crypto_hmac **out, struct fail *fail)
{
	unsigned char key[CRYPTO_KEY_BYTES];
	int rc = read_key(path, key, fail);

	if (rc == 1)
		*out = crypto_hmac_new(key);
	crypto_wipe(key, sizeof(key));
	return rc;
}

int
settings_load_checkpoint_key(struct settings *settings, struct fail *fail)
{
	unsigned char seed[CRYPTO_KEY_BYTES];
	char *path = key_path(settings, CHECKPOINT_KEY);
	int rc = read_key(path, seed, fail);

	crypto_signer_free(&settings->checkpoint_key);
	if (rc == 1)
		settings->checkpoint_key = crypto_signer_new(seed);
	crypto_wipe(seed, sizeof(seed));
	free(path);
	return rc == -1 ? -1 : 0;
}

int
settings_read_public_key(const struct settings *settings, const char *path,
    unsigned char out[CRYPTO_PUBLIC_BYTES], struct fail *fail)
{
	char *usual = path == NULL ? key_path(settings, CHECKPOINT_PUB) : NULL;
	struct buf text = BUF_INIT(4096);
	int rc;

	if (path == NULL)
		path = usual;
	rc = file_read(path, &text, fail);
	if (rc == 0 && hex_parse(span_trim(buf_span(&text)), out,
	    CRYPTO_PUBLIC_BYTES) == -1)
		rc = fail_set(fail, FAIL_SETUP, "%s: not a public key, want "
		    "one line of %d hexadecimal digits", path, KEY_TEXT_LEN);
	buf_fini(&text);
	free(usual);
	return rc;
}

/* How many there are, or -1. */
static int
load_token_keys(struct settings *settings, struct fail *fail)
{
	int found = 0;

	for (unsigned id = 0; id < TOKEN_KEYS; id++) {
		char *path = token_key_path(settings, id);
		int rc = lookup_key(path, &settings->token_keys.key[id],
		    fail);

		free(path);
		if (rc == -1)
			return -1;
		found += rc;
	}
	return found;
}

static void
forget_keys(struct settings *settings)
{
	crypto_hmac_free(&settings->pseudonym_key);
	for (size_t i = 0; i < TOKEN_KEYS; i++)
		crypto_hmac_free(&settings->token_keys.key[i]);
	crypto_signer_free(&settings->checkpoint_key);
	crypto_hmac_free(&settings->link_key);
}

static int
load_keys(struct settings *settings, struct fail *fail)
{
	char *path;
	int rc;

	if (access(settings->keys, F_OK) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "no keys in %s, "
		    "run `consentctl keygen'", settings->keys);
	path = key_path(settings, PSEUDONYM_KEY);
	rc = lookup_key(path, &settings->pseudonym_key, fail);
	free(path);
	if (rc == 0)
		return fail_set(fail, FAIL_SETUP, "%s has no " PSEUDONYM_KEY
		    ": restore it from a backup, for without it nobody's "
		    "consent is found; or, on a new system, run `consentctl "
		    "keygen'", settings->keys);
	if (rc == -1)
		return -1;
	rc = load_token_keys(settings, fail);
	if (rc == 0)
		return fail_set(fail, FAIL_SETUP, "%s has no token-0.key to "
		    "token-%d.key, run `consentctl keygen'", settings->keys,
		    TOKEN_KEYS - 1);
	if (rc == -1)
		return -1;
	path = key_path(settings, LINK_KEY);
	rc = lookup_key(path, &settings->link_key, fail);
	free(path);
	return rc == -1 ? -1 : settings_load_checkpoint_key(settings, fail);
}

int
settings_load_keys(struct settings *settings, struct fail *fail)
{
	int rc;

	forget_keys(settings);
	rc = load_keys(settings, fail);
	if (rc == -1)
		forget_keys(settings);
	return rc;
}

static int
find_owner(const struct settings *settings, struct owner *owner,
    struct fail *fail)
{
	memset(owner, 0, sizeof(*owner));
	if (geteuid() != 0 || settings->user[0] == '\0')
		return 0;
	owner->change = true;
	return privilege_user(settings->user, &owner->uid, &owner->gid, fail);
}

static int
give(const struct owner *owner, const char *path, struct fail *fail)
{
	/* Security: the directory may be the user's, who could have put a
	 * link to somebody else's file there. */
	if (owner->change && lchown(path, owner->uid, owner->gid) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s", path);
	return 0;
}

/* Makes what is missing of a path; what was made is the user's, so that it
 * can be walked through. */
static int
make_directory(const char *path, const struct owner *owner,
    struct fail *fail)
{
	char *copy = xstrdup(path);
	int rc = 0;

	for (char *p = copy + 1; rc == 0; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, 0750) == 0)
			rc = give(owner, copy, fail);
		else if (errno != EEXIST)
			rc = fail_errno(fail, FAIL_SETUP, errno, "%s", copy);
		*p = c;
		if (c == '\0')
			break;
	}
	free(copy);
	return rc;
}

static int
make_key(const char *path, const struct owner *owner, struct fail *fail)
{
	unsigned char key[CRYPTO_KEY_BYTES];
	struct buf text = BUF_INIT(KEY_TEXT_LEN + 1);
	int rc;

	crypto_random(key, sizeof(key));
	/* All of it at once: growing would leave copies behind. */
	(void)buf_reserve(&text, KEY_TEXT_LEN + 1);
	hex_format(&text, key, sizeof(key));
	buf_add_char(&text, '\n');
	rc = file_create(path, buf_span(&text), 0600, fail);
	crypto_wipe(key, sizeof(key));
	crypto_wipe(text.data, text.len);
	buf_fini(&text);
	return rc == 0 ? give(owner, path, fail) : -1;
}

static int
make_missing(const char *path, const struct owner *owner,
    void (*made)(const char *path, void *context), void *context,
    struct fail *fail)
{
	struct stat st;

	/* lstat: a dangling link is there, too, and must not be replaced. */
	if (lstat(path, &st) == 0)
		return 0;
	if (errno != ENOENT)
		return fail_errno(fail, FAIL_SETUP, errno, "%s", path);
	if (make_key(path, owner, fail) == -1)
		return -1;
	if (made != NULL)
		made(path, context);
	return 0;
}

/* The public half follows from the private one, so it is made whenever it is
 * missing. */
static int
make_public_key(const struct settings *settings, const struct owner *owner,
    void (*made)(const char *path, void *context), void *context,
    struct fail *fail)
{
	char *path = key_path(settings, CHECKPOINT_KEY);
	char *public_path = key_path(settings, CHECKPOINT_PUB);
	unsigned char seed[CRYPTO_KEY_BYTES], key[CRYPTO_PUBLIC_BYTES];
	struct buf text = BUF_INIT(KEY_TEXT_LEN + 1);
	struct stat st;
	int rc = 0;

	if (lstat(public_path, &st) == -1) {
		rc = read_key(path, seed, fail);
		if (rc == 1) {
			struct crypto_signer *signer = crypto_signer_new(seed);

			crypto_signer_public(signer, key);
			crypto_signer_free(&signer);
			hex_format(&text, key, sizeof(key));
			buf_add_char(&text, '\n');
			rc = file_create(public_path, buf_span(&text), 0644,
			    fail);
		}
		crypto_wipe(seed, sizeof(seed));
		if (rc == 0 && give(owner, public_path, fail) == 0 &&
		    made != NULL)
			made(public_path, context);
	}
	buf_fini(&text);
	free(path);
	free(public_path);
	return rc == -1 ? -1 : 0;
}

static bool
has_token_key(const struct settings *settings)
{
	bool found = false;
	struct stat st;

	for (unsigned id = 0; id < TOKEN_KEYS && !found; id++) {
		char *path = token_key_path(settings, id);

		found = lstat(path, &st) == 0;
		free(path);
	}
	return found;
}

bool
settings_has_pseudonym_key(const struct settings *settings)
{
	char *path = key_path(settings, PSEUDONYM_KEY);
	struct stat st;
	bool found = lstat(path, &st) == 0 || errno != ENOENT;

	free(path);
	return found;
}

int
settings_make_keys(const struct settings *settings,
    void (*made)(const char *path, void *context), void *context,
    struct fail *fail)
{
	struct owner owner;
	char *path;
	int rc;

	if (find_owner(settings, &owner, fail) == -1 ||
	    make_directory(settings->keys, &owner, fail) == -1)
		return -1;
	path = key_path(settings, PSEUDONYM_KEY);
	rc = make_missing(path, &owner, made, context, fail);
	free(path);
	if (rc == 0) {
		path = key_path(settings, CHECKPOINT_KEY);
		rc = make_missing(path, &owner, made, context, fail);
		free(path);
	}
	if (rc == 0)
		rc = make_public_key(settings, &owner, made, context, fail);
	if (rc == 0) {
		path = key_path(settings, LINK_KEY);
		rc = make_missing(path, &owner, made, context, fail);
		free(path);
	}
	if (rc == 0 && !has_token_key(settings)) {
		path = token_key_path(settings, 0);
		rc = make_missing(path, &owner, made, context, fail);
		free(path);
	}
	return rc;
}
