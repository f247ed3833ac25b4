/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/load.h"

/* Nanoseconds that a process's threads ran.  The process's own schedstat would be its first
 * thread's alone. */
static uint64_t cpu_ns(int pid)
{
    char path[64];
    uint64_t total = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        load_die("there is no process %d to watch", pid);
    for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        char file_path[384];
        uint64_t ran = 0;
        if (task->d_name[0] == '.')
            continue;
        (void)snprintf(file_path, sizeof file_path, "%s/%s/schedstat", path, task->d_name);
        FILE *file = fopen(file_path, "r");
        if (file == NULL)
            continue; /* It ended meanwhile. */
        if (fscanf(file, "%" SCNu64, &ran) == 1)
            total += ran;
        fclose(file);
    }
    closedir(tasks);
    return total;
}

static uint64_t own_cpu_ns(void)
{
    struct timespec ran;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ran);
    return (uint64_t)ran.tv_sec * 1000000000u + (uint64_t)ran.tv_nsec;
}

void load_report_began(struct load *load)
{
    for (unsigned i = 0; i < load->options.pid_count; i++)
        load->server_cpu_ns[i] = cpu_ns(load->options.pids[i]);
    load->own_cpu_ns = own_cpu_ns();
}

void load_report_ended(struct load *load)
{
    load->own_cpu_ns = own_cpu_ns() - load->own_cpu_ns;
    for (unsigned i = 0; i < load->options.pid_count; i++)
        load->server_cpu_ns[i] = cpu_ns(load->options.pids[i]) - load->server_cpu_ns[i];
}

static int by_value(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;

    return a < b ? -1 : a > b;
}

/* The smallest value that so many per cent of all do not exceed. */
static uint32_t percentile(const struct load *load, double percent)
{
    uint64_t count = load->request_count;

    if (count == 0)
        return 0;
    uint64_t rank = (uint64_t)((double)count * percent / 100.0);
    return load->latencies_us[rank < count ? rank : count - 1];
}

static bool print_errors(const struct load *load)
{
    unsigned good = load_work_expects(&load->options);
    const char *between = "";
    bool none = true;

    if (load->refusal[0] != '\0')
        printf(", \"refusal\": \"%s\"", load->refusal);
    printf(", \"errors\": {");
    for (unsigned i = 0; i < LOAD_STATUS_MAX; i++) {
        if (i == good || load->status_counts[i] == 0)
            continue;
        printf("%s\"%s%.0u\": %" PRIu64, between, i == 0 ? "reset" : "", i, load->status_counts[i]);
        between = ", ";
        none = false;
    }
    if (load->refused_count > 0)
        printf("%s\"refused_items\": %" PRIu64, between, load->refused_count);
    if (load->lost_count > 0)
        printf("%s\"lost_connections\": %u, \"lost_requests\": %" PRIu64,
               load->refused_count > 0 ? ", " : between, load->lost_count,
               load->lost_request_count);
    printf("}}\n");
    return none && load->refused_count == 0 && load->lost_count == 0;
}

bool load_report_print(struct load *load)
{
    const struct load_options *options = &load->options;
    double lasted_s = (double)(load->ended_us - load->began_us) / 1e6;
    double requests = (double)load->request_count;
    uint64_t all_ns = 0;

    if (load->request_count > 0)
        qsort(load->latencies_us, load->request_count, sizeof *load->latencies_us, by_value);
    for (unsigned i = 0; i < options->pid_count; i++)
        all_ns += load->server_cpu_ns[i];
    printf("{\"kind\": \"%s\", \"in_flight\": %u, \"connections\": %u, \"requests\": %" PRIu64
           ", \"items\": %" PRIu64 ", \"seconds\": %.6f",
           load_kind_name(options->kind), options->in_flight, options->connections,
           load->request_count, load->item_count, lasted_s);
    if (requests > 0 && lasted_s > 0)
        printf(", \"per_second\": %.1f, \"items_per_second\": %.1f, \"p50_us\": %u, "
               "\"p90_us\": %u, \"p99_us\": %u, \"max_us\": %u, \"own_cpu_us\": %.3f",
               requests / lasted_s, (double)load->item_count / lasted_s, percentile(load, 50),
               percentile(load, 90), percentile(load, 99), percentile(load, 100),
               (double)load->own_cpu_ns / 1e3 / requests);
    if (requests > 0 && options->pid_count > 0) {
        printf(", \"cpu_us\": %.3f, \"cpu_us_of\": {", (double)all_ns / 1e3 / requests);
        for (unsigned i = 0; i < options->pid_count; i++)
            printf("%s\"%d\": %.3f", i == 0 ? "" : ", ", options->pids[i],
                   (double)load->server_cpu_ns[i] / 1e3 / requests);
        printf("}");
    }
    printf(", \"answers\": %" PRIu64 ", \"tokens_made\": %" PRIu64, load->answer_count,
           load->token_made_count);
    return print_errors(load);
}
