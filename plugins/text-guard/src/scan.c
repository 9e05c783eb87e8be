#include "scan.h"

#include <stdlib.h>
#include <string.h>

const char *const kind_names[KINDS] = {"email", "phone", "card", "iban", "ip", "secret", "national_id"};

unsigned char byte_at(const struct scan *scan, size_t at)
{
    return at < scan->text.length ? (unsigned char)scan->text.bytes[at] : 0;
}

unsigned char byte_before(const struct scan *scan, size_t at)
{
    return at > 0 ? byte_at(scan, at - 1) : 0;
}

bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

bool is_letter(unsigned char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

bool is_alnum(unsigned char c)
{
    return is_digit(c) || is_letter(c);
}

bool is_word(unsigned char c)
{
    return is_alnum(c) || c >= 0x80;
}

bool word_at(const struct scan *scan, size_t at)
{
    unsigned char c = byte_at(scan, at), next = byte_at(scan, at + 1);
    if (c < 0x80)
        return is_alnum(c);
    if (c == 0xc2) /* ª µ º */
        return next == 0xaa || next == 0xb5 || next == 0xba;
    if (c == 0xc3) /* all but × ÷ */
        return next != 0x97 && next != 0xb7;
    return c >= 0xc4 && c < 0xe0;
}

bool word_before(const struct scan *scan, size_t at)
{
    if (at == 0)
        return false;
    at--;
    for (int i = 0; i < 3 && at > 0 && (byte_at(scan, at) & 0xc0) == 0x80; i++)
        at--;
    return word_at(scan, at);
}

size_t separator(const struct scan *scan, size_t at)
{
    unsigned char second = byte_at(scan, at + 1), third = byte_at(scan, at + 2);
    switch (byte_at(scan, at)) {
    case ' ':
    case '-':
    case '.':
        return 1;
    case 0xc2: /* no-break space */
        return second == 0xa0 ? 2 : 0;
    case 0xe2: /* hyphens, en dash; narrow no-break space */
        return second == 0x80 && ((third >= 0x90 && third <= 0x93) || third == 0xaf) ? 3 : 0;
    default:
        return 0;
    }
}

unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

bool stands_at(const struct scan *scan, size_t at, const char *word)
{
    for (; *word != 0; word++, at++)
        if (lower(byte_at(scan, at)) != (unsigned char)*word)
            return false;
    return true;
}

bool is_free(const struct scan *scan, size_t start, size_t end)
{
    return memchr(scan->taken + start, 1, end - start) == NULL;
}

bool found(struct scan *scan, enum kind kind, const char *what, size_t start, size_t end)
{
    if (end <= start || end > scan->text.length || !is_free(scan, start, end))
        return false;
    if (scan->count == scan->room) {
        scan->room = scan->room * 2 + 16;
        size_t used = scan->count * sizeof *scan->findings;
        scan->findings = arena_grow(scan->arena, scan->findings, used, scan->room * sizeof *scan->findings);
    }
    scan->findings[scan->count++] = (struct finding){kind, what, start, end};
    memset(scan->taken + start, 1, end - start);
    return true;
}

static int by_place(const void *a, const void *b)
{
    size_t left = ((const struct finding *)a)->start, right = ((const struct finding *)b)->start;
    return left < right ? -1 : left > right;
}

void scan_text(struct scan *scan, struct arena *arena, struct text text, unsigned kinds)
{
    *scan = (struct scan){.arena = arena, .text = text};
    /* One more, so that an empty text has a place too. */
    scan->taken = arena_take(arena, text.length + 1);
    bool wants[KINDS];
    for (int kind = 0; kind < KINDS; kind++)
        wants[kind] = kinds >> kind & 1;
    /* What has the clearest form goes first. */
    if (wants[SECRET])
        find_secrets(scan);
    /* A chat of WhatsApp has the form of an e-mail address and is a phone number. */
    if (wants[EMAIL] || wants[PHONE])
        find_emails(scan);
    if (wants[IBAN])
        find_ibans(scan);
    if (wants[CARD])
        find_cards(scan);
    if (wants[IP])
        find_addresses(scan);
    if (wants[NATIONAL_ID])
        find_national_ids(scan);
    if (wants[PHONE])
        find_phones(scan);
    if (wants[SECRET])
        find_assignments(scan);
    size_t kept = 0;
    for (size_t i = 0; i < scan->count; i++)
        if (wants[scan->findings[i].kind])
            scan->findings[kept++] = scan->findings[i];
    scan->count = kept;
    if (kept > 1)
        qsort(scan->findings, kept, sizeof *scan->findings, by_place);
}
