// Writes down what OpenSSL seals with: for each key and nonce that a cipher is set to, eight bytes that stand for both, in the
// file that $NONCE_LOG names. To be loaded before libcrypto (LD_PRELOAD); see nonce_soak.py.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int (*initialise)(EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *, const unsigned char *, const unsigned char *, int);
static void (*release)(EVP_CIPHER_CTX *);
static int file = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

// The key of a context, as a number; contexts are few, or end soon.
enum { PLACES = 1 << 14 };
static struct {
    EVP_CIPHER_CTX *context;
    uint64_t key;
} keys[PLACES];

__attribute__((constructor)) static void begin(void) {
    initialise = dlsym(RTLD_NEXT, "EVP_CipherInit_ex");
    release = dlsym(RTLD_NEXT, "EVP_CIPHER_CTX_free");
    const char *path = getenv("NONCE_LOG");
    if (path != NULL) file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

// FNV-1a, and a mixing of its bits.
static uint64_t mixed(uint64_t hash, const unsigned char *bytes, int count) {
    for (int index = 0; index < count; index++) hash = (hash ^ bytes[index]) * 0x100000001b3;
    hash = (hash ^ hash >> 31) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 29;
}

static int place(EVP_CIPHER_CTX *context) {
    int start = (int)((uintptr_t)context >> 4) & (PLACES - 1);
    for (int step = 0; step < PLACES; step++) {
        int index = (start + step) & (PLACES - 1);
        if (keys[index].context == context || keys[index].context == NULL) return index;
    }
    abort();
}

int EVP_CipherInit_ex(
    EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, ENGINE *engine, const unsigned char *key, const unsigned char *iv,
    int seals) {
    int result = initialise(context, cipher, engine, key, iv, seals);
    if (file < 0 || result != 1 || !EVP_CIPHER_CTX_is_encrypting(context)) return result;
    pthread_mutex_lock(&mutex);
    int index = place(context);
    keys[index].context = context;
    if (key != NULL) keys[index].key = mixed(0xcbf29ce484222325, key, EVP_CIPHER_CTX_get_key_length(context));
    if (iv != NULL && keys[index].key != 0) {
        uint64_t entry = mixed(keys[index].key, iv, EVP_CIPHER_CTX_get_iv_length(context));
        if (write(file, &entry, sizeof entry) != sizeof entry) abort();
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

// Another context may have the place in memory next.
void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *context) {
    pthread_mutex_lock(&mutex);
    int index = place(context);
    if (keys[index].context == context) keys[index].key = 0;
    pthread_mutex_unlock(&mutex);
    release(context);
}
