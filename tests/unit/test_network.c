/* SPDX-License-Identifier: MIT
 *
 * test_network.c: networks by name and rate, and the forecast against sums made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "trainer/network.h"

static void near(double value, double wanted) {
    if (!(fabs(value - wanted) <= 1e-9 * fabs(wanted))) fail_msg("%.12g instead of %.12g", value, wanted);
}

/* The payload of Ethernet. */
#define TCP (1448.0 / 1538.0)

static void test_names(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double rate, latency;
    } good[] = {{"1GbE", 125e6 * TCP, 50e-6},          {"25GbE,2us", 3.125e9 * TCP, 2e-6},
                {"100GbE", 12.5e9 * TCP, 15e-6},       {"HDR", 25e9, 1.3e-6},
                {"NDR,900ns", 50e9, 0.9e-6},           {"12.5GB/s,1.3us", 12.5e9, 1.3e-6},
                {"200Mbit/s,0.2ms", 25e6 * TCP, 2e-4}, {"1.5GiB/s,0us", 1610612736.0, 0}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        Network n;
        assert_int_equal(network_parse(good[i].text, &n), OK);
        near(n.bytes_per_s, good[i].rate);
        near(n.latency, good[i].latency);
    }
    static const char *const bad[] = {"",         "GbE",   "25",      "25GbE,",  "25GbE,2",    "-1GbE",      "0GbE",
                                      "25GbE2us", "HDR,x", "nanGB/s", "infGB/s", "25GbE,2usx", "25GbE,-1us", "XDRR"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Network n;
        if (network_parse(bad[i], &n) != ERR_USAGE) fail_msg("'%s' was taken for a network", bad[i]);
    }
}

static void test_forecast(void **state) {
    (void)state;
    /* 8 MiB on 1 MiB/s without latency: two nodes send each other 4 MiB each way. */
    Network slow = {.bytes_per_s = 1048576, .latency = 0};
    NodeStep node = {.step = 10, .forward = 1, .backward = 3, .update = 2, .bytes = 8 * 1048576.0, .ranks = 1};
    Forecast one = network_forecast(&slow, &node, 1), two = network_forecast(&slow, &node, 2);
    near(one.step, 10);
    near(one.efficiency, 1);
    near(two.exchange, 4);
    const double agree = 256.0 / 1048576;
    near(two.step, 10 + agree - 1 + 4 + 4);
    near(two.efficiency, 10 / (17 + agree));
    node.overlap = true;
    /* Two ranks share buckets of 1 MiB, so there are 8: 3/8 s of backward until the first is ready, then 4 s of messages;
     * 1/8 s of forward after the last parameters have come. */
    near(network_forecast(&slow, &node, 2).step, 10 + agree - 1 + (3.0 / 8 + 4 - 3) + (4 + 1.0 / 8 - 1));
    node.backward = node.forward = 100; /* all but a bucket is hidden */
    near(network_forecast(&slow, &node, 2).step, 10 + agree - 1 + 4.0 / 8 + 4.0 / 8);
    node.ranks = 100; /* one bucket: nothing is */
    near(network_forecast(&slow, &node, 2).exchange * 2 + 9, network_forecast(&slow, &node, 2).step - 100 * agree);
    node.ranks = 1;
    node.overlap = false;
    /* Beyond 128 nodes an owner has one chunk of 64 KiB and as many messages as there are others. */
    near(network_forecast(&slow, &node, 1024).exchange, 1023.0 / 16);
    Network late = {.bytes_per_s = INFINITY, .latency = 0.5};
    near(network_forecast(&late, &node, 4).exchange, 3 * 2 * 0.5);
    near(network_forecast(&late, &node, 4).step, 10 - 1.5 + 2 * 3.0 + 3 * 0.5);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_forecast)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
