/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * An HMAC key is kept as the two SHA-256 states after the padded key blocks:
 * a sum then costs two copies of a small context instead of a look-up of the
 * algorithm (a sixth of the time of the one-shot HMAC()).
 */
#include "base/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/xalloc.h"

#define SHA256_BLOCK_BYTES	64

_Static_assert(CRYPTO_HMAC_KEY_MAX <= SHA256_BLOCK_BYTES,
    "a longer key is hashed first (RFC 2104 section 2)");

struct crypto_hmac {
	EVP_MD_CTX *inner;
	EVP_MD_CTX *outer;
};

static void	must(int ok);
static const EVP_MD *sha256(void);

static void
must(int ok)
{
	static const char text[] = "fatal: OpenSSL can't compute SHA-256\n";

	if (ok > 0)
		return;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(EX_SOFTWARE);
}

/* EVP_sha256() would be looked up among the providers at each use, under a
 * lock of OpenSSL; fetched once it costs nothing. */
static EVP_MD *fetched_sha256;
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;

static void
fetch_sha256(void)
{
	fetched_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	must(fetched_sha256 != NULL);
}

static const EVP_MD *
sha256(void)
{
	(void)pthread_once(&fetch_once, fetch_sha256);
	return fetched_sha256;
}

static void
update(EVP_MD_CTX *ctx, const struct span *pieces, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (pieces[i].len != 0)
			must(EVP_DigestUpdate(ctx, pieces[i].p,
			    pieces[i].len));
}

void
crypto_sha256(const struct span *pieces, size_t n,
    unsigned char out[CRYPTO_DIGEST_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	must(ctx != NULL);
	must(EVP_DigestInit_ex(ctx, sha256(), NULL));
	update(ctx, pieces, n);
	must(EVP_DigestFinal_ex(ctx, out, NULL));
	EVP_MD_CTX_free(ctx);
}

struct crypto_hash {
	EVP_MD_CTX *ctx;
};

struct crypto_hash *
crypto_hash_new(void)
{
	struct crypto_hash *hash = xcalloc(1, sizeof(*hash));

	hash->ctx = EVP_MD_CTX_new();
	must(hash->ctx != NULL);
	must(EVP_DigestInit_ex(hash->ctx, sha256(), NULL));
	return hash;
}

void
crypto_hash_free(struct crypto_hash **hash)
{
	if (*hash == NULL)
		return;
	EVP_MD_CTX_free((*hash)->ctx);
	free(*hash);
	*hash = NULL;
}

void
crypto_hash_sum(struct crypto_hash *hash, const struct span *pieces, size_t n,
    unsigned char out[CRYPTO_DIGEST_BYTES])
{
	/* Without a type it starts again without looking the type up. */
	must(EVP_DigestInit_ex(hash->ctx, NULL, NULL));
	update(hash->ctx, pieces, n);
	must(EVP_DigestFinal_ex(hash->ctx, out, NULL));
}

static EVP_MD_CTX *
keyed_state(struct span key, unsigned char pad)
{
	unsigned char block[SHA256_BLOCK_BYTES];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < key.len; i++)
		block[i] ^= key.p[i];
	must(ctx != NULL);
	must(EVP_DigestInit_ex(ctx, sha256(), NULL));
	must(EVP_DigestUpdate(ctx, block, sizeof(block)));
	OPENSSL_cleanse(block, sizeof(block));
	return ctx;
}

struct crypto_hmac *
crypto_hmac_new(const unsigned char key[CRYPTO_KEY_BYTES])
{
	return crypto_hmac_new_sized(span_of(key, CRYPTO_KEY_BYTES));
}

struct crypto_hmac *
crypto_hmac_new_sized(struct span key)
{
	struct crypto_hmac *hmac = xcalloc(1, sizeof(*hmac));

	must(key.len > 0 && key.len <= CRYPTO_HMAC_KEY_MAX);
	hmac->inner = keyed_state(key, 0x36);
	hmac->outer = keyed_state(key, 0x5c);
	return hmac;
}

void
crypto_hmac_free(struct crypto_hmac **hmac)
{
	if (*hmac == NULL)
		return;
	EVP_MD_CTX_free((*hmac)->inner);	/* wipes the state */
	EVP_MD_CTX_free((*hmac)->outer);
	free(*hmac);
	*hmac = NULL;
}

void
crypto_hmac_sum(const struct crypto_hmac *hmac, const struct span *pieces,
    size_t n, unsigned char out[CRYPTO_DIGEST_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	must(ctx != NULL);
	must(EVP_MD_CTX_copy_ex(ctx, hmac->inner));
	update(ctx, pieces, n);
	must(EVP_DigestFinal_ex(ctx, out, NULL));
	must(EVP_MD_CTX_copy_ex(ctx, hmac->outer));
	must(EVP_DigestUpdate(ctx, out, CRYPTO_DIGEST_BYTES));
	must(EVP_DigestFinal_ex(ctx, out, NULL));
	EVP_MD_CTX_free(ctx);
}

struct crypto_signer {
	EVP_PKEY *key;
};

struct crypto_signer *
crypto_signer_new(const unsigned char seed[CRYPTO_KEY_BYTES])
{
	struct crypto_signer *signer = xcalloc(1, sizeof(*signer));

	signer->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
	    seed, CRYPTO_KEY_BYTES);
	must(signer->key != NULL);
	return signer;
}

void
crypto_signer_free(struct crypto_signer **signer)
{
	if (*signer == NULL)
		return;
	EVP_PKEY_free((*signer)->key);		/* wipes it */
	free(*signer);
	*signer = NULL;
}

void
crypto_signer_public(const struct crypto_signer *signer,
    unsigned char out[CRYPTO_PUBLIC_BYTES])
{
	size_t len = CRYPTO_PUBLIC_BYTES;

	must(EVP_PKEY_get_raw_public_key(signer->key, out, &len));
}

void
crypto_sign(const struct crypto_signer *signer, struct span message,
    unsigned char out[CRYPTO_SIGNATURE_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = CRYPTO_SIGNATURE_BYTES;

	must(ctx != NULL);
	must(EVP_DigestSignInit(ctx, NULL, NULL, NULL, signer->key));
	must(EVP_DigestSign(ctx, out, &len, message.p, message.len));
	EVP_MD_CTX_free(ctx);
}

bool
crypto_signature_is_good(const unsigned char public_key[CRYPTO_PUBLIC_BYTES],
    struct span message, const unsigned char signature[CRYPTO_SIGNATURE_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	/* NULL for bytes that are no point of the curve: then nothing fits. */
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
	    public_key, CRYPTO_PUBLIC_BYTES);
	bool good;

	must(ctx != NULL);
	good = key != NULL &&
	    EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) > 0 &&
	    EVP_DigestVerify(ctx, signature, CRYPTO_SIGNATURE_BYTES,
	    message.p, message.len) > 0;
	EVP_PKEY_free(key);
	EVP_MD_CTX_free(ctx);
	return good;
}

void
crypto_random(void *out, size_t len)
{
	must(RAND_bytes(out, (int)len));
}

bool
crypto_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

void
crypto_wipe(void *p, size_t len)
{
	OPENSSL_cleanse(p, len);
}

const char *
crypto_version(void)
{
	return OpenSSL_version(OPENSSL_VERSION);
}
