/* Numbers of persons that have a form or a check digit of their own: US social security, Spanish DNI and NIE, Brazilian CPF. */
#include "scan.h"

/* Whether the bytes have the form of `shape`, where 9 stands for any digit and A for any letter. */
static bool has_shape(const struct scan *scan, size_t start, const char *shape)
{
    for (; *shape != 0; shape++, start++) {
        unsigned char c = byte_at(scan, start);
        if (*shape == '9' ? !is_digit(c) : *shape == 'A' ? !is_letter(c) : c != (unsigned char)*shape)
            return false;
    }
    return true;
}

static int number(const struct scan *scan, size_t start, int digits)
{
    int number = 0;
    for (int i = 0; i < digits; i++)
        number = number * 10 + byte_at(scan, start + (size_t)i) - '0';
    return number;
}

static bool is_ssn(const struct scan *scan, size_t start)
{
    if (!has_shape(scan, start, "999-99-9999"))
        return false;
    int area = number(scan, start, 3);
    return area != 0 && area != 666 && area < 900 && number(scan, start + 4, 2) != 0 && number(scan, start + 7, 4) != 0;
}

/* The length of a DNI (`12345678Z`) or NIE (`X1234567L`) at a place, 0 if there is none. */
static size_t dni(const struct scan *scan, size_t start)
{
    static const char letters[] = "TRWAGMYFPDXBNJZSQVHLCKE";
    int digits;
    unsigned char first = lower(byte_at(scan, start));
    if (has_shape(scan, start, "99999999"))
        digits = number(scan, start, 8);
    else if (first >= 'x' && first <= 'z' && has_shape(scan, start + 1, "9999999"))
        digits = (first - 'x') * 10000000 + number(scan, start + 1, 7);
    else
        return 0;
    size_t length = byte_at(scan, start + 8) == '-' ? 9 : 8;
    return lower(byte_at(scan, start + length)) == lower((unsigned char)letters[digits % 23]) ? length + 1 : 0;
}

static bool is_cpf(const struct scan *scan, size_t start)
{
    if (!has_shape(scan, start, "999.999.999-99"))
        return false;
    static const size_t places[] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13};
    int digits[11], same = 0;
    for (int i = 0; i < 11; i++) {
        digits[i] = byte_at(scan, start + places[i]) - '0';
        same += digits[i] == digits[0];
    }
    for (int check = 9; check < 11; check++) {
        int sum = 0;
        for (int i = 0; i < check; i++)
            sum += digits[i] * (check + 1 - i);
        if (sum * 10 % 11 % 10 != digits[check])
            return false;
    }
    return same < 11;
}

void find_national_ids(struct scan *scan)
{
    for (size_t start = 0; start < scan->text.length; start++) {
        if (!is_alnum(byte_at(scan, start)) || word_before(scan, start))
            continue;
        const char *what = "dni";
        size_t length = dni(scan, start);
        if (length == 0 && is_ssn(scan, start)) {
            what = "ssn";
            length = 11;
        } else if (length == 0 && is_cpf(scan, start)) {
            what = "cpf";
            length = 14;
        }
        if (length > 0 && !word_at(scan, start + length))
            found(scan, NATIONAL_ID, what, start, start + length);
    }
}
