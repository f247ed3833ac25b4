/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static struct stand_in_test *tests;
static struct stand_in_test **tests_end = &tests;
static atomic_bool any_failed;

void stand_in_add(struct stand_in_test *test)
{
    *tests_end = test;
    tests_end = &test->next;
}

void stand_in_failed(bool fatal, const char *where, const char *what)
{
    fprintf(stderr, "%s: not so: %s\n", where, what);
    atomic_store(&any_failed, true);
    if (fatal)
        _exit(EXIT_FAILURE);
}

static const struct stand_in_options *suite_options(const char *suite)
{
    static const struct stand_in_options none;

    for (const struct stand_in_test *at = tests; at != NULL; at = at->next)
        if (at->name == NULL && strcmp(at->suite, suite) == 0)
            return &at->options;
    return &none;
}

/* Ends with exit(), in which the sanitizer turns what it found into an exit code. */
static void run_here(const struct stand_in_test *test)
{
    const struct stand_in_options *suite = suite_options(test->suite);
    const stand_in_fn steps[] = {suite->init, test->options.init, test->run, test->options.fini,
                                 suite->fini};

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (steps[i] != NULL)
            steps[i]();
    exit(atomic_load(&any_failed) ? EXIT_FAILURE : EXIT_SUCCESS);
}

static bool run_apart(const struct stand_in_test *test)
{
    int outcome = 0;

    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        run_here(test);
    while (child > 0 && waitpid(child, &outcome, 0) < 0)
        if (errno != EINTR)
            return false;
    if (child < 0)
        return false;
    if (test->options.signal != 0)
        return WIFSIGNALED(outcome) && WTERMSIG(outcome) == test->options.signal;
    return WIFEXITED(outcome) && WEXITSTATUS(outcome) == EXIT_SUCCESS;
}

int main(void)
{
    unsigned good = 0;
    unsigned bad = 0;

    for (const struct stand_in_test *at = tests; at != NULL; at = at->next) {
        if (at->name == NULL || at->options.disabled || suite_options(at->suite)->disabled)
            continue;
        bool passed = run_apart(at);
        good += passed;
        bad += !passed;
        printf("%s %s/%s\n", passed ? "ok" : "FAILED", at->suite, at->name);
    }
    printf("%u passed, %u failed\n", good, bad);
    return good == 0 || bad > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
