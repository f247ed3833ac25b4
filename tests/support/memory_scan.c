/* SPDX-License-Identifier: Apache-2.0 */
/* Looks for byte strings in the memory of processes and in files: tests/flow/scan.py says which.
 *
 * In      lines: `pattern HEX`, then `process PID` and `file PATH`, in any number.
 * Out     for each of these `hit WHERE PATTERN ADDRESS REGION` a time it is there, then
 *         `read WHERE BYTES`; WHERE counts processes and files from 0, PATTERN patterns.
 *
 * What a process has mapped but cannot read itself is read too; pages that were never touched are
 * not, nor pages that are still what the file behind them is.  Of a page of a program or library
 * that was written to, as when its addresses were put in, the bytes that are as in the file are
 * nobody's card either. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATTERN_BYTES_MIN 4u
#define PATTERN_BYTES_MAX 256u
#define PATTERNS_MAX      100000u
#define HITS_MAX          200u /* Of one process or file: more say no more. */
#define PIECE_BYTES       (4u << 20)
#define PAGES_AT_ONCE     (PIECE_BYTES / 4096u)
#define FILTER_BITS       20u
#define NONE              UINT32_MAX

/* Of a page's entry in /proc/PID/pagemap: it is in memory, or in swap; and it is a file's own,
 * which in a private mapping nobody has written to. */
#define PAGE_EXISTS  (UINT64_C(3) << 62)
#define PAGE_OF_FILE (UINT64_C(1) << 61)

struct region {
    uint64_t first;
    uint64_t end;
    uint64_t file_at; /* What of the file stands at `first`. */
    bool shared;
    const char *name;
};

struct pattern {
    uint8_t *bytes;
    size_t size;
    uint32_t next; /* In its bucket. */
};

static struct {
    struct pattern *patterns;
    uint32_t count;
    uint32_t buckets[1u << FILTER_BITS];
    uint8_t filter[(1u << FILTER_BITS) / 8];
    uint8_t *piece;
    unsigned where;
    unsigned hits;
    uint64_t read_bytes;
    const struct region *region; /* Which is read, of a process. */
} scan;

__attribute__((noreturn)) static void fail(const char *what)
{
    (void)fprintf(stderr, "memory_scan: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint32_t hash_at(const uint8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return (word * UINT32_C(2654435761)) >> (32u - FILTER_BITS);
}

static uint8_t nibble(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

static void pattern_add(const char *hex)
{
    size_t size = strlen(hex) / 2;
    struct pattern *pattern = &scan.patterns[scan.count];
    if (scan.count == PATTERNS_MAX || size < PATTERN_BYTES_MIN || size > PATTERN_BYTES_MAX ||
        strncmp(hex, "00", 2) == 0)
        fail("a pattern that cannot be looked for");
    pattern->bytes = calloc(1, size);
    if (pattern->bytes == NULL)
        fail("memory");
    for (size_t i = 0; i < size; i++)
        pattern->bytes[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    pattern->size = size;
    uint32_t hash = hash_at(pattern->bytes);
    scan.filter[hash / 8] |= (uint8_t)(1u << hash % 8);
    pattern->next = scan.buckets[hash];
    scan.buckets[hash] = scan.count++;
}

/* Whether the file that the region maps, for itself alone, has the same bytes there. */
static bool is_of_file(const struct region *region, const struct pattern *pattern, uint64_t address)
{
    uint8_t bytes[PATTERN_BYTES_MAX];

    if (region == NULL || region->shared || region->name[0] != '/')
        return false;
    int fd = open(region->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    off_t at = (off_t)(region->file_at + (address - region->first));
    ssize_t got = pread(fd, bytes, pattern->size, at);
    close(fd);
    return got == (ssize_t)pattern->size && memcmp(bytes, pattern->bytes, pattern->size) == 0;
}

/* Tells of what begins at `at`, but for what the piece before has shown whole. */
static void look_at(const uint8_t *at, size_t left, size_t shown, uint64_t address,
                    const char *region)
{
    for (uint32_t i = scan.buckets[hash_at(at)]; i != NONE; i = scan.patterns[i].next) {
        const struct pattern *pattern = &scan.patterns[i];
        if (pattern->size > left || pattern->size <= shown ||
            memcmp(pattern->bytes, at, pattern->size) != 0 ||
            is_of_file(scan.region, pattern, address))
            continue;
        if (++scan.hits <= HITS_MAX)
            printf("hit %u %" PRIu32 " %" PRIx64 " %s\n", scan.where, i, address, region);
    }
}

/* `known` bytes at its start were in the piece before. */
static void look_through(const uint8_t *bytes, size_t size, size_t known, uint64_t address,
                         const char *region)
{
    static const uint8_t zeros[16];

    scan.read_bytes += size - known;
    for (size_t i = 0; i + PATTERN_BYTES_MIN <= size;) {
        if (bytes[i] == 0) { /* No pattern begins so. */
            bool many = i + sizeof zeros <= size && memcmp(bytes + i, zeros, sizeof zeros) == 0;
            i += many ? sizeof zeros : 1;
            continue;
        }
        uint32_t hash = hash_at(bytes + i);
        if (scan.filter[hash / 8] & 1u << hash % 8)
            look_at(bytes + i, size - i, i < known ? known - i : 0, address + i, region);
        i++;
    }
}

/* Pages that exist, without a gap; what cannot be read is gone by now. */
static void scan_pages(int memory, uint64_t first, uint64_t end, const char *region)
{
    for (uint64_t at = first; at < end;) {
        size_t known = at - first < PATTERN_BYTES_MAX ? (size_t)(at - first) : PATTERN_BYTES_MAX;
        size_t want = end - at < PIECE_BYTES ? (size_t)(end - at) : PIECE_BYTES;
        ssize_t got = pread(memory, scan.piece, known + want, (off_t)(at - known));
        if (got <= (ssize_t)known)
            return;
        look_through(scan.piece, (size_t)got, known, at - known, region);
        at += (uint64_t)got - known;
    }
}

static bool is_worth_reading(uint64_t entry, bool shared)
{
    return (entry & PAGE_EXISTS) != 0 && (shared || (entry & PAGE_OF_FILE) == 0);
}

static void scan_region(int memory, int pagemap, const struct region *region)
{
    static uint64_t entries[PAGES_AT_ONCE];
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t run = 0; /* Where the pages without a gap began; 0: there is a gap. */

    scan.region = region;
    for (uint64_t at = region->first; at < region->end;) {
        uint64_t pages = (region->end - at) / page;
        size_t want = pages < PAGES_AT_ONCE ? (size_t)pages : PAGES_AT_ONCE;
        ssize_t got = pread(pagemap, entries, want * sizeof entries[0],
                            (off_t)(at / page * sizeof entries[0]));
        if (got <= 0)
            break;
        for (size_t i = 0; i < (size_t)got / sizeof entries[0]; i++, at += page) {
            bool worth = is_worth_reading(entries[i], region->shared);
            if (worth && run == 0)
                run = at;
            if (!worth && run != 0) {
                scan_pages(memory, run, at, region->name);
                run = 0;
            }
        }
    }
    if (run != 0)
        scan_pages(memory, run, region->end, region->name);
}

static int open_of(const char *pid, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail(path);
    return fd;
}

static void scan_process(const char *pid)
{
    char line[4096];
    int memory = open_of(pid, "mem");
    int pagemap = open_of(pid, "pagemap");
    FILE *maps = fdopen(open_of(pid, "maps"), "r");
    if (maps == NULL)
        fail("maps");
    while (fgets(line, sizeof line, maps) != NULL) {
        struct region region = {.name = "anonymous"};
        char rights[5] = "";
        int name_at = 0;
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %*s %n", &region.first,
                   &region.end, rights, &region.file_at, &name_at) < 4)
            fail("a line of maps");
        region.shared = rights[3] == 's';
        if (name_at > 0 && line[name_at] != '\0')
            region.name = line + name_at;
        if (strcmp(region.name, "[vsyscall]") != 0 && strcmp(region.name, "[vvar]") != 0)
            scan_region(memory, pagemap, &region);
    }
    scan.region = NULL;
    (void)fclose(maps);
    close(pagemap);
    close(memory);
}

static void scan_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return; /* The store deletes files of its own. */
    if (fd < 0)
        fail(path);
    scan_pages(fd, 0, UINT64_MAX / 2, "file");
    close(fd);
}

static void obey(const char *line)
{
    if (strncmp(line, "pattern ", 8) == 0) {
        pattern_add(line + 8);
        return;
    }
    scan.hits = 0;
    scan.read_bytes = 0;
    if (strncmp(line, "process ", 8) == 0)
        scan_process(line + 8);
    else if (strncmp(line, "file ", 5) == 0)
        scan_file(line + 5);
    else
        fail("a line that is no order");
    printf("read %u %" PRIu64 "\n", scan.where++, scan.read_bytes);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;

    scan.patterns = calloc(PATTERNS_MAX, sizeof *scan.patterns);
    scan.piece = calloc(1, PIECE_BYTES + PATTERN_BYTES_MAX);
    if (scan.patterns == NULL || scan.piece == NULL)
        fail("memory");
    memset(scan.buckets, 0xff, sizeof scan.buckets);
    for (ssize_t size; (size = getline(&line, &room, stdin)) > 0;) {
        line[size - 1] = '\0';
        obey(line);
    }
    free(line);
    return 0;
}
