/* Phone numbers as people write them.
 *
 * With `+` or `00` they are known by that. Without, nine to twelve digits are one if they begin with an area code in
 * brackets, with a trunk 0, or if they are written in groups of two to four digits with the same sign between them.
 * Nine digits and more without any sign are none: orders and customers are numbered so. */
#include "scan.h"

/* E.164 */
#define LEAST 8
#define MOST 15

/* Groups of digits. */
#define GROUPS 10

struct number {
    int digits;
    /* The first three. */
    unsigned char begin[3];
    int groups;
    int sizes[GROUPS];
    size_t ends[GROUPS];
    /* Whether all signs between groups are the same one. */
    bool is_even;
    bool has_zeros;
    /* Whether there are more digits than a number has. */
    bool is_cut;
};

/* The bytes of the sign that may stand between groups at a place; 0 if there is none. */
static size_t sign(const struct scan *scan, size_t at)
{
    unsigned char c = byte_at(scan, at);
    return c == '/' || c == '(' || c == ')' ? 1 : separator(scan, at);
}

/* Reads groups of digits from a place on, as many as a number may have. */
static void read(const struct scan *scan, size_t at, struct number *number)
{
    unsigned char first_sign = 0;
    int zeros = 0;
    *number = (struct number){.is_even = true};
    while (number->groups < GROUPS) {
        int size = 0;
        while (is_digit(byte_at(scan, at)) && size <= MOST) {
            if (number->digits + size < 3)
                number->begin[number->digits + size] = byte_at(scan, at);
            zeros = byte_at(scan, at) == '0' ? zeros + 1 : 0;
            number->has_zeros = number->has_zeros || zeros >= 6;
            at++;
            size++;
        }
        if (number->digits + size > MOST)
            number->is_cut = true;
        if (size == 0 || number->is_cut)
            return;
        /* `5pm` is no part of a number. */
        if (word_at(scan, at))
            return;
        number->digits += size;
        number->sizes[number->groups] = size;
        number->ends[number->groups++] = at;
        /* Two signs in a row are a bracket and a space. */
        size_t next = at + sign(scan, at);
        unsigned char first = byte_at(scan, at), second = byte_at(scan, next);
        bool has_brackets = first == ')' || second == '(';
        if (has_brackets)
            next += sign(scan, next);
        if (next == at || !is_digit(byte_at(scan, next)))
            return;
        first_sign = first_sign == 0 ? first : first_sign;
        number->is_even = number->is_even && first == first_sign && !has_brackets;
        at = next;
    }
}

static bool is_grouped(const struct number *number)
{
    for (int i = 0; i < number->groups; i++)
        if (number->sizes[i] < 2 || number->sizes[i] > 4)
            return false;
    return number->groups >= 3 && number->is_even && number->digits <= 11 && !number->has_zeros;
}

static bool is_national(const struct number *number, bool in_brackets)
{
    if (number->digits < 9 || number->digits > 12 || number->is_cut)
        return false;
    if (in_brackets)
        return number->groups >= 2 && number->sizes[0] <= 5;
    /* `05/03/2026 10:30` */
    if (number->groups >= 3 && number->sizes[0] == 2 && number->sizes[1] == 2 && number->sizes[2] == 4)
        return false;
    if (number->begin[0] == '0')
        return number->begin[1] != '0';
    return is_grouped(number);
}

void find_phones(struct scan *scan)
{
    for (size_t start = 0; start < scan->text.length; start++) {
        unsigned char c = byte_at(scan, start), before = byte_before(scan, start);
        if (scan->taken[start] || word_before(scan, start) || before == '+' || !(c == '+' || c == '(' || is_digit(c)))
            continue;
        bool in_brackets = c == '(';
        bool is_abroad = c == '+';
        size_t at = is_digit(c) ? start : start + 1;
        if (is_abroad && byte_at(scan, at) == '(')
            at++;
        struct number number;
        read(scan, at, &number);
        if (number.groups == 0)
            continue;
        bool has_prefix = is_abroad || (is_digit(c) && number.begin[0] == '0' && number.begin[1] == '0' && number.begin[2] != '0');
        size_t end = number.ends[number.groups - 1];
        /* Amounts, dates, versions and the like touch signs of their own. */
        bool is_bare = before != '.' && before != ',' && before != '-' && before != '/' && before != '#' && before != '$';
        /* The zeros of `00` are none of the number's: `00123456` is one of an invoice. */
        int own = number.digits - (is_abroad ? 0 : 2);
        if (has_prefix ? own >= LEAST && !(is_abroad && number.begin[0] == '0')
                       : is_bare && is_national(&number, in_brackets)) {
            if (found(scan, PHONE, has_prefix ? "international" : "national", start, end))
                start = end - 1;
        } else if (is_digit(c)) {
            /* The next group may begin a number; the rest of this one does not. */
            start = number.ends[0] - 1;
        }
    }
}
