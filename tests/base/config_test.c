/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/own.h"

static struct config *config;
static const struct config_node *root;

static void drop_config(void)
{
    config_free(&config);
    cr_assert_null(config);
}

TestSuite(config, .fini = drop_config);

static const struct config_node *parse(const char *yaml)
{
    config_free(&config);
    struct status status = config_open_bytes("etc/x.yaml", yaml, strlen(yaml), &config);
    cr_assert(!failed(status), "%s", config_error(config));
    cr_assert_not_null(config_root(config));
    return config_root(config);
}

/* The text cannot even be read; the error begins with `error`. */
static void expect_refused(const char *yaml, const char *error)
{
    config_free(&config);
    struct status status = config_open_bytes("x.yaml", yaml, strlen(yaml), &config);
    cr_expect_eq(status.why, WHY_BAD_INPUT, "%s", yaml);
    cr_expect_null(config_root(config));
    cr_expect_eq(strncmp(config_error(config), error, strlen(error)), 0, "%s, not %s",
                 config_error(config), error);
}

static void expect_error(const char *error)
{
    cr_expect_eq(config_finish(config).why, WHY_BAD_INPUT);
    cr_expect_str_eq(config_error(config), error);
}

static void expect_fine(void)
{
    cr_expect(!failed(config_finish(config)), "%s", config_error(config));
    cr_expect_str_eq(config_error(config), "");
}

Test(config, reads_values_of_every_type)
{
    static const char *const choices[] = {"development", "production", NULL};
    root = parse("environment: production\n"
                 "data: data/vault\n"
                 "listen: {address: \"[::1]:8443\", backlog: 128}\n"
                 "limits:\n"
                 "  body: 64KiB\n"
                 "  wait: 15m\n"
                 "  strict: true\n"
                 "names: [one, 'two']\n"
                 "least: -5\n");
    cr_expect_eq(config_choice(config, root, "environment", choices, 0), 1);
    cr_expect_str_eq(config_path(config, root, "data", NULL), "etc/data/vault");
    const struct config_node *listen = config_map(config, root, "listen", true);
    cr_expect_eq(config_line(listen), 3);
    char host[64];
    uint16_t port = 0;
    config_address(config, listen, "address", NULL, host, sizeof host, &port);
    cr_expect_str_eq(host, "::1");
    cr_expect_eq(port, 8443);
    cr_expect_eq(config_int(config, listen, "backlog", 1, 1, 1000), 128);
    const struct config_node *limits = config_map(config, root, "limits", true);
    cr_expect_eq(config_size(config, limits, "body", 0, 0, 1 << 20), 65536);
    cr_expect_eq(config_duration_ms(config, limits, "wait", 0, 0, 3600000), 900000);
    cr_expect(config_bool(config, limits, "strict", false));
    const struct config_node *names = config_list(config, root, "names", true);
    cr_assert_eq(config_count(names), 2);
    cr_expect_str_eq(config_scalar(config, config_at(names, 1)), "two");
    cr_expect_eq(config_int(config, root, "least", 0, -10, 10), -5);
    expect_fine();
}

Test(config, takes_every_unit)
{
    static const struct {
        const char *text;
        int64_t value;
    } sizes[] = {{"512B", 512}, {"3KiB", 3072}, {"2MiB", 2097152}, {"1GiB", 1073741824}},
      times[] = {
          {"250ms", 250}, {"5s", 5000}, {"15m", 900000}, {"24h", 86400000}, {"90d", 7776000000}};
    char yaml[64];
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        snprintf(yaml, sizeof yaml, "v: %s\n", sizes[i].text);
        root = parse(yaml);
        cr_expect_eq(config_size(config, root, "v", 0, 0, INT64_MAX), sizes[i].value);
        expect_fine();
    }
    for (unsigned i = 0; i < sizeof times / sizeof times[0]; i++) {
        snprintf(yaml, sizeof yaml, "v: %s\n", times[i].text);
        root = parse(yaml);
        cr_expect_eq(config_duration_ms(config, root, "v", 0, 0, INT64_MAX), times[i].value);
        expect_fine();
    }
}

Test(config, gives_the_fallback_for_an_absent_key)
{
    static const char *const choices[] = {"a", "b", NULL};
    root = parse("x: {}\n");
    char host[32];
    uint16_t port = 0;
    cr_expect_str_eq(config_text(config, root, "t", "text"), "text");
    cr_expect_null(config_text_or_null(config, root, "n"));
    cr_expect_str_eq(config_path(config, root, "p", "q"), "etc/q");
    cr_expect_str_eq(config_path(config, root, "p2", "/q"), "/q");
    cr_expect_eq(config_int(config, root, "i", -1, 0, 5), -1);
    cr_expect_eq(config_size(config, root, "s", 7, 0, 5), 7);
    cr_expect(config_bool(config, root, "b", true));
    cr_expect_eq(config_choice(config, root, "c", choices, 1), 1);
    config_address(config, root, "a", "127.0.0.1:0", host, sizeof host, &port);
    cr_expect_str_eq(host, "127.0.0.1");
    cr_expect_null(config_map(config, root, "m", false));
    cr_expect_null(config_list(config, root, "l", false));
    cr_expect(!config_has(config, root, "h"));
    cr_expect(config_has(config, root, "x"));
    cr_expect_str_eq(config_text(config, NULL, "of no map", "text"), "text");
    expect_fine();
}

Test(config, says_which_required_key_is_missing)
{
    static const char *const choices[] = {"a", NULL};
    root = parse("\nmap:\n  x: 1\n");
    const struct config_node *map = config_map(config, root, "map", true);
    cr_expect_null(config_text(config, map, "port", NULL));
    config_text_or_null(config, map, "x");
    expect_error("etc/x.yaml:2: \"port\" is missing in \"map\"");

    root = parse("x: 1\n");
    cr_expect_null(config_map(config, root, "seal", true));
    expect_error("etc/x.yaml:1: \"seal\" is missing");
    root = parse("x: 1\n");
    cr_expect_eq(config_choice(config, root, "kind", choices, -1), -1);
    expect_error("etc/x.yaml:1: \"kind\" is missing");
    root = parse("x: 1\n");
    cr_expect_eq(config_int(config, root, "port", CONFIG_REQUIRED, 1, 9), 1);
    expect_error("etc/x.yaml:1: \"port\" is missing");
}

Test(config, says_what_would_be_right)
{
    static const char *const choices[] = {"debug", "info", "warn", NULL};
    char host[16];
    uint16_t port = 0;
    root = parse("\nport: 8o80\n");
    config_int(config, root, "port", 1, 1, 65535);
    expect_error("etc/x.yaml:2: \"port\" is \"8o80\"; write a whole number from 1 to 65535");
    root = parse("port: 70000\n");
    config_int(config, root, "port", 1, 1, 65535);
    expect_error("etc/x.yaml:1: \"port\" is \"70000\"; write a whole number from 1 to 65535");
    root = parse("body: 64kb\n");
    config_size(config, root, "body", 1, 1, 1 << 20);
    expect_error("etc/x.yaml:1: \"body\" is \"64kb\"; write a size (B, KiB, MiB, GiB) from 1B to "
                 "1MiB");
    root = parse("wait: 2h\n");
    config_duration_ms(config, root, "wait", 1, 250, 3600000);
    expect_error("etc/x.yaml:1: \"wait\" is \"2h\"; write a duration (ms, s, m, h, d) from 250ms "
                 "to 1h");
    root = parse("on: yes\n");
    config_bool(config, root, "on", false);
    expect_error("etc/x.yaml:1: \"on\" is \"yes\"; write true or false");
    root = parse("level: loud\n");
    config_choice(config, root, "level", choices, 0);
    expect_error("etc/x.yaml:1: \"level\" is \"loud\"; write debug, info or warn");
    root = parse("at: localhost\n");
    config_address(config, root, "at", NULL, host, sizeof host, &port);
    expect_error("etc/x.yaml:1: \"at\" is \"localhost\"; write an address such as 127.0.0.1:8443 "
                 "or [::1]:8443");
    root = parse("m: [1]\n");
    config_map(config, root, "m", false);
    expect_error("etc/x.yaml:1: \"m\" is a list; a map is expected");
    root = parse("m: {}\n");
    config_text(config, root, "m", "x");
    expect_error("etc/x.yaml:1: \"m\" is a map; a text is expected");
    root = parse("m:\n");
    cr_expect_null(config_text(config, root, "m", "x"));
    expect_error("etc/x.yaml:1: \"m\" has no value; a text is expected");
    root = parse("hosts:\n- []\n");
    const struct config_node *list = config_list(config, root, "hosts", true);
    cr_expect_null(config_scalar(config, config_at(list, 0)));
    expect_error("etc/x.yaml:2: an entry of \"hosts\" is a list; a text is expected");
}

Test(config, refuses_numbers_and_addresses_that_are_nearly_right)
{
    static const char *const numbers[] = {"''",
                                          "+1",
                                          "1 ",
                                          "' 1'",
                                          "0x10",
                                          "1.5",
                                          "1e3",
                                          "--1",
                                          "99999999999999999999",
                                          "-99999999999999999999",
                                          "1s"};
    static const char *const sizes[] = {"1", "KiB", "1kib", "1 KiB", "-1KiB", "9999999999GiB"};
    static const char *const addresses[] = {"':1'",       "'a:'",      "'a:b'",   "'a:65536'",
                                            "'::1:80'",   "'[]:80'",   "'[::1]'", "'a b:1'",
                                            "'u@host:1'", "'[::1]80'", "'a:-1'"};
    char yaml[64];
    char host[64];
    uint16_t port = 0;
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        snprintf(yaml, sizeof yaml, "v: %s\n", strcmp(numbers[i], "1 ") == 0 ? "'1 '" : numbers[i]);
        root = parse(yaml);
        config_int(config, root, "v", 0, INT64_MIN + 1, INT64_MAX);
        cr_expect(failed(config_finish(config)), "%s", numbers[i]);
    }
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        snprintf(yaml, sizeof yaml, "v: %s\n", sizes[i]);
        root = parse(yaml);
        config_size(config, root, "v", 0, INT64_MIN + 1, INT64_MAX);
        cr_expect(failed(config_finish(config)), "%s", sizes[i]);
    }
    for (unsigned i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        snprintf(yaml, sizeof yaml, "v: %s\n", addresses[i]);
        root = parse(yaml);
        config_address(config, root, "v", NULL, host, sizeof host, &port);
        cr_expect(failed(config_finish(config)), "%s", addresses[i]);
        cr_expect_str_eq(host, "");
    }
    root = parse("v: a-host-too-long-for-it:1\n");
    config_address(config, root, "v", NULL, host, 8, &port);
    cr_expect(failed(config_finish(config)));
}

Test(config, keeps_the_first_error)
{
    root = parse("a: x\nb: y\n");
    config_int(config, root, "a", 0, 0, 1);
    config_int(config, root, "b", 0, 0, 1);
    config_complain(config, root, "a third");
    expect_error("etc/x.yaml:1: \"a\" is \"x\"; write a whole number from 0 to 1");
}

Test(config, records_what_a_caller_complains_of)
{
    root = parse("\na: 1\n");
    config_has(config, root, "a");
    config_complain(config, config_map(config, root, "none", false), "there are %d", 3);
    expect_error("etc/x.yaml: there are 3");
}

Test(config, refuses_unknown_keys_with_the_nearest_known_one)
{
    root = parse("limits:\n  connectoins: 4\n");
    const struct config_node *limits = config_map(config, root, "limits", true);
    config_int(config, limits, "connections", 1, 1, 9);
    config_size(config, limits, "body", 1, 1, 9);
    expect_error("etc/x.yaml:2: \"connectoins\" is no key here; is \"connections\" meant?");

    root = parse("a: 1\nzebra: {b: 1}\n");
    config_int(config, root, "a", 1, 1, 9);
    config_text(config, root, "listen", "x");
    expect_error("etc/x.yaml:2: \"zebra\" is no key here; there can be a, listen");

    root = parse("list: [{a: 1}]\n");
    config_list(config, root, "list", true);
    expect_error("etc/x.yaml:1: \"a\" is no key here, where none is taken");
}

Test(config, walks_a_map_whose_keys_are_names)
{
    root = parse("tenants: {shop: {x: 1}, bank: {x: 2}}\n");
    const struct config_node *map = config_map(config, root, "tenants", true);
    cr_assert_eq(config_map_count(map), 2);
    const struct config_node *value = NULL;
    cr_expect_str_eq(config_map_key(config, map, 0, &value), "shop");
    cr_expect_eq(config_int(config, value, "x", 0, 0, 9), 1);
    cr_expect_str_eq(config_map_key(config, map, 1, &value), "bank");
    cr_expect_eq(config_int(config, value, "x", 0, 0, 9), 2);
    expect_fine();
    cr_expect_eq(config_map_count(NULL), 0);
    cr_expect_eq(config_count(map), 0);
}

Test(config, refuses_duplicate_keys_with_both_lines)
{
    expect_refused("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n",
                   "x.yaml:5: \"c\" is there twice; the first is in line 3");
    expect_refused("a: 1\n\"a\": 1\n", "x.yaml:2: \"a\" is there twice; the first is in line 1");
}

Test(config, expands_nothing)
{
    expect_refused("a: &x 1\nb: *x\n", "x.yaml:1: anchors");
    expect_refused("a: 1\nb: *x\n", "x.yaml:2: aliases");
    expect_refused("a: !!int 1\n", "x.yaml:1: tags");
    expect_refused("a: !x {b: 1}\n", "x.yaml:1: tags");
    expect_refused("a: &y [1]\n", "x.yaml:1: anchors");
}

Test(config, refuses_what_is_no_map)
{
    expect_refused("", "x.yaml: there is nothing in it");
    expect_refused("# only this\n", "x.yaml: there is nothing in it");
    expect_refused("- a\n", "x.yaml:1: a map of keys");
    expect_refused("text\n", "x.yaml:1: a map of keys");
    expect_refused("a: 1\n---\nb: 1\n", "x.yaml:2: a second document");
    expect_refused("{[a]: 1}\n", "x.yaml:1: a key is a text");
    expect_refused("\"\": 1\n", "x.yaml:1: a key is a text");
    expect_refused("a: \"b\\0c\"\n", "x.yaml:1: a text cannot hold a NUL");
    expect_refused("a: [1\nb: 2\n", "x.yaml:2: this is not YAML: ");
    expect_refused("a: 1\nb: \x01\n", "x.yaml:2: this is not YAML: ");
    expect_refused("a: 1\nb: \xff\n", "x.yaml:2: this is not YAML: ");
}

Test(config, refuses_more_than_its_bounds)
{
    char deep[64] = "a: ";
    memset(deep + 3, '[', 40);
    expect_refused(deep, "x.yaml:1: maps and lists stand more than 16 deep");

    char *large = calloc(1, CONFIG_BYTES_MAX + 2);
    cr_assert_not_null(large);
    memset(large, '#', CONFIG_BYTES_MAX + 1);
    expect_refused(large, "x.yaml: it is larger than");
    memset(large, 'x', CONFIG_BYTES_MAX + 1);
    large[0] = '[';
    for (size_t i = 2; i < 40000; i += 2)
        large[i] = ',';
    large[40000] = '\0';
    expect_refused(large, "x.yaml:1: there are more than 8192 values in one map or list");
    free(large);
}

Test(config, never_repeats_a_value_that_might_be_secret)
{
    static const char *const names[] = {"api_key", "Secret", "password", "token_ttl", "passphrase"};
    char yaml[64];
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(yaml, sizeof yaml, "%s: hunter2\n", names[i]);
        root = parse(yaml);
        config_int(config, root, names[i], 0, 0, 1);
        cr_expect(failed(config_finish(config)));
        cr_expect_null(strstr(config_error(config), "hunter2"), "%s", config_error(config));
        snprintf(yaml, sizeof yaml, "%s: {port: hunter2}\n", names[i]);
        root = parse(yaml);
        config_int(config, config_map(config, root, names[i], true), "port", 0, 0, 1);
        cr_expect(failed(config_finish(config)));
        cr_expect_null(strstr(config_error(config), "hunter2"), "%s", config_error(config));
    }
    root = parse("port: 4242424242424242\n");
    config_int(config, root, "port", 0, 0, 1);
    expect_error(
        "etc/x.yaml:1: \"port\" is \"************4242\"; write a whole number from 0 to 1");
}

Test(config, shows_odd_texts_cut_and_printable)
{
    root = parse("port: \"a\\nb\\e[1m\"\n");
    config_int(config, root, "port", 0, 0, 1);
    expect_error("etc/x.yaml:1: \"port\" is \"a?b?[1m\"; write a whole number from 0 to 1");
    char yaml[600] = "port: ";
    memset(yaml + 6, 'y', 500);
    root = parse(yaml);
    config_int(config, root, "port", 0, 0, 1);
    cr_expect(failed(config_finish(config)));
    cr_expect_lt(strlen(config_error(config)), 120);
    cr_expect_not_null(strstr(config_error(config), "yyy...\";"), "%s", config_error(config));
}

Test(config, opens_a_file_and_says_when_there_is_none)
{
    cr_expect_eq(config_open("/nonexistent/x.yaml", &config).why, WHY_NOT_FOUND);
    cr_expect_str_eq(config_error(config),
                     "/nonexistent/x.yaml: it cannot be read: No such file or directory");
    config_free(&config);
    cr_expect_eq(config_open("/tmp", &config).why, WHY_IO);
    config_free(&config);

    char path[] = "/tmp/config_test.XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, "data: store\n", 12), 12);
    close(fd);
    struct status status = config_open(path, &config);
    unlink(path);
    cr_assert(!failed(status), "%s", config_error(config));
    cr_expect_str_eq(config_path(config, config_root(config), "data", NULL), "/tmp/store");
    expect_fine();
}
