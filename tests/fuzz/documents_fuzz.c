/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a policy, and as a gateway's profile.  What is refused is refused with a sentence;
 * what is taken keeps its bounds, and a policy lets nobody in who has no name in it. */
#include <sodium.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/own.h"
#include "policies/policy.h"
#include "relay/profile.h"
#include "tests/fuzz/require.h"

static int file = -1;
static char path[64];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(sodium_init() >= 0);
    file = memfd_create("document", 0);
    require(file >= 0);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return 0;
}

static void file_fill(const uint8_t *data, size_t size)
{
    require(ftruncate(file, 0) == 0);
    require(pwrite(file, data, size, 0) == (ssize_t)size);
}

static void ask_all(const struct policy *policy, const struct policy_principal *principal)
{
    const struct policy_tenant *tenant = policy_tenant_at(policy, 0);
    const struct policy_destination *destination = policy_destination_at(policy, 0);

    for (unsigned action = 0; action < POLICY_ACTION_COUNT; action++) {
        struct policy_question question = {.action = (enum policy_action)action,
                                           .principal = principal,
                                           .tenant = tenant == NULL ? "" : tenant->name,
                                           .destination =
                                               destination == NULL ? NULL : destination->name};
        struct policy_decision decision = policy_decide(policy, &question);
        require(!decision.allowed || (principal != NULL && decision.rule[0] != '\0'));
        /* One that belongs to a tenant has no say in another. */
        question.tenant = "no-such-tenant";
        decision = policy_decide(policy, &question);
        require(!decision.allowed || principal->tenant[0] == '\0');
    }
}

static void policy_check(const struct policy *policy, const uint8_t *data, size_t size)
{
    uint8_t sum[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof sum + 1];

    crypto_hash_sha256(sum, data, size);
    encode_hex(sum, sizeof sum, hex);
    require(strncmp(policy_bundle(policy), "sha256:", 7) == 0);
    require(strcmp(policy_bundle(policy) + 7, hex) == 0);
    for (unsigned i = 0; policy_tenant_at(policy, i) != NULL; i++) {
        const struct policy_tenant *tenant = policy_tenant_at(policy, i);
        require(policy_tenant(policy, tenant->name) == tenant);
        require(tenant->luhn_off_prefix_count <= 8 && tenant->formats[tenant->format]);
        require(tenant->cvv_lifetime_ms > 0 && tenant->cvv_lifetime_ms <= 3600 * 1000);
        unsigned kept = tenant->card_keep_first;
        require(kept == 0 || kept == 6 || kept == 8);
    }
    ask_all(policy, NULL);
    static const char *const names[] = {"shop", "relay", "auditor", "operator", "a"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct policy_principal *principal = policy_principal(policy, names[i]);
        if (principal == NULL)
            continue;
        require(policy_principal_by_uri(policy, principal->uri) == principal);
        require(principal->tenant[0] == '\0' || policy_tenant(policy, principal->tenant) != NULL);
        ask_all(policy, principal);
    }
}

static void policy_read(const uint8_t *data, size_t size)
{
    struct policy *policy OWNED(policy_free) = NULL;
    char error[POLICY_ERROR_MAX] = "";

    bool good = !failed(policy_load(path, &policy, error, sizeof error));
    require(good == (policy != NULL) && good == (error[0] == '\0'));
    if (good)
        policy_check(policy, data, size);
}

static void slots_check(const struct profile_slot *slots, unsigned count)
{
    require(count <= PROFILE_SLOTS_MAX);
    for (unsigned i = 0; i < count; i++) {
        require(slots[i].place[0] != '\0' && slots[i].takes.filter_count <= EXPRESSION_FILTERS_MAX);
        for (unsigned k = 0; k < i; k++)
            require(strcmp(slots[i].place, slots[k].place) != 0);
    }
}

static void profile_read(void)
{
    struct profile profile = {.host_count = UINT32_MAX};
    char error[CONFIG_ERROR_MAX] = "";

    if (failed(profile_load(path, &profile, error, sizeof error))) {
        require(error[0] != '\0' && profile.host_count == UINT32_MAX);
        return;
    }
    require(profile.name[0] != '\0' && profile.host_count >= 1);
    require(profile.host_count <= PROFILE_HOSTS_MAX);
    for (unsigned i = 0; i < profile.host_count; i++)
        require(profile.hosts[i][0] != '\0' && strpbrk(profile.hosts[i], " \r\n/:@") == NULL);
    require(profile.account_count <= PROFILE_ACCOUNTS_MAX);
    require(profile.connect_ms > 0 && profile.total_ms > 0);
    slots_check(profile.form, profile.form_count);
    slots_check(profile.json, profile.json_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    file_fill(data, size);
    policy_read(data, size);
    profile_read();
    return 0;
}
