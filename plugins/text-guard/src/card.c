/* Payment cards: 13 to 19 digits in groups, with the first digits of a scheme and the right check digit (Luhn). */
#include "scan.h"

#define LEAST 13
#define MOST 19

static bool has_luhn(const unsigned char *digits, int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++) {
        int digit = digits[count - 1 - i] - '0';
        if (i % 2 == 1)
            digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
        sum += digit;
    }
    return sum % 10 == 0;
}

/* The schemes by their first digits and lengths; NULL for what no scheme gives out. */
static const char *scheme(const unsigned char *d, int count)
{
    int two = (d[0] - '0') * 10 + d[1] - '0';
    int four = two * 100 + (d[2] - '0') * 10 + d[3] - '0';
    if (d[0] == '4' && (count == 13 || count == 16 || count == 19))
        return "visa";
    if (count == 16 && ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720)))
        return "mastercard";
    if (count == 15 && (two == 34 || two == 37))
        return "amex";
    if (count >= 16 && (four == 6011 || two == 65 || (four >= 6440 && four <= 6499)))
        return "discover";
    if (count >= 16 && four >= 3528 && four <= 3589)
        return "jcb";
    if (count >= 14 && (two == 36 || two == 38 || two == 39 || (four >= 3000 && four <= 3059)))
        return "diners";
    if (count >= 16 && two == 62)
        return "unionpay";
    if (count >= LEAST && (two == 50 || (two >= 56 && two <= 69)))
        return "maestro";
    return NULL;
}

void find_cards(struct scan *scan)
{
    for (size_t start = 0; start < scan->text.length; start++) {
        if (!is_digit(byte_at(scan, start)) || word_before(scan, start))
            continue;
        unsigned char digits[MOST];
        size_t ends[MOST];
        int count = 0;
        size_t at = start;
        while (count < MOST && is_digit(byte_at(scan, at))) {
            digits[count] = byte_at(scan, at);
            ends[count++] = ++at;
            size_t next = at + separator(scan, at);
            if (is_digit(byte_at(scan, next)))
                at = next;
        }
        /* What follows may be the month of its expiry: the longest one that is a card. */
        for (; count >= LEAST; count--) {
            const char *name = scheme(digits, count);
            size_t end = ends[count - 1];
            if (name != NULL && !word_at(scan, end) && has_luhn(digits, count) && found(scan, CARD, name, start, end))
                break;
        }
    }
}
