/* SPDX-License-Identifier: MIT
 *
 * synthetic_text.c: tasks of text, from one alphabet into another: dates in many forms as ISO 8601, letters
 * backwards, number words as digits. */
#include <stdio.h>
#include <string.h>

#include "io/synthetic_parts.h"

static size_t encode(const char *text, const char *alphabet, int64_t *ids) {
    size_t n = 0;
    for (; text[n] && n < SYNTHETIC_STEPS; n++) ids[n] = strchr(alphabet, text[n]) - alphabet;
    return n;
}

static void put(SyntheticSequence *out, const char *input, const char *alphabet, const char *target,
                const char *target_alphabet) {
    out->length = encode(input, alphabet, out->ids);
    out->targets = encode(target, target_alphabet, out->classes);
}

/* ---- dates ------------------------------------------------------------------------------------------- */

static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};
static const char *const weekdays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

enum { FIRST_YEAR = 1900, YEARS = 200 };

static bool leap(size_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static size_t days_in(size_t year, size_t month) {
    static const size_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && leap(year));
}

/* 1 January 1900 was a Monday. */
static size_t weekday(size_t year, size_t month, size_t day) {
    size_t days = day;
    for (size_t y = FIRST_YEAR; y < year; y++) days += leap(y) ? 366 : 365;
    for (size_t m = 1; m < month; m++) days += days_in(year, m);
    return days % 7;
}

static const char *ordinal(size_t day) {
    if (day / 10 == 1) return "th";
    return day % 10 == 1 ? "st" : day % 10 == 2 ? "nd" : day % 10 == 3 ? "rd" : "th";
}

typedef struct Date {
    size_t year, month, day;
} Date;

/* As in strftime: Y year, B and b month, m its number, d day, A and a weekday; also n and e, the numbers without a 0 in
 * front, and o, "st" or "th" behind a day. D.M.Y has the day first, M/D/Y the month: a form has one meaning. */
static const char *const date_forms[] = {
    "%e%o of %B %Y", "%B %e, %Y", "%B %e%o, %Y", "%e %B %Y",  "%A, %e %B %Y", "%A, %B %e, %Y",
    "%a %b %e %Y",   "%b %e, %Y", "%e-%b-%Y",    "%e. %B %Y", "%e.%n.%Y",     "%d.%m.%Y",
    "%n/%e/%Y",      "%m/%d/%Y",  "%Y %B %e",    "%Y/%m/%d",  "%Y%m%d",
};

static int print_part(char part, Date d, char *out, size_t room) {
    const char *month = months[d.month - 1], *name = weekdays[weekday(d.year, d.month, d.day)];
    switch (part) {
    case 'Y':
        return snprintf(out, room, "%zu", d.year);
    case 'B':
    case 'b':
        return snprintf(out, room, "%.*s", part == 'b' ? 3 : 9, month);
    case 'A':
    case 'a':
        return snprintf(out, room, "%.*s", part == 'a' ? 3 : 9, name);
    case 'm':
    case 'n':
        return snprintf(out, room, "%0*zu", part == 'm' ? 2 : 1, d.month);
    case 'o':
        return snprintf(out, room, "%s", ordinal(d.day));
    default:
        return snprintf(out, room, "%0*zu", part == 'd' ? 2 : 1, d.day);
    }
}

static void print_date(const char *form, Date d, char *out, size_t room) {
    size_t used = 0;
    for (; *form && used + 1 < room; form++) {
        if (*form == '%') used += (size_t)print_part(*++form, d, out + used, room - used);
        else out[used++] = *form;
    }
    out[used < room ? used : room - 1] = '\0';
}

void synthetic_date(Dice *dice, SyntheticSequence *out) {
    char input[SYNTHETIC_STEPS], target[SYNTHETIC_STEPS];
    Date d = {FIRST_YEAR + dice_below(dice, YEARS), 1 + dice_below(dice, 12), 0};
    d.day = 1 + dice_below(dice, days_in(d.year, d.month));
    print_date(date_forms[dice_below(dice, sizeof date_forms / sizeof *date_forms)], d, input, sizeof input);
    snprintf(target, sizeof target, "%zu-%02zu-%02zu", d.year, d.month, d.day);
    put(out, input, DATE_CHARACTERS, target, DATE_TARGET_CHARACTERS);
}

/* ---- letters ----------------------------------------------------------------------------------------- */

enum { SHORTEST_TEXT = 2, LONGEST_TEXT = 16 };

void synthetic_reverse(Dice *dice, SyntheticSequence *out) {
    out->length = out->targets = SHORTEST_TEXT + dice_below(dice, LONGEST_TEXT - SHORTEST_TEXT + 1);
    for (size_t t = 0; t < out->length; t++) {
        out->ids[t] = (int64_t)dice_below(dice, sizeof LETTERS - 1);
        out->classes[out->length - 1 - t] = out->ids[t];
    }
}

/* ---- numbers ----------------------------------------------------------------------------------------- */

enum { MOST_DIGITS = 6 };

static void add_words(char *text, size_t room, const char *separator, const char *word) {
    size_t used = strlen(text);
    snprintf(text + used, room - used, "%s%s", used ? separator : "", word);
}

/* 1 to 999 behind what is there. */
static void add_hundreds(char *text, size_t room, size_t n) {
    static const char *const small[] = {
        "zero", "one",    "two",    "three",    "four",     "five",    "six",     "seven",     "eight",    "nine",
        "ten",  "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
    static const char *const tens[] = {"",      "",      "twenty",  "thirty", "forty",
                                       "fifty", "sixty", "seventy", "eighty", "ninety"};
    if (n >= 100) {
        add_words(text, room, " ", small[n / 100]);
        add_words(text, room, " ", "hundred");
    }
    size_t rest = n % 100;
    if (rest >= 20) add_words(text, room, " ", tens[rest / 10]);
    if (rest >= 20 && rest % 10) add_words(text, room, "-", small[rest % 10]);
    if (rest > 0 && rest < 20) add_words(text, room, " ", small[rest]);
}

/* As many numbers of each length as there are. */
void synthetic_number(Dice *dice, SyntheticSequence *out) {
    char input[SYNTHETIC_STEPS] = "", target[SYNTHETIC_STEPS];
    size_t digits = 1 + dice_below(dice, MOST_DIGITS), least = 1;
    while (--digits) least *= 10;
    size_t n = least == 1 ? dice_below(dice, 10) : least + dice_below(dice, 9 * least);
    if (n >= 1000) {
        add_hundreds(input, sizeof input, n / 1000);
        add_words(input, sizeof input, " ", "thousand");
    }
    if (n % 1000) add_hundreds(input, sizeof input, n % 1000);
    if (n == 0) add_words(input, sizeof input, "", "zero");
    snprintf(target, sizeof target, "%zu", n);
    put(out, input, NUMBER_CHARACTERS, target, DIGITS);
}
