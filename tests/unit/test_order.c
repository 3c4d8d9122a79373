/* SPDX-License-Identifier: MIT
 *
 * test_order.c: the batches of an epoch hold every sequence once, with buckets of similar length, and follow
 * from seed, epoch and index alone, in whatever order they are asked for. */
#include "data_files.h"
#include "io/synthetic.h"
#include "trainer/order.h"

static Data *numbers(size_t count) {
    return open_data(
        (DataConfig){.kind = DATA_SYNTHETIC,
                     .decoder = true,
                     .synthetic = {.task = synthetic_task("number_words"), .sequences = count, .seed = 1}});
}

static Order *order_of(const Data *data, OrderConfig config) {
    Order *order = NULL;
    Status status = order_create(data, SPLIT_ALL, config, &order);
    if (status != OK) fail_msg("%s", status_message());
    return order;
}

/* All sequences of an epoch in order; returns the sum over batches of longest times size. */
static size_t epoch_of(const Data *data, Order *order, uint64_t epoch, size_t *out) {
    size_t n = 0, padded = 0;
    for (size_t b = 0; b < order_batches(order); b++) {
        size_t batch, count = order_batch(order, epoch, b, &batch), longest = 0;
        for (size_t i = 0; i < count; i++) {
            out[n++] = order_pick(order, batch, i);
            size_t length = data_length(data, SPLIT_ALL, out[n - 1]);
            if (length > longest) longest = length;
        }
        padded += longest * count;
    }
    assert_int_equal(n, data_sequences(data, SPLIT_ALL));
    return padded;
}

static void all_once(const size_t *sequence, size_t count) {
    unsigned char *seen = calloc(count, 1);
    for (size_t i = 0; i < count; i++) {
        assert_in_range(sequence[i], 0, count - 1);
        assert_int_equal(seen[sequence[i]]++, 0);
    }
    free(seen);
}

enum { COUNT = 3001, BATCH = 16 };
static size_t one[COUNT], two[COUNT];

static void every_sequence_once(void **state) {
    (void)state;
    Data *data = numbers(COUNT);
    for (int form = 0; form < 4; form++) {
        OrderConfig config = {.batch_size = BATCH, .shuffle = form & 1, .bucket = form & 2, .seed = 5};
        Order *order = order_of(data, config), *other = order_of(data, config);
        assert_int_equal(order_batches(order), COUNT / BATCH + 1);
        epoch_of(data, order, 0, one);
        all_once(one, COUNT);
        if (form == 0)
            for (size_t i = 0; i < COUNT; i++) assert_int_equal(one[i], i);
        epoch_of(data, order, 1, two);
        all_once(two, COUNT);
        assert_true((memcmp(one, two, sizeof one) != 0) == config.shuffle);
        /* A resumed run asks for the middle of an epoch first. */
        for (size_t b = order_batches(order); b-- > 0;) {
            size_t mine, its, count = order_batch(order, 1, b, &mine);
            assert_int_equal(order_batch(other, 1, b, &its), count);
            for (size_t i = 0; i < count; i++) assert_int_equal(order_pick(order, mine, i), order_pick(other, its, i));
        }
        config.seed = 6;
        Order *seeded = order_of(data, config);
        epoch_of(data, seeded, 1, one);
        assert_true((memcmp(one, two, sizeof one) != 0) == config.shuffle);
        order_destroy(&seeded);
        order_destroy(&other);
        order_destroy(&order);
    }
    data_close(&data);
}

static void buckets_are_of_similar_length(void **state) {
    (void)state;
    Data *data = numbers(COUNT);
    size_t real = 0;
    for (size_t i = 0; i < COUNT; i++) real += data_length(data, SPLIT_ALL, i);
    Order *plain = order_of(data, (OrderConfig){.batch_size = BATCH, .shuffle = true, .seed = 5});
    Order *bucket = order_of(data, (OrderConfig){.batch_size = BATCH, .shuffle = true, .bucket = true, .seed = 5});
    assert_true(10 * epoch_of(data, plain, 0, one) > 12 * real);
    assert_true(100 * epoch_of(data, bucket, 0, one) < 106 * real);
    order_destroy(&bucket);
    order_destroy(&plain);
    data_close(&data);
}

static void small_data(void **state) {
    (void)state;
    for (size_t count = 1; count < 40; count++) {
        Data *data = numbers(count);
        for (size_t size = 1; size < 50; size += 7) {
            Order *order = order_of(data, (OrderConfig){.batch_size = size, .shuffle = true, .bucket = true});
            epoch_of(data, order, 3, one);
            all_once(one, count);
            order_destroy(&order);
        }
        data_close(&data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_sequence_once),
                                       cmocka_unit_test(buckets_are_of_similar_length), cmocka_unit_test(small_data)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
