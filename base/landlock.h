/* SPDX-License-Identifier: Apache-2.0 */
/* base/landlock.h -- the files that a process can reach, and no others.
 *
 * In      paths, each with what is to be done there.
 * Out     a restriction in the kernel (Landlock) that no later call can take away: all else cannot
 *         be opened, whatever its mode and whoever we are.
 * Never   closes what is open already; fails for a path that is not there.
 * Threads before any starts; later ones inherit it.
 */
#ifndef BASE_LANDLOCK_H
#define BASE_LANDLOCK_H

#include <stddef.h>

#include "base/status.h"

enum landlock_reach {
    LANDLOCK_READ,    /* A file, or every file below a folder. */
    LANDLOCK_BESIDE,  /* As LANDLOCK_READ, for the folder that the file is in: others replace it. */
    LANDLOCK_APPEND,  /* A file is written: /dev/null. */
    LANDLOCK_REPLACE, /* Files of a folder are written, renamed and removed, and not read. */
    LANDLOCK_KEEP,    /* A folder is its own: all that can be done with files. */
    LANDLOCK_OF_FILE, /* As LANDLOCK_REPLACE, for the folder that the file is in. */
};

struct landlock_path {
    const char *path; /* NULL, or nothing there: passed over. */
    enum landlock_reach reach;
};

/* What is left of the network, on kernels that can say so (Linux 6.7). */
enum landlock_network { LANDLOCK_NO_NETWORK, LANDLOCK_LISTENS, LANDLOCK_LISTENS_AND_DIALS };

struct landlock_options {
    const struct landlock_path *paths;
    size_t path_count;
    enum landlock_network network;
};

/* WHY_NOT_FOUND where this kernel has no Landlock; nothing is restricted then.  WHY_IO. */
STATUS landlock_restrict(const struct landlock_options *options);

/* The kernel's version of it: 0 for none. */
unsigned landlock_version(void);

#endif
