/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded by tests/flow/unwiped.py: makes chosen calls that wipe memory do nothing, so that a
 * test can see what they are good for.  No part of any program; nothing in the product knows it.
 *
 * In      UNWIPED, a folder with a file for each program, of its name: struct orders, changed by
 *         the test while the program runs.
 * Out     sodium_memzero(), explicit_bzero() and OPENSSL_cleanse() that do nothing where called
 *         from the places ordered, and wipe where called from anywhere else. */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ORDERS_MAX 500u

/* unwiped.py writes the same. */
struct orders {
    uint64_t libssl; /* Not 0: also what libssl wipes of plain text. */
    uint64_t count;
    uint64_t returns[ORDERS_MAX]; /* Where the calls return to, from the program's start. */
};

static const volatile struct orders *orders;
static uintptr_t program_start;
static uintptr_t libssl_start;
static uintptr_t libssl_end;

void sodium_memzero(void *memory, size_t size);
void OPENSSL_cleanse(void *memory, size_t size);
void __explicit_bzero_chk(void *memory, size_t size, size_t room);

static int module_note(struct dl_phdr_info *info, size_t size, void *owner)
{
    bool *first = owner;
    (void)size;
    if (*first)
        program_start = info->dlpi_addr;
    *first = false;
    if (strstr(info->dlpi_name, "libssl.so") == NULL)
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        if (info->dlpi_phdr[i].p_type != PT_LOAD || (info->dlpi_phdr[i].p_flags & PF_X) == 0)
            continue;
        libssl_start = start;
        libssl_end = start + info->dlpi_phdr[i].p_memsz;
    }
    return 0;
}

__attribute__((constructor)) static void orders_open(void)
{
    char path[4096];
    bool first = true;
    const char *folder = secure_getenv("UNWIPED");
    if (folder == NULL)
        return;
    (void)snprintf(path, sizeof path, "%s/%s", folder, program_invocation_short_name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    void *mapping = mmap(NULL, sizeof *orders, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapping == MAP_FAILED)
        return;
    dl_iterate_phdr(module_note, &first);
    orders = mapping;
}

/* True when the call that returns to `at` is to do nothing. */
static bool is_off(const void *at)
{
    uintptr_t address = (uintptr_t)at;
    if (orders == NULL)
        return false;
    for (uint64_t i = 0; i < orders->count && i < ORDERS_MAX; i++)
        if (address == program_start + orders->returns[i])
            return true;
    return orders->libssl != 0 && address >= libssl_start && address < libssl_end;
}

static void wipe(void *memory, size_t size, const void *at)
{
    if (size == 0 || is_off(at))
        return;
    memset(memory, 0, size);
    __asm__ volatile("" : : "r"(memory) : "memory");
}

void sodium_memzero(void *memory, size_t size)
{
    wipe(memory, size, __builtin_return_address(0));
}

void explicit_bzero(void *memory, size_t size)
{
    wipe(memory, size, __builtin_return_address(0));
}

void __explicit_bzero_chk(void *memory, size_t size, size_t room)
{
    (void)room;
    wipe(memory, size, __builtin_return_address(0));
}

void OPENSSL_cleanse(void *memory, size_t size)
{
    wipe(memory, size, __builtin_return_address(0));
}
