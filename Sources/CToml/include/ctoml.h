// TOML 1.0 by toml++, for Swift: a text becomes a flat list of items that know where they stood in it.
//
// The list is a walk in the order of the text, a parent before its children. What a plain parser throws away is kept:
// the line and column of every key and of every value, counted from 1, columns in Unicode code points.
#ifndef CTOML_H
#define CTOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The kind of a value.
typedef enum ctoml_kind {
    CTOML_STRING = 0,
    CTOML_INTEGER = 1,
    CTOML_FLOAT = 2,
    CTOML_BOOLEAN = 3,
    /// Any of TOML's dates and times; `text` holds it as TOML writes it.
    CTOML_DATETIME = 4,
    CTOML_ARRAY = 5,
    CTOML_TABLE = 6,
} ctoml_kind;

/// UTF-8 that the document owns, not ended by NUL (a TOML string may hold one).
typedef struct ctoml_text {
    const char *bytes;
    size_t length;
} ctoml_text;

/// A position in the text, from 1; line 0 if there is none, as for the table that is the document itself.
typedef struct ctoml_position {
    uint32_t line;
    uint32_t column;
} ctoml_position;

/// One value. The children of an array or table at depth n are the items that follow it at depth n + 1.
typedef struct ctoml_item {
    uint32_t depth;
    ctoml_kind kind;
    /// One component of the key: `a."b.c".d` is three items deep, and none of them holds a dot but the second.
    ctoml_text key;
    /// False for an element of an array.
    bool has_key;
    ctoml_position key_position;
    ctoml_position value_position;
    /// For CTOML_STRING and CTOML_DATETIME.
    ctoml_text text;
    /// For CTOML_INTEGER.
    int64_t integer;
    /// For CTOML_FLOAT.
    double floating;
    /// For CTOML_BOOLEAN.
    bool boolean;
} ctoml_item;

/// The reason why a text is not TOML. The parser stops at the first such place.
typedef struct ctoml_error {
    ctoml_text message;
    ctoml_position position;
} ctoml_error;

/// A parsed text, or the error in it.
typedef struct ctoml_document ctoml_document;

/// Parses `length` bytes of UTF-8; a byte order mark is skipped. NULL only if memory ran out.
ctoml_document *ctoml_parse(const char *bytes, size_t length);

/// Frees the document and every text that came from it.
void ctoml_free(ctoml_document *document);

/// The syntax error, or NULL if the text was TOML.
const ctoml_error *ctoml_get_error(const ctoml_document *document);

/// The number of items, 0 after an error.
size_t ctoml_get_count(const ctoml_document *document);

/// The item at an index below the count.
ctoml_item ctoml_get_item(const ctoml_document *document, size_t index);

#ifdef __cplusplus
}
#endif

#endif
