/* SPDX-License-Identifier: MIT
 *
 * suggest.c: Damerau-Levenshtein distance (optimal string alignment) over short words; words beyond 63
 * bytes are near to nothing. */
#include "trainer/suggest.h"

#include <string.h>

enum { FAR = 3, LONGEST = 63 };

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}
static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

size_t edit_distance(const char *a, const char *b) {
    size_t m = strlen(a), n = strlen(b);
    if (m > LONGEST || n > LONGEST || m > n + 2 || n > m + 2) return FAR;
    size_t row[3][LONGEST + 1]; /* rows i - 2, i - 1 and i of the table, in turn */
    for (size_t j = 0; j <= n; j++) row[0][j] = j;
    for (size_t i = 1; i <= m; i++) {
        size_t *now = row[i % 3], *above = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= n; j++) {
            char x = lower(a[i - 1]), y = lower(b[j - 1]);
            now[j] = least(least(above[j], now[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return row[m % 3][n];
}

Suggestion suggestion_for(const char *word) {
    return (Suggestion){.word = word, .best = NULL, .distance = FAR};
}

void suggestion_offer(Suggestion *suggestion, const char *candidate) {
    size_t distance = edit_distance(suggestion->word, candidate);
    /* A word that shares no letter with the candidate's length is no typing mistake. */
    if (distance >= suggestion->distance || distance >= strlen(candidate) || distance >= strlen(suggestion->word))
        return;
    suggestion->best = candidate;
    suggestion->distance = distance;
}
