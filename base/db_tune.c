/* SPDX-License-Identifier: Apache-2.0 */
#include "base/db_tune.h"

#include <sys/resource.h>

#include "base/own.h"

/* Families of random keys: each insertion into a memtable is a search in it, which is fast while it
 * fits a core's cache.  So memtables are small, and four make a file.  What a look-up does not find
 * in one it is told by a filter. */
#define TUNE_MEMTABLE_BYTES  (4u << 20)
#define TUNE_MEMTABLES_MAX   12
#define TUNE_FLUSHED_AT_ONCE 4
#define TUNE_MEMTABLE_FILTER 0.05 /* Of its size. */
/* Sorted files beside each other, each looked into by its filter: more wait for their merging than
 * RocksDB would let, for it slows writers down and stops them where merging falls behind. */
#define TUNE_FILES_SLOW 48
#define TUNE_FILES_STOP 96
/* Flushing, and two that merge: a large merge does not hold up the small ones. */
#define TUNE_JOBS               3

#define TUNE_MEMTABLE_BYTES_MAX (256u << 20) /* Of all families together. */
#define TUNE_BLOOM_BITS         10.0
#define TUNE_PARTITION_BYTES    (16u << 10)

/* What a kill leaves at the end of the log is a record cut short: a write that nobody was told of.
 * "Absolute consistency" (1) would refuse such a store, and "point in time" (2) would silently
 * forget everything behind damage in the middle.  "Tolerate corrupted tail" (0) drops a cut record
 * at the end of the log and refuses what fails its checksum anywhere. */
#define TUNE_WAL_RECOVERY_MODE 0

/* RocksDB keeps a text log of its own, and an assertion in it ends the process when a full disk
 * took half a line.  Above the highest of its levels the file stays empty, as long as it is not one
 * of those that roll over.  What matters comes as db_trouble(). */
#define TUNE_INFO_LOG_SILENT 6

/* Each start makes table files of what the log holds, and small ones whose keys count upwards are
 * not merged for long: they must not use up a process's descriptors.  But one that is not open is
 * opened for each look-up, which costs ten of them. */
#define TUNE_FILES_OPEN_LEAST 512u
#define TUNE_FILES_OPEN_MOST  8192u

/* A manifest holds the first and last key of each table, also of those that are gone.  With this
 * bound RocksDB writes it anew often, a few kilobytes each time, and db_purge.c can make it. */
#define TUNE_MANIFEST_BYTES_MAX 4096

/* Half of what the process may have. */
static int files_open_max(void)
{
    struct rlimit limit = {0};

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 2 < TUNE_FILES_OPEN_LEAST)
        return (int)TUNE_FILES_OPEN_LEAST;
    return limit.rlim_cur / 2 < TUNE_FILES_OPEN_MOST ? (int)(limit.rlim_cur / 2)
                                                     : (int)TUNE_FILES_OPEN_MOST;
}

static void block_options_end(rocksdb_block_based_table_options_t **options)
{
    rocksdb_block_based_options_destroy(*options);
}

rocksdb_options_t *db_tune_store(const struct db_options *options)
{
    rocksdb_options_t *made = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(made, options->create);
    rocksdb_options_set_create_missing_column_families(made, !options->read_only);
    rocksdb_options_set_paranoid_checks(made, 1);
    rocksdb_options_set_wal_recovery_mode(made, TUNE_WAL_RECOVERY_MODE);
    rocksdb_options_set_max_total_wal_size(made, options->wal_bytes_max);
    rocksdb_options_set_db_write_buffer_size(made, TUNE_MEMTABLE_BYTES_MAX);
    rocksdb_options_set_allow_concurrent_memtable_write(made, 0); /* There is one writer. */
    rocksdb_options_set_skip_stats_update_on_db_open(made, 1);
    rocksdb_options_set_max_background_jobs(made, TUNE_JOBS);
    rocksdb_options_set_info_log_level(made, TUNE_INFO_LOG_SILENT);
    rocksdb_options_set_max_log_file_size(made, 0);
    rocksdb_options_set_keep_log_file_num(made, 1);
    rocksdb_options_set_max_open_files(made, files_open_max());
    rocksdb_options_set_max_manifest_file_size(made, TUNE_MANIFEST_BYTES_MAX);
    return made;
}

rocksdb_options_t *db_tune_family(const struct db_family *family, rocksdb_cache_t *cache)
{
    rocksdb_options_t *made = rocksdb_options_create();
    rocksdb_options_set_compression(made, rocksdb_no_compression); /* Sealed bytes do not shrink. */

    OWNED(block_options_end)
    rocksdb_block_based_table_options_t *blocks = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(blocks, cache);
    /* Indexes and filters live in the cache, so that memory does not grow with the records. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(blocks, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(blocks, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(blocks, 1);
    /* Keys that count upwards are asked for only where they are: their files' ranges tell. */
    if (family->random_keys || family->filtered)
        rocksdb_block_based_options_set_filter_policy(
            blocks, rocksdb_filterpolicy_create_bloom_full(TUNE_BLOOM_BITS));
    rocksdb_block_based_options_set_whole_key_filtering(blocks, 1);
    if (family->random_keys) {
        /* Files that are merged into one have a filter and an index of megabytes: in one piece they
         * do not fit into a shard of the cache, and each look-up would read them again. */
        rocksdb_block_based_options_set_index_type(
            blocks, rocksdb_block_based_table_index_type_two_level_index_search);
        rocksdb_block_based_options_set_partition_filters(blocks, 1);
        rocksdb_block_based_options_set_metadata_block_size(blocks, TUNE_PARTITION_BYTES);
        rocksdb_block_based_options_set_pin_top_level_index_and_filter(blocks, 1);
    }
    rocksdb_options_set_block_based_table_factory(made, blocks);

    if (family->random_keys) {
        rocksdb_options_set_memtable_whole_key_filtering(made, 1);
        rocksdb_options_set_memtable_prefix_bloom_size_ratio(made, TUNE_MEMTABLE_FILTER);
        rocksdb_options_set_write_buffer_size(made, TUNE_MEMTABLE_BYTES);
        rocksdb_options_set_max_write_buffer_number(made, TUNE_MEMTABLES_MAX);
        rocksdb_options_set_min_write_buffer_number_to_merge(made, TUNE_FLUSHED_AT_ONCE);
        /* A small file of random keys overlaps everything in the level below: levels would write
         * each row a dozen times and more on its way down. */
        rocksdb_options_set_compaction_style(made, rocksdb_universal_compaction);
        rocksdb_options_set_level0_slowdown_writes_trigger(made, TUNE_FILES_SLOW);
        rocksdb_options_set_level0_stop_writes_trigger(made, TUNE_FILES_STOP);
    }
    return made;
}

rocksdb_readoptions_t *db_tune_get(void)
{
    rocksdb_readoptions_t *made = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(made, 1);
    return made;
}

rocksdb_readoptions_t *db_tune_walk(void)
{
    rocksdb_readoptions_t *made = db_tune_get();
    /* A walk over everything must not push out what requests use. */
    rocksdb_readoptions_set_fill_cache(made, 0);
    return made;
}

rocksdb_writeoptions_t *db_tune_write(void)
{
    rocksdb_writeoptions_t *made = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(made, 1);
    return made;
}
