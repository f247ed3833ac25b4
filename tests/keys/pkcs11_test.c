/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/pkcs11.h"

#include <sodium.h>

#include "base/encode.h"
#include "base/own.h"
#include "tests/keys/pkcs11_kit.h"

#define KEY     "cardkeep-root"
#define BINDING "cardkeep/development/set-1"

static const char *module = KIT_MODULE;
static struct pkcs11_problem problem;
static struct secret *root;
static struct secret *pin;

static void make(void)
{
    cr_assert(sodium_init() >= 0);
    kit_make();
    cr_assert(!failed(secret_new_key(PKCS11_ROOT_BYTES, &root)));
    random_bytes(secret_bytes(root), PKCS11_ROOT_BYTES);
    cr_assert(!failed(pkcs11_pin_read(kit_path("pin"), &pin, &problem)), "%s", problem.text);
}

static void end(void)
{
    secret_free(&root);
    secret_free(&pin);
    kit_remove();
}

TestSuite(pkcs11, .init = make, .fini = end);

static struct pkcs11_place place(bool make_key)
{
    return (struct pkcs11_place){
        .module = module, .token = KIT_TOKEN, .key = KEY, .make_key = make_key};
}

/* A failure has its sentence, and no sentence has the PIN. */
static enum pkcs11_trouble trouble_of(struct status status)
{
    cr_expect(failed(status));
    cr_expect(problem.text[0] != '\0', "a failure has its sentence");
    cr_expect(strstr(problem.text, KIT_PIN) == NULL, "%s", problem.text);
    cr_expect(problem.text[strlen(problem.text) - 1] == '.', "%s", problem.text);
    return problem.trouble;
}

static enum pkcs11_trouble open_trouble(const struct pkcs11_place *at)
{
    OWNED(pkcs11_close) struct pkcs11 *pkcs11 = NULL;
    struct status status = pkcs11_open(at, pin, &pkcs11, &problem);

    return failed(status) ? trouble_of(status) : PKCS11_NONE;
}

/* How tests/support/odd_hsm.c is to behave from here on. */
static void odd(const char *how)
{
    kit_write(kit_path("odd"), how);
    cr_assert_eq(setenv("ODD_HSM", kit_path("odd"), 1), 0);
}

static void wrap(const char *binding, struct buffer *blob)
{
    OWNED(pkcs11_close) struct pkcs11 *pkcs11 = NULL;
    struct pkcs11_place at = place(true);

    cr_assert(!failed(pkcs11_open(&at, pin, &pkcs11, &problem)), "%s", problem.text);
    cr_assert(!failed(pkcs11_wrap(pkcs11, binding, root, blob, &problem)), "%s", problem.text);
}

/* PKCS11_NONE: it opened, and was the root. */
static enum pkcs11_trouble unwrap(const char *binding, const uint8_t *blob, size_t size)
{
    OWNED(pkcs11_close) struct pkcs11 *pkcs11 = NULL;
    OWNED(secret_free) struct secret *again = NULL;
    struct pkcs11_place at = place(false);

    struct status status = pkcs11_open(&at, pin, &pkcs11, &problem);
    if (!failed(status))
        status = pkcs11_unwrap(pkcs11, binding, blob, size, &again, &problem);
    cr_expect_eq(failed(status), again == NULL);
    if (failed(status))
        return trouble_of(status);
    cr_expect_eq(sodium_memcmp(secret_peek(again), secret_peek(root), PKCS11_ROOT_BYTES), 0);
    return PKCS11_NONE;
}

static void opens_again_and_nothing_of_it_bends(void)
{
    struct buffer blob OWNED(buffer_free) = BUFFER(PKCS11_BLOB_BYTES_MAX);

    wrap(BINDING, &blob);
    cr_assert_eq(unwrap(BINDING, blob.bytes, blob.size), PKCS11_NONE, "%s", problem.text);
    cr_assert_eq(unwrap("cardkeep/production/set-1", blob.bytes, blob.size), PKCS11_BLOB_REFUSED,
                 "another vault's");
    for (size_t i = 0; i < blob.size; i++) {
        blob.bytes[i] ^= 1;
        cr_expect_eq(unwrap(BINDING, blob.bytes, blob.size), PKCS11_BLOB_REFUSED, "byte %zu: %s", i,
                     problem.text);
        blob.bytes[i] ^= 1;
    }
    for (size_t size = 0; size < blob.size; size += 9)
        cr_expect_eq(unwrap(BINDING, blob.bytes, size), PKCS11_BLOB_REFUSED, "%zu bytes", size);
}

Test(pkcs11, a_root_wrapped_by_gcm_opens_again_and_nothing_of_it_bends)
{
    struct buffer blob OWNED(buffer_free) = BUFFER(PKCS11_BLOB_BYTES_MAX);

    wrap(BINDING, &blob);
    cr_assert_eq(blob.bytes[1], 1);
    cr_assert_eq(blob.size, 62);
    cr_assert(memmem(blob.bytes, blob.size, secret_peek(root), 8) == NULL);
    opens_again_and_nothing_of_it_bends();
}

Test(pkcs11, a_token_without_gcm_wraps_by_key_wrap_and_binds_the_same)
{
    struct buffer blob OWNED(buffer_free) = BUFFER(PKCS11_BLOB_BYTES_MAX);

    module = ODD_HSM;
    odd("nogcm");
    wrap(BINDING, &blob);
    cr_assert_eq(blob.bytes[1], 2);
    cr_assert_eq(blob.size, 74);
    opens_again_and_nothing_of_it_bends();
    odd("");
    cr_assert_eq(unwrap(BINDING, blob.bytes, blob.size), PKCS11_NONE,
                 "the blob says which mechanism was its own");
}

Test(pkcs11, two_blobs_of_one_root_differ)
{
    struct buffer first OWNED(buffer_free) = BUFFER(PKCS11_BLOB_BYTES_MAX);
    struct buffer second OWNED(buffer_free) = BUFFER(PKCS11_BLOB_BYTES_MAX);

    wrap(BINDING, &first);
    wrap(BINDING, &second);
    cr_assert(memcmp(first.bytes + 2, second.bytes + 2, first.size - 2) != 0);
    cr_assert_eq(unwrap(BINDING, first.bytes, first.size), PKCS11_NONE);
}

Test(pkcs11, says_what_the_token_is)
{
    OWNED(pkcs11_close) struct pkcs11 *pkcs11 = NULL;
    struct pkcs11_place at = place(true);
    struct pkcs11_token token;

    cr_assert(!failed(pkcs11_open(&at, pin, &pkcs11, &problem)));
    pkcs11_describe(pkcs11, &token);
    cr_assert_str_eq(token.label, KIT_TOKEN);
    cr_assert_str_eq(token.mechanism, "CKM_AES_GCM");
    cr_assert(strstr(token.manufacturer, "SoftHSM") != NULL, "%s", token.manufacturer);
    cr_assert(token.serial[0] != '\0');
}

Test(pkcs11, makes_no_key_where_one_is_expected)
{
    struct pkcs11_place at = place(false);

    cr_assert_eq(open_trouble(&at), PKCS11_NO_KEY);
    at = place(true);
    cr_assert_eq(open_trouble(&at), PKCS11_NONE);
    at = place(false);
    cr_assert_eq(open_trouble(&at), PKCS11_NONE);
}

Test(pkcs11, a_key_that_was_made_anew_is_not_the_one)
{
    struct buffer blob OWNED(buffer_free) = BUFFER(PKCS11_BLOB_BYTES_MAX);
    struct buffer other OWNED(buffer_free) = BUFFER(PKCS11_BLOB_BYTES_MAX);

    wrap(BINDING, &blob);
    kit_delete_key(KEY);
    cr_assert_eq(unwrap(BINDING, blob.bytes, blob.size), PKCS11_NO_KEY);
    wrap(BINDING, &other);
    cr_assert_eq(unwrap(BINDING, blob.bytes, blob.size), PKCS11_BLOB_REFUSED);
}

Test(pkcs11, refuses_each_key_that_does_not_keep_to_its_token)
{
    static const struct {
        struct kit_key key;
        const char *says;
    } cases[] = {
        {{"a", 32, CK_TRUE, CK_TRUE, CK_TRUE, false}, "is extractable"},
        {{"b", 32, CK_FALSE, CK_FALSE, CK_TRUE, false}, "is not sensitive"},
        {{"c", 32, CK_TRUE, CK_FALSE, CK_TRUE, true}, "brought in from outside"},
        {{"d", 16, CK_TRUE, CK_FALSE, CK_TRUE, false}, "256 bits"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pkcs11_place at = place(true);
        kit_make_key(&cases[i].key);
        at.key = cases[i].key.label;
        cr_expect_eq(open_trouble(&at), PKCS11_KEY_UNFIT);
        cr_expect(strstr(problem.text, cases[i].says) != NULL, "%s", problem.text);
    }
}

Test(pkcs11, refuses_two_keys_of_one_name)
{
    struct kit_key key = {KEY, 32, CK_TRUE, CK_FALSE, CK_TRUE, false};
    struct pkcs11_place at = place(true);

    kit_make_key(&key);
    cr_assert_eq(open_trouble(&at), PKCS11_NONE, "%s", problem.text);
    kit_make_key(&key);
    cr_assert_eq(open_trouble(&at), PKCS11_KEY_UNFIT);
    cr_assert(strstr(problem.text, "more than once") != NULL);
}

Test(pkcs11, names_a_module_that_is_none_and_a_token_that_is_not_there)
{
    struct pkcs11_place at = place(true);

    at.module = "/nowhere/module.so";
    cr_expect_eq(open_trouble(&at), PKCS11_NO_MODULE);
    cr_expect(strstr(problem.text, "/nowhere/module.so") != NULL, "%s", problem.text);
    at.module = "libz.so.1";
    cr_expect_eq(open_trouble(&at), PKCS11_NO_MODULE);
    at = place(true);
    at.token = "another";
    cr_expect_eq(open_trouble(&at), PKCS11_NO_TOKEN);
    kit_make_token(KIT_TOKEN);
    at = place(true);
    cr_expect_eq(open_trouble(&at), PKCS11_TOKENS_ALIKE);
}

static long logins(void)
{
    struct stat stat;

    return lstat(kit_path("logins"), &stat) == 0 ? (long)stat.st_size : 0;
}

static enum pkcs11_trouble odd_trouble(const char *how)
{
    struct pkcs11_place at = place(true);

    at.module = ODD_HSM;
    (void)unlink(kit_path("logins"));
    cr_assert_eq(setenv("ODD_HSM_LOGINS", kit_path("logins"), 1), 0);
    odd(how);
    return open_trouble(&at);
}

Test(pkcs11, a_wrong_pin_is_tried_once_and_the_last_try_not_at_all)
{
    cr_assert_eq(odd_trouble(""), PKCS11_NONE, "%s", problem.text);
    cr_assert_eq(logins(), 1);
    cr_assert_eq(odd_trouble("final"), PKCS11_PIN_LOCKED);
    cr_assert_eq(logins(), 0);
    cr_assert_eq(odd_trouble("locked"), PKCS11_PIN_LOCKED);
    cr_assert_eq(logins(), 0);

    secret_free(&pin);
    kit_write(kit_path("pin"), "7391-wrong");
    cr_assert(!failed(pkcs11_pin_read(kit_path("pin"), &pin, &problem)));
    cr_assert_eq(odd_trouble(""), PKCS11_PIN_WRONG);
    cr_assert_eq(logins(), 1);
    cr_assert(strstr(problem.text, "7391") == NULL);
    cr_assert(!pkcs11_try_again(PKCS11_PIN_WRONG));
    cr_assert(!pkcs11_try_again(PKCS11_PIN_LOCKED));
    cr_assert(pkcs11_try_again(PKCS11_NO_TOKEN));
}

Test(pkcs11, a_token_without_a_mechanism_and_one_that_goes_are_named)
{
    struct buffer blob OWNED(buffer_free) = BUFFER(PKCS11_BLOB_BYTES_MAX);
    OWNED(pkcs11_close) struct pkcs11 *pkcs11 = NULL;
    struct pkcs11_place at = place(true);

    cr_expect_eq(odd_trouble("none"), PKCS11_NO_MECHANISM);
    odd("removed");
    at.module = ODD_HSM;
    cr_assert(!failed(pkcs11_open(&at, pin, &pkcs11, &problem)), "%s", problem.text);
    cr_assert_eq(trouble_of(pkcs11_wrap(pkcs11, BINDING, root, &blob, &problem)), PKCS11_GONE);
    cr_assert_eq(blob.size, 0, "a blob that was not seen to open is none");
}

static enum why pin_why(void)
{
    OWNED(secret_free) struct secret *read = NULL;
    struct status status = pkcs11_pin_read(kit_path("pin"), &read, &problem);

    if (failed(status))
        cr_expect_eq(trouble_of(status), PKCS11_NO_PIN);
    return status.why;
}

Test(pkcs11, the_pin_is_the_first_line_of_a_file_that_nobody_else_reads)
{
    cr_assert_eq(secret_size(pin), strlen(KIT_PIN));
    cr_assert_eq(memcmp(secret_peek(pin), KIT_PIN, strlen(KIT_PIN)), 0);
    cr_assert_eq(chmod(kit_path("pin"), 0640), 0);
    cr_expect_eq(pin_why(), WHY_DENIED);
    cr_assert_eq(chmod(kit_path("pin"), 0604), 0);
    cr_expect_eq(pin_why(), WHY_DENIED);
    kit_write(kit_path("pin"), "\n" KIT_PIN);
    cr_expect_eq(pin_why(), WHY_BAD_INPUT);
    kit_write(kit_path("pin"), "");
    cr_expect_eq(pin_why(), WHY_BAD_INPUT);
    cr_assert_eq(unlink(kit_path("pin")), 0);
    cr_expect_eq(pin_why(), WHY_NOT_FOUND);
    cr_assert_eq(mkfifo(kit_path("pin"), 0600), 0);
    cr_expect_eq(pin_why(), WHY_DENIED);
}
