/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The few primitives that we use, over OpenSSL's libcrypto, the only file that
 * knows it.  A failure inside OpenSSL here means that memory or the provider
 * is gone; the process ends then, for a digest that is silently wrong could
 * turn one person into another.  Thread-safe.
 */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

#define CRYPTO_DIGEST_BYTES	32
#define CRYPTO_KEY_BYTES	32

/* SHA-256 over the concatenation of n pieces (FIPS 180-4). */
void	crypto_sha256(const struct span *pieces, size_t n,
	    unsigned char out[CRYPTO_DIGEST_BYTES]);

/*
 * The same with a context that is kept, for who computes many: half of the
 * cost of a short digest is setting up.  One thread at a time.
 */
struct crypto_hash;
struct crypto_hash *crypto_hash_new(void) __attribute__((returns_nonnull));
void	crypto_hash_free(struct crypto_hash **hash);
void	crypto_hash_sum(struct crypto_hash *hash, const struct span *pieces,
	    size_t n, unsigned char out[CRYPTO_DIGEST_BYTES]);

/*
 * HMAC-SHA256 (RFC 2104) with a key that is prepared once.  The key object is
 * immutable after _new and may be shared by threads; _free wipes it.
 */
struct crypto_hmac;
struct crypto_hmac *crypto_hmac_new(
	    const unsigned char key[CRYPTO_KEY_BYTES])
	    __attribute__((returns_nonnull));
/* The same with a key of 1 to 64 bytes, for keys that others make. */
#define CRYPTO_HMAC_KEY_MAX	64
struct crypto_hmac *crypto_hmac_new_sized(struct span key)
	    __attribute__((returns_nonnull));
void	crypto_hmac_free(struct crypto_hmac **hmac);
void	crypto_hmac_sum(const struct crypto_hmac *hmac,
	    const struct span *pieces, size_t n,
	    unsigned char out[CRYPTO_DIGEST_BYTES]);

/*
 * Ed25519 (RFC 8032).  The seed is the private key.  The object is immutable
 * and may be shared by threads; _free wipes it.
 */
#define CRYPTO_PUBLIC_BYTES	32
#define CRYPTO_SIGNATURE_BYTES	64
struct crypto_signer;
struct crypto_signer *crypto_signer_new(
	    const unsigned char seed[CRYPTO_KEY_BYTES])
	    __attribute__((returns_nonnull));
void	crypto_signer_free(struct crypto_signer **signer);
void	crypto_signer_public(const struct crypto_signer *signer,
	    unsigned char out[CRYPTO_PUBLIC_BYTES]);
void	crypto_sign(const struct crypto_signer *signer, struct span message,
	    unsigned char out[CRYPTO_SIGNATURE_BYTES]);
bool	crypto_signature_is_good(
	    const unsigned char public_key[CRYPTO_PUBLIC_BYTES],
	    struct span message,
	    const unsigned char signature[CRYPTO_SIGNATURE_BYTES]);

/* Bytes from the operating system's generator. */
void	crypto_random(void *out, size_t len);
/* Compares in a time that does not depend on the content. */
bool	crypto_equal(const void *a, const void *b, size_t len);
/* Overwrites a secret in a way that the compiler keeps. */
void	crypto_wipe(void *p, size_t len);
/* For -V: the library's own version text.  Borrowed, static. */
const char *crypto_version(void);

#endif
