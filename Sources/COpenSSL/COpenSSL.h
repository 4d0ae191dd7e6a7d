// OpenSSL, as Debian has it and keeps it up to date: the handshake of TLS, and the ciphers of its records. Swift can't call
// macros with arguments; what is needed of those is a function here.
#pragma once

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <malloc.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

// Overwrites the thread's stack below the frame of the caller.
static __attribute__((noinline)) void copenssl_wipe_stack(void) {
    unsigned char below[64 * 1024];
    OPENSSL_cleanse(below, sizeof below);
}

// Memory that is overwritten when it is freed.
static inline void *copenssl_allocate(size_t count, const char *file, int line) { return malloc(count); }

static inline void copenssl_free(void *memory, const char *file, int line) {
    if (memory == NULL) return;
    OPENSSL_cleanse(memory, malloc_usable_size(memory));
    free(memory);
}

static inline void *copenssl_reallocate(void *memory, size_t count, const char *file, int line) {
    size_t size = memory == NULL ? 0 : malloc_usable_size(memory);
    if (count == 0) {
        copenssl_free(memory, file, line);
        return NULL;
    }
    if (count <= size) return memory;
    void *larger = malloc(count);
    if (larger == NULL) return NULL;
    if (size > 0) memcpy(larger, memory, size);
    copenssl_free(memory, file, line);
    return larger;
}

// Makes OpenSSL use such memory; 0 if it has allocated some already.
static inline int copenssl_wipe_freed_memory(void) {
    return CRYPTO_set_mem_functions(copenssl_allocate, copenssl_reallocate, copenssl_free);
}

static inline int copenssl_set_minimum_version(SSL_CTX *context, int version) {
    return SSL_CTX_set_min_proto_version(context, version);
}

// The same, unless the machine's configuration wants a newer one.
static inline int copenssl_raise_minimum_version(SSL_CTX *context, int version) {
    return SSL_CTX_get_min_proto_version(context) >= version || SSL_CTX_set_min_proto_version(context, version);
}

static inline int copenssl_set_maximum_version(SSL_CTX *context, int version) {
    return SSL_CTX_set_max_proto_version(context, version);
}

static inline int copenssl_set_groups(SSL_CTX *context, const char *names) {
    return (int)SSL_CTX_set1_groups_list(context, names);
}

static inline void copenssl_set_mode(SSL_CTX *context, long mode) { SSL_CTX_set_mode(context, mode); }

static inline void copenssl_turn_session_cache_off(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

static inline long copenssl_pending(BIO *bio) { return BIO_pending(bio); }

// The names in a certificate. Those that are no names of hosts are NULL.
static inline int copenssl_alternative_name_count(GENERAL_NAMES *names) { return sk_GENERAL_NAME_num(names); }

static inline const char *copenssl_dns_name(GENERAL_NAMES *names, int index, int *length) {
    GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
    if (name == NULL || name->type != GEN_DNS) return NULL;
    *length = ASN1_STRING_length(name->d.dNSName);
    return (const char *)ASN1_STRING_get0_data(name->d.dNSName);
}

static inline const unsigned char *copenssl_address_name(GENERAL_NAMES *names, int index, int *length) {
    GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
    if (name == NULL || name->type != GEN_IPADD) return NULL;
    *length = ASN1_STRING_length(name->d.iPAddress);
    return ASN1_STRING_get0_data(name->d.iPAddress);
}

// The names of hosts and the addresses of mail, and URIs. Other names are NULL.
static inline const char *copenssl_text_name(GENERAL_NAMES *names, int index, int *length) {
    GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
    if (name == NULL || (name->type != GEN_DNS && name->type != GEN_EMAIL && name->type != GEN_URI)) return NULL;
    *length = ASN1_STRING_length(name->d.ia5);
    return (const char *)ASN1_STRING_get0_data(name->d.ia5);
}

// Whether it is a name of this type, such as GEN_DNS.
static inline int copenssl_is_name(GENERAL_NAMES *names, int index, int type) {
    return sk_GENERAL_NAME_value(names, index)->type == type;
}

// Lets a store find the authorities that this machine trusts: one by one by their names, or in the file that SSL_CERT_FILE names.
static inline int copenssl_trust_system(X509_STORE *store) {
    X509_LOOKUP *files = X509_STORE_add_lookup(store, X509_LOOKUP_hash_dir());
    if (files == NULL || !X509_LOOKUP_add_dir(files, NULL, X509_FILETYPE_DEFAULT)) return 0;
    const char *path = getenv(X509_get_default_cert_file_env());
    if (path == NULL || *path == 0) return 1;
    X509_LOOKUP *file = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    return file != NULL && X509_LOOKUP_load_file(file, NULL, X509_FILETYPE_DEFAULT);
}

// Lets a store find the authorities of the system alone, whatever the environment says.
static inline int copenssl_trust_system_alone(X509_STORE *store) {
    X509_LOOKUP *files = X509_STORE_add_lookup(store, X509_LOOKUP_hash_dir());
    return files != NULL && X509_LOOKUP_add_dir(files, X509_get_default_cert_dir(), X509_FILETYPE_PEM);
}

// How the subject of a certificate is shown (RFC 2253).
static inline unsigned long copenssl_name_format(void) { return XN_FLAG_RFC2253; }

// What certificates of clients are verified by; the context keeps a reference of its own.
static inline int copenssl_set_verify_store(SSL_CTX *context, X509_STORE *store) {
    return (int)SSL_CTX_set1_verify_cert_store(context, store);
}

static inline void copenssl_set_maximum_chain(SSL_CTX *context, long count) { SSL_CTX_set_max_cert_list(context, count); }

static inline void copenssl_turn_tickets_off(SSL_CTX *context) { SSL_CTX_set_options(context, SSL_OP_NO_TICKET); }

// The HMAC of a session ticket, which OpenSSL asks for by a callback.
static inline int copenssl_set_ticket_mac(EVP_MAC_CTX *mac, unsigned char *key, size_t count) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string("key", key, count),
        OSSL_PARAM_construct_utf8_string("digest", (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters);
}

static inline STACK_OF(X509) *copenssl_new_chain(void) { return sk_X509_new_null(); }

// Adds a certificate to a chain, which keeps a reference of its own.
static inline int copenssl_append(STACK_OF(X509) *chain, X509 *certificate) {
    if (!X509_up_ref(certificate)) return 0;
    if (sk_X509_push(chain, certificate) > 0) return 1;
    X509_free(certificate);
    return 0;
}

static inline void copenssl_free_chain(STACK_OF(X509) *chain) { sk_X509_pop_free(chain, X509_free); }

static inline void copenssl_free_text(unsigned char *text) { OPENSSL_free(text); }

static inline void copenssl_free_names(GENERAL_NAMES *names) { GENERAL_NAMES_free(names); }

// Neither renegotiation nor compression.
static inline void copenssl_set_options(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
}

// The name of the server in a client's first message (RFC 6066, section 3).
static inline int copenssl_set_server_name(SSL *ssl, const char *name) { return (int)SSL_set_tlsext_host_name(ssl, name); }
