/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/exposure_moved.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct exposure_moved moved;
static struct log_entry entry;

static void take(const char *event, const char *object, const char *tenant, unsigned key)
{
    char text[256];
    int size = snprintf(text, sizeof text,
                        "{\"event\":\"%s\",\"object\":\"%s\",\"tenant\":\"%s\","
                        "\"key\":{\"id\":%u,\"version\":1},\"detail\":\"d\"}",
                        event, object, tenant, key);

    cr_assert(log_walk_read(text, (size_t)size, &entry));
    exposure_moved_take(&moved, &entry.json, event);
}

static unsigned counted(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < moved.job_count; i++)
        count += exposure_moved_counts(&moved, &moved.jobs[i]) ? 1 : 0;
    return count;
}

static void start(void)
{
    moved = (struct exposure_moved){.key_id = 7};
}

TestSuite(exposure_moved, .init = start);

Test(exposure_moved, counts_a_job_that_begins_before_its_new_key_is_in_the_log)
{
    take("job.begin", "job_1", "demo", 5);
    take("key.create", "card", "demo", 7);
    cr_expect_eq(counted(), 1);
    take("key.deactivate", "card", "demo", 7);
    take("job.end", "job_1", "demo", 5);
    cr_assert_eq(counted(), 1);
    cr_expect(moved.jobs[0].ended);
    cr_expect_eq(moved.jobs[0].from_key, 5);
}

Test(exposure_moved, counts_no_job_of_before_of_after_or_of_another_tenant)
{
    take("job.begin", "job_1", "demo", 5);
    take("job.end", "job_1", "demo", 5);
    take("key.create", "card", "demo", 7);
    take("job.begin", "job_2", "other", 6);
    take("job.end", "job_2", "other", 6);
    take("key.deactivate", "card", "demo", 7);
    take("job.begin", "job_3", "demo", 7);
    take("job.end", "job_3", "demo", 7);
    cr_expect_eq(counted(), 0);
}

Test(exposure_moved, counts_no_job_that_empties_the_key)
{
    take("key.create", "card", "demo", 7);
    take("job.begin", "job_1", "demo", 7);
    take("key.deactivate", "card", "demo", 7);
    take("job.end", "job_1", "demo", 7);
    cr_expect_eq(counted(), 0);
}

Test(exposure_moved, counts_a_suspended_key_again_once_it_is_active)
{
    take("key.create", "card", "demo", 7);
    take("key.suspend", "card", "demo", 7);
    take("job.begin", "job_1", "demo", 5);
    cr_expect_eq(counted(), 0);
    take("key.activate", "card", "demo", 7);
    cr_expect_eq(counted(), 1);
}

Test(exposure_moved, keeps_what_counts_when_the_table_is_full)
{
    char name[32];

    take("key.create", "card", "demo", 7);
    take("job.begin", "job_0", "demo", 5);
    take("job.end", "job_0", "demo", 5);
    take("key.deactivate", "card", "demo", 7);
    for (unsigned i = 1; i <= 2 * EXPOSURE_JOBS_MAX; i++) {
        (void)snprintf(name, sizeof name, "job_%u", i);
        take("job.begin", name, "demo", 5);
        take("job.end", name, "demo", 5);
    }
    cr_expect(!moved.full);
    cr_expect_eq(counted(), 1);
}
