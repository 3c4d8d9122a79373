/* SPDX-License-Identifier: MIT
 *
 * test_synthetic.c: the answers of synthetic tasks are right, seeds differ, and any data written as sequences
 * read back as what they were: made data with the same digest. */
#include "data_files.h"

#include <math.h>

#include "io/sequences_write.h"
#include "io/synthetic.h"

static DataConfig made(const char *task, size_t sequences, uint64_t seed) {
    int index = synthetic_task(task);
    return (DataConfig){.kind = DATA_SYNTHETIC,
                        .decoder = index >= 0 && synthetic_tasks[index].alphabet,
                        .synthetic = {.task = synthetic_task(task), .sequences = sequences, .seed = seed}};
}

static void answers_of_classes(void **state) {
    (void)state;
    int32_t in[32], out[32];
    Data *data = open_data(made("copy", 50, 3));
    for (size_t i = 0; i < 50; i++) {
        data_read(data, SPLIT_ALL, i, in, NULL, out, NULL);
        for (size_t t = 0; t < 20; t++) assert_int_equal(out[t], t < 3 ? 0 : in[t - 3]);
    }
    data_close(&data);
    data = open_data(made("reverse", 50, 3));
    for (size_t i = 0; i < 50; i++) {
        data_read(data, SPLIT_ALL, i, in, NULL, out, NULL);
        for (size_t t = 0; t < 6; t++) {
            assert_in_range(in[t], 1, 8);
            assert_int_equal(in[6 + t], 0);
            assert_int_equal(out[t], 0);
            assert_int_equal(out[6 + t], in[5 - t]);
        }
    }
    data_close(&data);
    data = open_data(made("parity", 50, 3));
    for (size_t i = 0; i < 50; i++) {
        data_read(data, SPLIT_ALL, i, in, NULL, out, NULL);
        for (size_t t = 0, ones = 0; t < 16; t++) {
            ones += (size_t)in[t];
            assert_int_equal(out[t], ones % 2);
        }
    }
    data_close(&data);
}

static void majority(void **state) {
    (void)state;
    size_t seen[5] = {0}, shortest = 99, longest = 0;
    Data *data = open_data(made("majority", 1000, 3));
    assert_true(data_info(data)->ragged && !data_info(data)->target_per_step);
    assert_int_equal(data_info(data)->vocabulary, 10);
    assert_int_equal(data_info(data)->classes, 5);
    for (size_t i = 0; i < 1000; i++) {
        int32_t in[32], class;
        size_t count[5] = {0}, length = data_length(data, SPLIT_ALL, i);
        data_read(data, SPLIT_ALL, i, in, NULL, &class, NULL);
        for (size_t t = 0; t < length; t++) count[in[t] % 5]++;
        for (size_t g = 0; g < 5; g++)
            assert_true(count[class] > count[g] || (count[class] == count[g] && class <= (int32_t)g));
        seen[class]++;
        if (length < shortest) shortest = length;
        if (length > longest) longest = length;
    }
    for (size_t g = 0; g < 5; g++) assert_in_range(seen[g], 120, 300);
    assert_int_equal(shortest, 5);
    assert_int_equal(longest, 25);
    data_close(&data);
}

static void answers_of_values(void **state) {
    (void)state;
    float x[64], value;
    Data *data = open_data(made("adding", 50, 3));
    assert_int_equal(data_info(data)->features, 2);
    for (size_t i = 0; i < 50; i++) {
        double sum = 0, marks = 0;
        data_read(data, SPLIT_ALL, i, NULL, x, NULL, &value);
        for (size_t t = 0; t < 20; t++) {
            sum += (double)(x[2 * t] * x[2 * t + 1]);
            marks += (double)x[2 * t + 1];
        }
        assert_true(fabs(sum - (double)value) < 1e-6 && marks == 2);
    }
    data_close(&data);
    data = open_data(made("sine", 50, 3));
    for (size_t i = 0; i < 50; i++) {
        data_read(data, SPLIT_ALL, i, NULL, x, NULL, &value);
        /* sin(a + b) + sin(a - b) = 2 sin(a) cos(b), with b taken from the first three. */
        double twice = (double)(x[0] + x[2]) / (double)x[1];
        if (fabs((double)x[1]) > 0.1) assert_true(fabs(twice * (double)x[23] - (double)x[22] - (double)value) < 1e-4);
    }
    data_close(&data);
}

static void same_digest(Data *one, Data *two, bool same) {
    bool equal = memcmp(data_info(one)->digest, data_info(two)->digest, sizeof data_info(one)->digest) == 0;
    assert_true(equal == same);
}

static void seeds(void **state) {
    (void)state;
    for (int task = 0; task < SYNTHETIC_TASKS; task++) {
        const char *name = synthetic_tasks[task].name;
        Data *one = open_data(made(name, 40, 1)), *again = open_data(made(name, 40, 1)),
             *other = open_data(made(name, 40, 2));
        same_digest(one, again, true);
        same_digest(one, other, false);
        /* More of them begin with the same ones. */
        Data *more = open_data(made(name, 60, 1));
        float x[2][64] = {{0}}, value[2] = {0};
        int32_t ids[2][SYNTHETIC_STEPS] = {{0}}, class[2][SYNTHETIC_STEPS] = {{0}};
        data_read(one, SPLIT_ALL, 39, ids[0], x[0], class[0], &value[0]);
        data_read(more, SPLIT_ALL, 39, ids[1], x[1], class[1], &value[1]);
        assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
        assert_memory_equal(x[0], x[1], sizeof x[0]);
        assert_memory_equal(class[0], class[1], sizeof class[0]);
        assert_memory_equal(&value[0], &value[1], sizeof value[0]);
        data_close(&more);
        data_close(&other);
        data_close(&again);
        data_close(&one);
    }
}

static DataConfig written(const char *path) {
    static const char *held;
    held = path;
    return (DataConfig){.kind = DATA_SEQUENCES, .path = &held, .paths = 1};
}

static void same_vocabulary(const Vocabulary *one, const Vocabulary *two) {
    assert_true(one && two);
    assert_int_equal(one->size, two->size);
    for (size_t i = 0; i < one->size; i++) assert_string_equal(one->token[i], two->token[i]);
}

/* Every sequence, and all that the model is told, apart from the vocabularies' texts. */
static void same_content(const Data *one, const Data *two) {
    const DataInfo *a = data_info(one), *b = data_info(two);
    assert_true(a->ids == b->ids && a->features == b->features && a->vocabulary == b->vocabulary &&
                a->target == b->target);
    assert_true(a->target_per_step == b->target_per_step && a->classes == b->classes && a->longest == b->longest);
    assert_int_equal(a->target_vocabulary, b->target_vocabulary);
    assert_int_equal(a->longest_target, b->longest_target);
    assert_int_equal(data_sequences(one, SPLIT_ALL), data_sequences(two, SPLIT_ALL));
    for (size_t i = 0; i < data_sequences(one, SPLIT_ALL); i++) {
        int32_t ids[2][SYNTHETIC_STEPS] = {{0}}, class[2][SYNTHETIC_STEPS] = {{0}};
        float x[2][128] = {{0}}, value[2][64] = {{0}};
        assert_int_equal(data_length(one, SPLIT_ALL, i), data_length(two, SPLIT_ALL, i));
        assert_int_equal(data_target_length(one, SPLIT_ALL, i), data_target_length(two, SPLIT_ALL, i));
        data_read(one, SPLIT_ALL, i, ids[0], x[0], class[0], value[0]);
        data_read(two, SPLIT_ALL, i, ids[1], x[1], class[1], value[1]);
        assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
        assert_memory_equal(class[0], class[1], sizeof class[0]);
        assert_memory_equal(x[0], x[1], sizeof x[0]);
        assert_memory_equal(value[0], value[1], sizeof value[0]);
    }
}

static void write_and_read(DataConfig config, bool digest) {
    Data *data = open_data(config);
    Status status = sequences_write("out.h5", data);
    if (status != OK) fail_msg("%s", status_message());
    DataConfig read = written("out.h5");
    read.decoder = config.decoder;
    Data *back = open_data(read);
    same_content(data, back);
    if (config.decoder) same_vocabulary(data_target_vocabulary(data), data_target_vocabulary(back));
    if (digest) same_digest(data, back, true);
    data_close(&back);
    data_close(&data);
}

static void round_trips(void **state) {
    (void)state;
    for (int task = 0; task < SYNTHETIC_TASKS; task++) write_and_read(made(synthetic_tasks[task].name, 300, 5), true);
    write_text("pairs.tsv", "hello\tohlol\nab\tcd\nh\xc3\xa9\t\xc3\xa9h\n");
    static const char *const pairs[] = {"pairs.tsv"}, *const table[] = {"table.csv"}, *const a[] = {"a", "b"},
                             *const c[] = {"c"};
    write_and_read((DataConfig){.kind = DATA_PAIRS, .path = pairs, .paths = 1, .tokenizer = TOKENIZER_CHAR}, false);
    write_and_read((DataConfig){.kind = DATA_PAIRS, .path = pairs, .paths = 1, .tokenizer = TOKENIZER_BYTE}, false);
    write_text("ragged.tsv", "hello\tbye\nab\tlonger\nh\xc3\xa9\t\xc3\xa9\n");
    static const char *const ragged[] = {"ragged.tsv"};
    DataConfig decoded = {.kind = DATA_PAIRS, .path = ragged, .paths = 1, .tokenizer = TOKENIZER_CHAR, .decoder = true};
    write_and_read(decoded, true);
    write_text("table.csv", "a,b,c\n1,2,x\n3,4,y\n5,6,x\n7,8.5,y\n9,10,z\n11,12,x\n");
    DataConfig series = {
        .kind = DATA_CSV,
        .path = table,
        .paths = 1,
        .series = {.feature = a, .features = 2, .target = a, .targets = 2, .lookback = 2, .horizon = 2, .stride = 1}};
    write_and_read(series, false);
    series.series.target = c;
    series.series.targets = series.series.horizon = 1;
    series.series.classes = true;
    write_and_read(series, false);
}

static void text_of(const Data *data, size_t i, char *in, char *out) {
    int32_t ids[SYNTHETIC_STEPS], classes[SYNTHETIC_STEPS];
    size_t length = data_length(data, SPLIT_ALL, i), targets = data_target_length(data, SPLIT_ALL, i), bytes;
    data_read(data, SPLIT_ALL, i, ids, NULL, classes, NULL);
    for (size_t t = 0; t < length; t++) in[t] = vocabulary_token(data_vocabulary(data), ids[t], &bytes)[0];
    for (size_t t = 0; t + 1 < targets; t++)
        out[t] = vocabulary_token(data_target_vocabulary(data), classes[t], &bytes)[0];
    in[length] = out[targets - 1] = '\0';
    assert_int_equal(classes[targets - 1], data_info(data)->target_vocabulary);
}

static long number_of(const char *text) {
    static const char *const words[] = {
        "zero",   "one",    "two",    "three",    "four",     "five",    "six",     "seven",     "eight",    "nine",
        "ten",    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
        "twenty", "thirty", "forty",  "fifty",    "sixty",    "seventy", "eighty",  "ninety"};
    char copy[SYNTHETIC_STEPS];
    long total = 0, part = 0;
    strcpy(copy, text);
    for (char *word = strtok(copy, " -"); word; word = strtok(NULL, " -")) {
        size_t i = 0;
        while (i < 28 && strcmp(words[i], word) != 0) i++;
        if (i < 28) part += i < 20 ? (long)i : 10 * (long)(i - 18);
        else if (strcmp(word, "hundred") == 0) part *= 100;
        else if (strcmp(word, "thousand") == 0) total = 1000 * part, part = 0;
        else fail_msg("'%s' is no word of a number", word);
    }
    return total + part;
}

static void answers_of_text(void **state) {
    (void)state;
    char in[SYNTHETIC_STEPS + 1], out[SYNTHETIC_STEPS + 1];
    Data *data = open_data(made("number_words", 3000, 3));
    assert_true(data_info(data)->ragged);
    for (size_t i = 0; i < 3000; i++) {
        text_of(data, i, in, out);
        assert_int_equal(number_of(in), atol(out));
        assert_true(out[0] != '0' || !out[1]);
    }
    data_close(&data);
    data = open_data(made("reverse_text", 300, 3));
    for (size_t i = 0; i < 300; i++) {
        text_of(data, i, in, out);
        assert_int_equal(strlen(in), strlen(out));
        for (size_t t = 0; in[t]; t++) assert_int_equal(in[t], out[strlen(in) - 1 - t]);
    }
    data_close(&data);
}

/* What a date says by its numbers and names, without regard to the form. */
static void dates(void **state) {
    (void)state;
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    char in[SYNTHETIC_STEPS + 1], out[SYNTHETIC_STEPS + 1];
    size_t named = 0, weekdays = 0;
    Data *data = open_data(made("dates", 3000, 3));
    for (size_t i = 0; i < 3000; i++) {
        text_of(data, i, in, out);
        int y, m, d, number[3] = {0}, numbers = 0;
        assert_int_equal(sscanf(out, "%d-%d-%d", &y, &m, &d), 3);
        assert_int_equal(strlen(out), 10);
        for (size_t k = 0; k < 12; k++) {
            if (!strstr(in, months[k])) continue;
            assert_int_equal(k + 1, m);
            named++;
        }
        for (size_t k = 0; k < 7; k++) {
            if (!strstr(in, days[k])) continue;
            /* Zeller's congruence, Monday = 0. */
            int q = m < 3 ? m + 12 : m, c = (m < 3 ? y - 1 : y);
            int h = (d + 13 * (q + 1) / 5 + c % 100 + c % 100 / 4 + c / 100 / 4 + 5 * (c / 100)) % 7;
            assert_int_equal((h + 5) % 7, k);
            weekdays++;
        }
        for (char *at = in; *at && numbers < 3;) {
            if (*at < '0' || *at > '9') at++;
            else number[numbers++] = (int)strtol(at, &at, 10);
        }
        if (numbers == 1) assert_int_equal(number[0], 10000 * y + 100 * m + d);
        else if (numbers == 2) assert_true((number[0] == d && number[1] == y) || (number[0] == y && number[1] == d));
        else if (number[0] == y) assert_true(number[1] == m && number[2] == d);
        else if (strchr(in, '/')) assert_true(number[0] == m && number[1] == d && number[2] == y);
        else assert_true(number[0] == d && number[1] == m && number[2] == y);
    }
    assert_in_range(named, 1500, 2500);
    assert_in_range(weekdays, 300, 900);
    data_close(&data);
}

static void no_input_twice(void **state) {
    (void)state;
    enum { MANY = 4000 };
    static char text[MANY][SYNTHETIC_STEPS + 1];
    for (int task = 0; task < SYNTHETIC_TASKS; task++) {
        if (!synthetic_tasks[task].alphabet) continue;
        char out[SYNTHETIC_STEPS + 1];
        Data *data = open_data(made(synthetic_tasks[task].name, MANY, 1));
        for (size_t i = 0; i < MANY; i++) text_of(data, i, text[i], out);
        qsort(text, MANY, sizeof text[0], (int (*)(const void *, const void *))strcmp);
        for (size_t i = 1; i < MANY; i++) assert_string_not_equal(text[i - 1], text[i]);
        data_close(&data);
    }
}

static void refusals(void **state) {
    (void)state;
    open_fails((DataConfig){.kind = DATA_SYNTHETIC, .synthetic = {.task = -1, .sequences = 1}}, ERR_USAGE,
               LIST("data.task"));
    open_fails(made("copy", SIZE_MAX, 1), ERR_USAGE, LIST("data.sequences", "overflow"));
    DataConfig config = made("dates", 3, 1);
    config.decoder = false;
    open_fails(config, ERR_USAGE, LIST("data.task: dates", "needs a model with an encoder and a decoder"));
    config = made("majority", 3, 1);
    config.decoder = true;
    open_fails(config, ERR_USAGE, LIST("data.task: majority", "one target for a whole sequence"));
    Data *data = open_data(made("copy", 3, 1));
    assert_int_equal(sequences_write("none/out.h5", data), ERR_WRITE);
    assert_non_null(strstr(status_message(), "none/out.h5"));
    data_close(&data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_classes), cmocka_unit_test(majority),
        cmocka_unit_test(answers_of_values),  cmocka_unit_test(seeds),
        cmocka_unit_test(answers_of_text),    cmocka_unit_test(dates),
        cmocka_unit_test(no_input_twice),     cmocka_unit_test(round_trips),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
