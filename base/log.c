/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"
#include "base/redact.h"

#define LOG_NAME_BYTES_MAX 48u
#define LOG_EVENTS_MAX     64u /* Events whose repeats are counted at one time. */
#define LOG_PAIRS_MAX      32u
/* Read from a value before masking.  What is written of it is shorter than this by more than the
 * longest card, so that none is cut in the middle and slips through. */
#define LOG_VALUE_BYTES_READ 2048u
#define LOG_VALUE_BYTES_MAX  1024u
#define LOG_ESCAPED_MAX      6u   /* A byte as \u00xx. */
#define LOG_TAIL_BYTES       128u /* Kept for the last member, the brace and the newline. */

const char *const log_level_names[] = {"debug", "info", "warn", "error", NULL};

static_assert(sizeof log_level_names / sizeof log_level_names[0] == LOG_LEVEL_COUNT + 1, "a name");

/* One event's count within the second in which it began. */
struct log_repeat {
    char event[LOG_NAME_BYTES_MAX]; /* "" is a free place. */
    int64_t since_ms;
    unsigned count;
};

/* One per process. */
static struct {
    pthread_mutex_t lock; /* Guards all but `level`. */
    char component[LOG_NAME_BYTES_MAX];
    int fd; /* -1: not opened yet, so standard error. */
    atomic_int level;
    struct log_repeat repeats[LOG_EVENTS_MAX];
} logger = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .component = "cardkeep", .fd = -1, .level = LOG_INFO};

struct log_line {
    struct buffer text;
    struct json_writer writer;
    bool cut;
};

static void unlock_end(pthread_mutex_t **lock)
{
    pthread_mutex_unlock(*lock);
}

STATUS log_open(const char *component, enum log_level level, int fd)
{
    assert(component != NULL);
    assert(level < LOG_LEVEL_COUNT);

    /* Libraries write to standard error; ours is another descriptor, so that a daemon can point
     * that one away (limits.md, trap 22). */
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    ENSURE(own >= 0, WHY_IO);
    OWNED(unlock_end) pthread_mutex_t *lock = &logger.lock;
    pthread_mutex_lock(lock);
    if (logger.fd >= 0)
        close(logger.fd);
    logger.fd = own;
    snprintf(logger.component, sizeof logger.component, "%s", component);
    memset(logger.repeats, 0, sizeof logger.repeats);
    atomic_store(&logger.level, level);
    return STATUS_OK;
}

void log_level_set(enum log_level level)
{
    assert(level < LOG_LEVEL_COUNT);
    atomic_store(&logger.level, level);
}

/* A line */

static void line_pair(struct log_line *line, const char *key, const char *value)
{
    assert(strlen(key) < LOG_NAME_BYTES_MAX);
    size_t used = line->text.size + strlen(key) + LOG_TAIL_BYTES;
    size_t room = used < LOG_LINE_BYTES_MAX ? (LOG_LINE_BYTES_MAX - used) / LOG_ESCAPED_MAX : 0;
    if (room > LOG_VALUE_BYTES_MAX)
        room = LOG_VALUE_BYTES_MAX;
    if (room == 0) {
        line->cut = true;
        return;
    }
    json_key(&line->writer, key);
    if (value == NULL) {
        json_put_null(&line->writer);
        return;
    }
    uint8_t copy[LOG_VALUE_BYTES_READ];
    size_t size = strnlen(value, sizeof copy);
    memcpy(copy, value, size);
    redact_mask(copy, size);
    line->cut = line->cut || size > room;
    json_put_bytes(&line->writer, copy, size > room ? room : size);
}

static void line_begin(struct log_line *line, const char *level, const char *event)
{
    char now[CLOCK_TEXT_SIZE];
    clock_text(clock_now_ms(), now);
    line->text = BUFFER(LOG_LINE_BYTES_MAX);
    line->writer = json_writer_over(&line->text);
    line->cut = false;
    json_begin_object(&line->writer);
    json_put_member(&line->writer, "ts", now);
    json_put_member(&line->writer, "level", level);
    json_put_member(&line->writer, "component", logger.component);
    line_pair(line, "event", event);
}

/* One write(), so that lines of several processes do not mix.  A line that a full pipe does not
 * take is lost: a log must not hold up what it tells of. */
static void line_end(struct log_line *line)
{
    if (line->cut)
        json_put_member_bool(&line->writer, "cut", true);
    json_end_object(&line->writer);
    buffer_add_u8(&line->text, '\n');
    if (!failed(buffer_status(&line->text))) {
        int fd = logger.fd >= 0 ? logger.fd : STDERR_FILENO;
        ssize_t written = -1;
        do
            written = write(fd, line->text.bytes, line->text.size);
        while (written < 0 && errno == EINTR);
    }
    buffer_free(&line->text);
}

/* Repeats */

static void repeat_end(struct log_repeat *repeat)
{
    if (repeat->count > LOG_REPEATS_PER_SECOND) {
        struct log_line line;
        line_begin(&line, log_level_names[LOG_WARN], repeat->event);
        json_put_member_int(&line.writer, "held_back", repeat->count - LOG_REPEATS_PER_SECOND);
        line_end(&line);
    }
    *repeat = (struct log_repeat){0};
}

/* The event's place; a free one, or the oldest one's, where it has none. */
static struct log_repeat *repeat_find(const char *event)
{
    struct log_repeat *oldest = &logger.repeats[0];
    for (unsigned i = 0; i < LOG_EVENTS_MAX; i++) {
        struct log_repeat *repeat = &logger.repeats[i];
        if (strncmp(repeat->event, event, LOG_NAME_BYTES_MAX - 1) == 0)
            return repeat;
        if (repeat->since_ms < oldest->since_ms)
            oldest = repeat;
    }
    repeat_end(oldest);
    return oldest;
}

/* Counts the event; true when this one is to be written. */
static bool repeat_count(const char *event)
{
    int64_t now_ms = clock_monotonic_ms();
    struct log_repeat *repeat = repeat_find(event);
    if (repeat->event[0] != '\0' && now_ms - repeat->since_ms >= 1000)
        repeat_end(repeat);
    if (repeat->event[0] == '\0') {
        snprintf(repeat->event, sizeof repeat->event, "%s", event);
        repeat->since_ms = now_ms;
    }
    repeat->count++;
    return repeat->count <= LOG_REPEATS_PER_SECOND;
}

static void write_event(enum log_level level, const char *event, const struct status *status,
                        va_list pairs)
{
    assert(level < LOG_LEVEL_COUNT);
    assert(event != NULL && event[0] != '\0');
    if ((int)level < atomic_load(&logger.level))
        return;

    OWNED(unlock_end) pthread_mutex_t *lock = &logger.lock;
    pthread_mutex_lock(lock);
    if (!repeat_count(event))
        return;
    struct log_line line;
    line_begin(&line, log_level_names[level], event);
    if (status != NULL) {
        line_pair(&line, "why", status_name(status->why));
        line_pair(&line, "where", status->where);
    }
    for (unsigned i = 0; i < LOG_PAIRS_MAX; i++) {
        const char *key = va_arg(pairs, const char *);
        if (key == NULL)
            break;
        line_pair(&line, key, va_arg(pairs, const char *));
    }
    line_end(&line);
}

void log_event(enum log_level level, const char *event, ...)
{
    va_list pairs;
    va_start(pairs, event);
    write_event(level, event, NULL, pairs);
    va_end(pairs);
}

void log_failure(enum log_level level, const char *event, struct status status, ...)
{
    va_list pairs;
    va_start(pairs, status);
    write_event(level, event, &status, pairs);
    va_end(pairs);
}

void log_flush(void)
{
    OWNED(unlock_end) pthread_mutex_t *lock = &logger.lock;
    pthread_mutex_lock(lock);
    for (unsigned i = 0; i < LOG_EVENTS_MAX; i++) {
        struct log_repeat *repeat = &logger.repeats[i];
        if (repeat->count <= LOG_REPEATS_PER_SECOND)
            continue;
        repeat_end(repeat);
    }
}
