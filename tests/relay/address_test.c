/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "relay/address.h"

static struct in6_addr address_of(const char *text)
{
    struct address_range range;
    cr_assert(!failed(address_range_parse(text, &range)), "%s", text);
    cr_assert_eq(range.bits, 128);
    return range.address;
}

static bool allowed(const char *text, const char *listed)
{
    struct in6_addr address = address_of(text);
    struct address_range range;

    if (listed != NULL)
        cr_assert(!failed(address_range_parse(listed, &range)));
    return address_allowed(&address, &range, listed == NULL ? 0 : 1);
}

Test(address, refuses_every_address_that_is_no_public_host)
{
    static const char *const texts[] = {"0.0.0.0",
                                        "0.1.2.3",
                                        "10.0.0.1",
                                        "10.255.255.255",
                                        "100.64.0.1",
                                        "100.127.255.255",
                                        "100.100.100.200",
                                        "127.0.0.1",
                                        "127.255.255.254",
                                        "169.254.0.1",
                                        "169.254.169.254",
                                        "172.16.0.1",
                                        "172.31.255.255",
                                        "192.0.0.192",
                                        "192.0.2.1",
                                        "192.168.1.1",
                                        "198.18.0.1",
                                        "198.19.255.255",
                                        "198.51.100.7",
                                        "203.0.113.9",
                                        "224.0.0.1",
                                        "239.255.255.255",
                                        "240.0.0.1",
                                        "255.255.255.255",
                                        "168.63.129.16",
                                        "::",
                                        "::1",
                                        "::127.0.0.1",
                                        "fe80::1",
                                        "febf::1",
                                        "fec0::1",
                                        "fc00::1",
                                        "fd00:ec2::254",
                                        "ff02::1",
                                        "2001:db8::1",
                                        "2001::1",
                                        "2002:7f00:1::",
                                        "100::1",
                                        "3fff::1",
                                        "5f00::1",
                                        "::ffff:127.0.0.1",
                                        "::ffff:10.0.0.1",
                                        "::ffff:169.254.169.254",
                                        "64:ff9b::127.0.0.1",
                                        "64:ff9b::10.0.0.1",
                                        "64:ff9b::169.254.169.254",
                                        "64:ff9b:1::1"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_expect(!allowed(texts[i], NULL), "%s", texts[i]);
}

Test(address, allows_public_hosts_up_to_the_edges)
{
    static const char *const texts[] = {
        "1.1.1.1",         "9.255.255.255",   "11.0.0.0",        "100.63.255.255", "100.128.0.0",
        "126.255.255.255", "128.0.0.0",       "169.253.255.255", "169.255.0.0",    "172.15.255.255",
        "172.32.0.0",      "192.167.255.255", "192.169.0.0",     "198.17.255.255", "198.20.0.0",
        "223.255.255.255", "168.63.129.15",   "168.63.129.17",   "2600::1",        "2a00:1450::1",
        "2001:200::1",     "::ffff:1.1.1.1",  "64:ff9b::1.1.1.1"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_expect(allowed(texts[i], NULL), "%s", texts[i]);
}

Test(address, allows_what_a_listed_range_holds_and_no_more)
{
    cr_expect(allowed("127.0.0.1", "127.0.0.0/8"));
    cr_expect(allowed("::ffff:127.0.0.1", "127.0.0.0/8"));
    cr_expect(!allowed("10.0.0.1", "127.0.0.0/8"));
    cr_expect(allowed("::1", "::1/128"));
    cr_expect(allowed("::1", "::1"));
    cr_expect(!allowed("fd00::1", "::1"));
    cr_expect(allowed("10.1.2.3", "10.1.2.3/32"));
    cr_expect(!allowed("10.1.2.2", "10.1.2.3/32"));
    cr_expect(!allowed("64:ff9b::10.0.0.1", "10.0.0.0/8"), "another way to it was not listed");
    cr_expect(allowed("169.254.169.254", "0.0.0.0/0"));
    cr_expect(!allowed("fd00::1", "0.0.0.0/0"));
}

Test(address, refuses_ranges_that_are_none)
{
    static const char *const texts[] = {"",
                                        "/",
                                        "/8",
                                        "10",
                                        "10.0.0/8",
                                        "10.0.0.0/",
                                        "10.0.0.0/33",
                                        "10.0.0.0/08",
                                        "10.0.0.0/-1",
                                        "10.0.0.0/8 ",
                                        " 10.0.0.0/8",
                                        "10.0.0.1/8",
                                        "::/129",
                                        "::1/127",
                                        "localhost",
                                        "fe80::1%lo",
                                        "10.0.0.0/8/8",
                                        "010.0.0.0/8",
                                        "10.0.0.0/1000"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct address_range range = {.bits = 77};
        cr_expect_eq(address_range_parse(texts[i], &range).why, WHY_BAD_INPUT, "%s", texts[i]);
        cr_expect_eq(range.bits, 77);
    }
}

Test(address, resolves_numeric_hosts_under_any_spelling)
{
    char out[ADDRESS_LIST_MAX] = "untouched";
    struct address_range loopback;
    cr_assert(!failed(address_range_parse("127.0.0.0/8", &loopback)));

    cr_assert(!failed(address_resolve("1.1.1.1", NULL, 0, out)));
    cr_expect_str_eq(out, "1.1.1.1");
    cr_assert(!failed(address_resolve("2600::1", NULL, 0, out)));
    cr_expect_str_eq(out, "2600::1");
    cr_assert(!failed(address_resolve("::ffff:1.1.1.1", NULL, 0, out)));
    cr_expect_str_eq(out, "1.1.1.1");
    cr_assert(!failed(address_resolve("127.0.0.1", &loopback, 1, out)));
    cr_expect_str_eq(out, "127.0.0.1");

    static const char *const loopbacks[] = {"127.0.0.1",        "127.1",          "2130706433",
                                            "0x7f.1",           "0177.1",         "::1",
                                            "::ffff:127.0.0.1", "169.254.169.254"};
    for (unsigned i = 0; i < sizeof loopbacks / sizeof *loopbacks; i++)
        cr_expect_eq(address_resolve(loopbacks[i], NULL, 0, out).why, WHY_DENIED, "%s",
                     loopbacks[i]);
    cr_expect_str_eq(out, "127.0.0.1", "a failure writes nothing");
}

Test(address, drops_refused_addresses_and_keeps_the_others)
{
    char out[ADDRESS_LIST_MAX];
    struct address_range v4;
    struct address_range v6;
    cr_assert(!failed(address_range_parse("127.0.0.0/8", &v4)));
    cr_assert(!failed(address_range_parse("::1", &v6)));

    cr_expect_eq(address_resolve("localhost", NULL, 0, out).why, WHY_DENIED);
    const struct address_range both[] = {v4, v6};
    cr_assert(!failed(address_resolve("localhost", both, 2, out)));
    bool has_v4 = strstr(out, "127.0.0.1") != NULL;
    cr_assert(has_v4 || strstr(out, "::1") != NULL);
    cr_assert(!failed(address_resolve("localhost", has_v4 ? &v4 : &v6, 1, out)));
    cr_expect_null(strchr(out, ','), "one family is left: %s", out);
}

Test(address, says_when_there_is_no_such_name)
{
    char out[ADDRESS_LIST_MAX];
    /* RFC 6761: never resolves.  Without a resolver that answers, the reason is another. */
    enum why why = address_resolve("no-such-host.invalid", NULL, 0, out).why;
    cr_expect(why == WHY_NOT_FOUND || why == WHY_IO);
    cr_expect_eq(address_resolve("bad host name!", NULL, 0, out).why, WHY_NOT_FOUND);
}
