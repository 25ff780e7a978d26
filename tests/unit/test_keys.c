/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The keys directory: what is made, and what is taken for a key.
 */
#include <sys/stat.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/privilege.h"
#include "base/xalloc.h"
#include "check.h"
#include "settings/load.h"

#define N(table)	(sizeof(table) / sizeof((table)[0]))
#define DIGITS								\
	"000102030405060708090a0b0c0d0e0f"				\
	"101112131415161718191a1b1c1d1e1f"

static char root[] = "/tmp/test_keys.XXXXXX";

/* A path below the test's directory, good until the next call. */
static const char *
path_of(const char *name)
{
	static char path[200];

	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

static struct settings *
load(const char *user)
{
	struct buf text = BUF_INIT(1000), errors = BUF_INIT(1000);
	struct settings *settings = NULL;

	buf_addf(&text, "user = \"%s\"; keys = \"%s\";", user,
	    path_of("a/keys"));
	CHECK_INT(settings_load_text("c", buf_span(&text), &settings, &errors),
	    0);
	CHECK_STR(buf_get(&errors), "");
	buf_fini(&text);
	buf_fini(&errors);
	return settings;
}

static void
put(const char *name, const char *content, mode_t mode)
{
	const char *path = path_of(name);
	struct fail fail;

	(void)unlink(path);
	CHECK_INT(file_create(path, span_str(content), mode, &fail), 0);
}

static void
add_name(const char *path, void *context)
{
	const char *slash = strrchr(path, '/');

	buf_addf(context, "%s ", slash == NULL ? path : slash + 1);
}

static void
check_made(const struct settings *settings, const char *want)
{
	struct buf made = BUF_INIT(1000);
	struct fail fail = { .class = FAIL_BUG };

	CHECK_INT(settings_make_keys(settings, add_name, &made, &fail), 0);
	CHECK_STR(fail.text, "");
	CHECK_STR(buf_get(&made), want);
	buf_fini(&made);
}

static void
remove_all(void)
{
	static const char *const names[] = { "pseudonym.key",
	    "checkpoint.key", "checkpoint.pub", "link.key", "token-0.key",
	    "token-1.key", "token-15.key", "token-16.key", "token-01.key" };
	char name[100];

	for (size_t i = 0; i < N(names); i++) {
		(void)snprintf(name, sizeof(name), "a/keys/%s", names[i]);
		(void)unlink(path_of(name));
	}
	(void)rmdir(path_of("a/keys"));
	(void)rmdir(path_of("a"));
}

static void
test_make(void)
{
	struct settings *s = load("");
	struct fail fail = { .class = FAIL_BUG };
	struct buf before = BUF_INIT(100), after = BUF_INIT(100);
	struct stat st;

	CHECK_INT(settings_load_keys(s, &fail), -1);
	CHECK_INT(fail.class, FAIL_SETUP);
	CHECK(strstr(fail.text, "run `consentctl keygen'") != NULL);
	check_made(s, "pseudonym.key checkpoint.key "
	    "checkpoint.pub link.key token-0.key ");
	CHECK_INT(stat(path_of("a/keys"), &st), 0);
	CHECK_INT(st.st_mode & 07777, 0750);
	CHECK_INT(stat(path_of("a/keys/pseudonym.key"), &st), 0);
	CHECK_INT(st.st_mode & 07777, 0600);
	CHECK_INT(st.st_size, 65);
	CHECK_INT(settings_load_keys(s, &fail), 0);
	CHECK(s->pseudonym_key != NULL && s->token_keys.key[0] != NULL);
	for (size_t i = 1; i < TOKEN_KEYS; i++)
		CHECK(s->token_keys.key[i] == NULL);

	/* again: nothing is touched */
	CHECK_INT(file_read(path_of("a/keys/pseudonym.key"), &before, &fail),
	    0);
	check_made(s, "");
	CHECK_INT(file_read(path_of("a/keys/pseudonym.key"), &after, &fail),
	    0);
	CHECK_STR(buf_get(&after), buf_get(&before));
	/* the two keys differ */
	buf_clear(&after);
	CHECK_INT(file_read(path_of("a/keys/token-0.key"), &after, &fail), 0);
	CHECK(strcmp(buf_get(&after), buf_get(&before)) != 0);
	buf_fini(&before);
	buf_fini(&after);

	/* a token key of any number is enough, even a broken one */
	(void)unlink(path_of("a/keys/token-0.key"));
	put("a/keys/token-15.key", "broken", 0600);
	check_made(s, "");
	(void)unlink(path_of("a/keys/pseudonym.key"));
	check_made(s, "pseudonym.key ");
	settings_put(&s);
	remove_all();
}

static void
test_load(void)
{
	struct settings *s = load("");
	struct fail fail = { .class = FAIL_BUG };
	unsigned char bytes[CRYPTO_KEY_BYTES], got[CRYPTO_DIGEST_BYTES],
	    want[CRYPTO_DIGEST_BYTES];
	struct crypto_hmac *hmac;
	struct span text = SPAN("x");

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)i;
	check_made(s, "pseudonym.key checkpoint.key "
	    "checkpoint.pub link.key token-0.key ");
	put("a/keys/pseudonym.key", DIGITS "\n", 0640);
	put("a/keys/token-1.key", DIGITS, 0400);
	put("a/keys/token-15.key", DIGITS "\n", 0600);
	/* no keys of ours */
	put("a/keys/token-16.key", "x", 0666);
	put("a/keys/token-01.key", "x", 0666);
	CHECK_INT(settings_load_keys(s, &fail), 0);
	CHECK_STR(fail.text, "");
	CHECK(s->token_keys.key[0] != NULL && s->token_keys.key[1] != NULL &&
	    s->token_keys.key[2] == NULL && s->token_keys.key[15] != NULL);

	hmac = crypto_hmac_new(bytes);
	crypto_hmac_sum(hmac, &text, 1, want);
	crypto_hmac_sum(s->pseudonym_key, &text, 1, got);
	CHECK_BYTES(got, sizeof(got), want, sizeof(want));
	crypto_hmac_sum(s->token_keys.key[15], &text, 1, got);
	CHECK_BYTES(got, sizeof(got), want, sizeof(want));
	crypto_hmac_free(&hmac);

	/* again: the keys that went are gone */
	(void)unlink(path_of("a/keys/token-1.key"));
	CHECK_INT(settings_load_keys(s, &fail), 0);
	CHECK(s->token_keys.key[1] == NULL);
	settings_put(&s);
	remove_all();
}

static void
test_missing(void)
{
	struct settings *s = load("");
	struct fail fail = { .class = FAIL_BUG };

	check_made(s, "pseudonym.key checkpoint.key "
	    "checkpoint.pub link.key token-0.key ");
	(void)unlink(path_of("a/keys/token-0.key"));
	CHECK_INT(settings_load_keys(s, &fail), -1);
	CHECK_INT(fail.class, FAIL_SETUP);
	CHECK(strstr(fail.text, "no token-0.key") != NULL);
	CHECK(s->pseudonym_key == NULL);
	check_made(s, "token-0.key ");
	(void)unlink(path_of("a/keys/pseudonym.key"));
	CHECK_INT(settings_load_keys(s, &fail), -1);
	CHECK(strstr(fail.text, "no pseudonym.key") != NULL);
	CHECK(s->token_keys.key[0] == NULL);
	settings_put(&s);
	remove_all();
}

static void
test_refused(void)
{
	static const struct {
		const char *content;
		mode_t mode;
		const char *word;	/* NULL: good */
	} cases[] = {
		{ DIGITS "\n", 0600, NULL },
		{ DIGITS "\n", 0440, NULL },
		{ DIGITS "\n", 0604, "others can read it" },
		{ DIGITS "\n", 0602, "others can read it" },
		{ DIGITS "\n", 0620, "others can read it" },
		{ "", 0600, "not a key" },
		{ "\n", 0600, "not a key" },
		{ DIGITS "0\n", 0600, "not a key" },
		{ DIGITS "00", 0600, "not a key" },
		{ DIGITS "\n\n", 0600, "not a key" },
		{ DIGITS "\r\n", 0600, "not a key" },
		{ " " DIGITS "\n", 0600, "not a key" },
		{ "000102030405060708090A0B0C0D0E0F"
		  "101112131415161718191A1B1C1D1E1F\n", 0600, "not a key" },
		{ "000102030405060708090a0b0c0d0e0f"
		  "101112131415161718191a1b1c1d1e1\n", 0600, "not a key" },
		{ "000102030405060708090a0b0c0d0e0f"
		  "101112131415161718191a1b1c1d1e1g\n", 0600, "not a key" },
		{ DIGITS "\n" DIGITS "\n", 0600, "not a key" },
	};
	static const char *const names[] = { "a/keys/pseudonym.key",
	    "a/keys/token-0.key", "a/keys/token-15.key" };
	struct settings *s = load("");

	check_made(s, "pseudonym.key checkpoint.key "
	    "checkpoint.pub link.key token-0.key ");
	for (size_t i = 0; i < N(cases) * N(names); i++) {
		const char *name = names[i % N(names)];
		const char *word = cases[i / N(names)].word;
		struct fail fail = { .class = FAIL_BUG };

		check_case((long)i);
		put(name, cases[i / N(names)].content,
		    cases[i / N(names)].mode);
		CHECK_INT(settings_load_keys(s, &fail), word == NULL ? 0 : -1);
		CHECK(word == NULL || strstr(fail.text, word) != NULL);
		CHECK(strstr(fail.text, "0102030405") == NULL);
		CHECK((s->pseudonym_key == NULL) == (word != NULL));
		put(name, DIGITS "\n", 0600);
	}
	check_case(-1);
	/* no file at all */
	struct fail fail = { .class = FAIL_BUG };
	(void)unlink(path_of("a/keys/token-0.key"));
	CHECK_INT(mkdir(path_of("a/keys/token-0.key"), 0700), 0);
	CHECK_INT(settings_load_keys(s, &fail), -1);
	CHECK(strstr(fail.text, "not a regular file") != NULL);
	(void)rmdir(path_of("a/keys/token-0.key"));
	CHECK_INT(mkfifo(path_of("a/keys/token-0.key"), 0600), 0);
	CHECK_INT(settings_load_keys(s, &fail), -1);
	CHECK(strstr(fail.text, "not a regular file") != NULL);
	settings_put(&s);
	remove_all();
}

/* A link that leads nowhere is not overwritten, nor what it leads to. */
static void
test_link(void)
{
	struct settings *s = load("");
	char *target = xstrdup(path_of("target"));

	check_made(s, "pseudonym.key checkpoint.key "
	    "checkpoint.pub link.key token-0.key ");
	(void)unlink(path_of("a/keys/token-0.key"));
	CHECK_INT(symlink(target, path_of("a/keys/token-0.key")), 0);
	check_made(s, "");
	CHECK_INT(access(target, F_OK), -1);
	free(target);
	settings_put(&s);
	remove_all();
}

static void
test_owner(void)
{
	static const char *const names[] = { "a", "a/keys",
	    "a/keys/pseudonym.key", "a/keys/token-0.key" };
	struct settings *s;
	struct fail fail;
	struct stat st;
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0 ||
	    privilege_user("nobody", &uid, &gid, &fail) == -1)
		return;
	s = load("nobody");
	check_made(s, "pseudonym.key checkpoint.key "
	    "checkpoint.pub link.key token-0.key ");
	for (size_t i = 0; i < N(names); i++) {
		check_case((long)i);
		CHECK_INT(stat(path_of(names[i]), &st), 0);
		CHECK_INT(st.st_uid, uid);
		CHECK_INT(st.st_gid, gid);
	}
	settings_put(&s);
	remove_all();
}

static void
test_no_directory(void)
{
	struct settings *s = load("");
	struct fail fail = { .class = FAIL_BUG };

	put("a", "a file\n", 0600);
	CHECK_INT(settings_make_keys(s, NULL, NULL, &fail), -1);
	CHECK_INT(fail.class, FAIL_SETUP);
	CHECK_INT(settings_load_keys(s, &fail), -1);
	(void)unlink(path_of("a"));
	settings_put(&s);
}

static const struct check_test tests[] = {
	{ "make", test_make },
	{ "load", test_load },
	{ "missing", test_missing },
	{ "refused", test_refused },
	{ "link", test_link },
	{ "owner", test_owner },
	{ "no_directory", test_no_directory },
};

int
main(void)
{
	int rc;

	(void)umask(022);
	if (mkdtemp(root) == NULL) {
		perror(root);
		return EXIT_FAILURE;
	}
	rc = check_main("keys", tests, N(tests));
	remove_all();
	(void)rmdir(root);
	return rc;
}
