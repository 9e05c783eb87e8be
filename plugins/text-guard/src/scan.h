/* What is looked for in a text, and found.
 *
 * Each detector goes over the text once and looks a bounded number of bytes around each place, so that the whole is
 * linear in the length of the text, whatever is in it. A detector leaves alone what an earlier one has taken. Places
 * are bytes here; no finding begins or ends within a character. */
#ifndef SCAN_H
#define SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "json.h"

enum kind { EMAIL, PHONE, CARD, IBAN, IP, SECRET, NATIONAL_ID, KINDS };

/* `email`, ... as workflows say. */
extern const char *const kind_names[KINDS];

struct finding {
    enum kind kind;
    /* More exactly: `github_token`. */
    const char *what;
    size_t start;
    /* The byte behind it. */
    size_t end;
};

struct scan {
    struct arena *arena;
    struct text text;
    /* For each byte whether a finding holds it. */
    unsigned char *taken;
    struct finding *findings;
    size_t count;
    size_t room;
};

/* Finds what is of the kinds whose bit is set, in the order of the text. */
void scan_text(struct scan *scan, struct arena *arena, struct text text, unsigned kinds);

/* What detectors are made of. */

/* The byte at a place, 0 outside of the text. */
unsigned char byte_at(const struct scan *scan, size_t at);
/* The byte before a place, 0 at the beginning. */
unsigned char byte_before(const struct scan *scan, size_t at);
bool is_digit(unsigned char c);
bool is_letter(unsigned char c);
bool is_alnum(unsigned char c);
/* Also any byte of a character beyond ASCII: for what may hold such, as names and e-mail addresses do. */
bool is_word(unsigned char c);
/* Whether the character at a place, or before it, is a letter or digit: a finding that touches one is part of a longer word.
 * Beyond ASCII these are the scripts with spaces between words; signs, pictures and scripts without spaces join nothing. */
bool word_at(const struct scan *scan, size_t at);
bool word_before(const struct scan *scan, size_t at);
/* The bytes of the sign that may stand between groups of digits at a place (space, hyphen, dash, dot); 0 if there is none. */
size_t separator(const struct scan *scan, size_t at);
unsigned char lower(unsigned char c);
/* Whether `word` (lower case) stands at a place, in any case. */
bool stands_at(const struct scan *scan, size_t at, const char *word);
bool is_free(const struct scan *scan, size_t start, size_t end);
/* Takes the bytes, unless one of them is taken already. */
bool found(struct scan *scan, enum kind kind, const char *what, size_t start, size_t end);

void find_secrets(struct scan *scan);
void find_assignments(struct scan *scan);
void find_emails(struct scan *scan);
void find_ibans(struct scan *scan);
void find_cards(struct scan *scan);
void find_addresses(struct scan *scan);
void find_national_ids(struct scan *scan);
void find_phones(struct scan *scan);

#endif
