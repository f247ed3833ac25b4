/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/cli.h"

#include <assert.h>
#include <string.h>

#include "vault/cli/approvals.h"
#include "vault/cli/audit.h"
#include "vault/cli/backup.h"
#include "vault/cli/ceremony.h"
#include "vault/cli/custodian.h"
#include "vault/cli/dev.h"
#include "vault/cli/erase.h"
#include "vault/cli/exposure.h"
#include "vault/cli/health.h"
#include "vault/cli/help.h"
#include "vault/cli/inventory.h"
#include "vault/cli/keys.h"
#include "vault/cli/migrate.h"
#include "vault/cli/prove.h"
#include "vault/cli/rehearse.h"
#include "vault/cli/rotation.h"
#include "vault/cli/say.h"
#include "vault/cli/scan.h"
#include "vault/cli/signer.h"
#include "vault/cli/store_check.h"
#include "vault/cli/token.h"

const struct cli_command cli_commands[] = {
    {"dev", "init", "[--ports BASE] [--gateways DIR] DIR",
     "Make a development vault and relay: certificates, keys, policies, configuration.",
     " json ports: gateways: ", 1, 1, dev_init},
    {"status", "", "[--json] [--config FILE]", "Ask vault and relay whether they are ready.",
     " json config: ", 0, 0, health_status},
    {"token", "create", "[--json] [--config FILE] --exp MM/YYYY [--name TEXT] [--cvv]",
     "Store a card; its number is read from standard input, never from the command line.",
     " json config: exp: name: cvv ", 0, 0, token_create},
    {"token", "show", "[--json] [--config FILE] TOKEN", "Show what a token stands for, masked.",
     " json config: ", 1, 1, token_show},
    {"token", "delete", "[--json] [--config FILE] TOKEN", "Erase a token and its card.",
     " json config: ", 1, 1, token_delete},
    {"audit", "verify",
     "[--json] [--config FILE] [--relay] | --store DIR --verifier KEY [--origin NAME]",
     "Prove that an audit log is whole and unchanged, or name what is not.",
     " json config: relay store: verifier: origin: ", 0, 0, audit_verify_command},
    {"audit", "tail", "[--json] [--config FILE] [--relay | --store DIR] [--count N]",
     "Show the newest entries of an audit log.", " json config: relay store: count: ", 0, 0,
     audit_tail_command},
    {"backup", "create", "[--json] [--config FILE] [--relay]",
     "Copy a running daemon's store into its folder of backups.", " json config: relay ", 0, 0,
     backup_create_command},
    {"backup", "list", "[--json] --from DIR", "Show what a folder of backups holds.",
     " json from: ", 0, 0, backup_list_command},
    {"backup", "verify", "[--json] --from DIR --verifier KEY [--origin NAME] [--id N]",
     "Prove that a backup is whole: every file, and the audit log in it.",
     " json from: verifier: origin: id: ", 0, 0, backup_verify_command},
    {"backup", "restore", "[--json] --from DIR --verifier KEY [--origin NAME] [--id N] --to DIR",
     "Make a store from a backup, in a folder that is empty or missing, and prove it whole.",
     " json from: verifier: origin: id: to: ", 0, 0, backup_restore_command},
    {"store", "check", "[--json] [--verifier KEY] VAULT.YAML",
     "Name every row of a vault's store that is not what was written last.", " json verifier: ", 1,
     1, store_check_command},
    {"keys", "list", "[--json] [--config FILE] [--as NAME] [--tenant T] [--purpose P] [--state S]",
     "Show the vault's keys: what each is for, its state and its period.",
     " json config: as: tenant: purpose: state: ", 0, 0, keys_list},
    {"keys", "show", "[--json] [--config FILE] [--as NAME] ID", "Show one key.",
     " json config: as: ", 1, 1, keys_show},
    {"keys", "inventory", "[--json] [--config FILE] [--as NAME]",
     "Show the cryptographic architecture: root, keys, signers, certificates, algorithms.",
     " json config: as: ", 0, 0, inventory_run},
    {"keys", "suspend", "[--json] [--config FILE] [--as NAME] [--reason TEXT] ID",
     "Have a key encrypt nothing more, for now; what it sealed still opens.",
     " json config: as: reason: ", 1, 1, keys_suspend},
    {"keys", "activate", "[--json] [--config FILE] [--as NAME] [--reason TEXT] ID",
     "Have a suspended key encrypt again.", " json config: as: reason: ", 1, 1, keys_activate},
    {"keys", "deactivate", "[--json] [--config FILE] [--as NAME] [--reason TEXT] ID",
     "Have a key encrypt nothing more, for good; what it sealed still opens.",
     " json config: as: reason: ", 1, 1, keys_deactivate},
    {"keys", "compromise",
     "[--json] [--config FILE] [--as NAME] [--reason TEXT] [--within SECONDS] ID",
     "Take a key out of use at once, and ask for it to be declared compromised.",
     " json config: as: reason: within: ", 1, 1, keys_compromise},
    {"keys", "destroy",
     "[--json] [--config FILE] [--as NAME] [--reason TEXT] [--within SECONDS] ID",
     "Ask for a key that nothing depends on to be destroyed.",
     " json config: as: reason: within: ", 1, 1, keys_destroy},
    {"keys", "rotate",
     "[--json] [--config FILE] [--as NAME] [--tenant T] [--reason R] [--key ID] [--suite S] "
     "[--rate N] [--watch] [--relay] kek|dek|fingerprint|signer",
     "Give keys successors, and have moved what is under the old ones.",
     " json config: as: tenant: reason: key: suite: rate: watch relay ", 1, 1, rotation_rotate},
    {"keys", "jobs", "[--json] [--config FILE] [--as NAME]", "Show what is being moved, and was.",
     " json config: as: ", 0, 0, rotation_jobs},
    {"keys", "watch", "[--json] [--config FILE] [--as NAME] JOB",
     "Wait for a job's end, with a bar at a terminal.", " json config: as: ", 1, 1, rotation_watch},
    {"keys", "pause", "[--json] [--config FILE] [--as NAME] JOB", "Pause a job.",
     " json config: as: ", 1, 1, rotation_pause},
    {"keys", "resume", "[--json] [--config FILE] [--as NAME] JOB",
     "Let a job go on that is paused, or that failed.", " json config: as: ", 1, 1,
     rotation_resume},
    {"keys", "rate", "[--json] [--config FILE] [--as NAME] --rate N JOB",
     "Bound a job's records a second.", " json config: as: rate: ", 1, 1, rotation_rate},
    {"keys", "exposure",
     "[--json] [--config FILE] [--from TIME] [--to TIME] [--store DIR --verifier KEY] ID",
     "List the tokens that were sealed or opened under a key, by whom and from where.",
     " json config: from: to: store: verifier: origin: ", 1, 1, exposure_run},
    {"keys", "prove",
     "[--json] [--config FILE] [--to DIR] [--store DIR --verifier KEY] ID | --check FILE "
     "[--verifier KEY]",
     "Write a proof that a key is no more, or check one offline.",
     " json config: to: check: store: verifier: origin: ", 0, 1, prove_run},
    {"signer", "show", "[--json] [--config FILE] [--as NAME] [--relay]",
     "Show which key signs the audit log, and which one follows.", " json config: as: relay ", 0, 0,
     signer_show_command},
    {"signer", "rotate", "[--json] [--config FILE] [--as NAME] [--relay]",
     "Have the audit log signed with another key.", " json config: as: relay ", 0, 0,
     signer_rotate_command},
    {"approvals", "list", "[--json] [--config FILE] [--as NAME] [--all]",
     "Show what waits for a second person.", " json config: as: all ", 0, 0, approvals_list},
    {"approvals", "approve", "[--json] [--config FILE] [--as NAME] REQUEST",
     "Carry out what somebody else asked for.", " json config: as: ", 1, 1, approvals_approve},
    {"approvals", "cancel", "[--json] [--config FILE] [--as NAME] REQUEST", "Take back a request.",
     " json config: as: ", 1, 1, approvals_cancel},
    {"erase", "token", "[--json] [--config FILE] [--as NAME] --tenant T [--backups] TOKEN",
     "Erase a token and every byte of its card, and prove it.",
     " json config: as: tenant: backups ", 1, 1, erase_token_run},
    {"erase", "tenant", "[--json] [--config FILE] [--as NAME] [--backups] TENANT",
     "Ask for all of a tenant's cards to be erased.", " json config: as: backups ", 1, 1,
     erase_tenant_run},
    {"erase", "epoch", "[--json] [--config FILE] [--as NAME] [--backups] KEY",
     "Ask for all cards under one key to be erased, and the key with them.",
     " json config: as: backups ", 1, 1, erase_epoch_run},
    {"erase", "show", "[--json] [--config FILE] [--as NAME] [--wait] ERASURE",
     "Show how far an erasure came, or its report.", " json config: as: wait ", 1, 1,
     erase_show_run},
    {"retention", "report", "[--json] [--config FILE] [--as NAME]",
     "Count the records that are kept for longer than their time: there must be none.",
     " json config: as: ", 0, 0, erase_retention_run},
    {"init", "",
     "[--json] [--config FILE] [--as NAME] [--threshold K [--within-seconds S] NAME...]",
     "Begin the ceremony that gives a new vault its root key, in shares of these custodians.",
     " json config: as: threshold: within-seconds: reason: ", 0, 16, ceremony_init_command},
    {"unseal", "", "[--json] [--config FILE] [--as NAME]",
     "Give your share, from standard input; with enough of them the vault opens.",
     " json config: as: ", 0, 0, ceremony_unseal_command},
    {"seal", "migrate",
     "[--json] [--config FILE] [--as NAME] --to pkcs11|file | --to shares --threshold K NAME...",
     "Ask for a new root in another kind of seal, while the vault goes on.",
     " json config: as: to: threshold: within-seconds: reason: ", 0, 16, migrate_run},
    {"seal", "show", "[--json] [--config FILE] [--as NAME]",
     "Show whether the vault is sealed, by what, and how a ceremony goes.", " json config: as: ", 0,
     0, ceremony_seal_show_command},
    {"seal", "cancel", "[--json] [--config FILE] [--as NAME] [--reason TEXT] CEREMONY",
     "End a ceremony before its end, under your name.", " json config: as: reason: ", 1, 1,
     ceremony_seal_cancel_command},
    {"seal", "", "[--json] [--config FILE] [--as NAME] [--reason TEXT]",
     "Seal the vault: its keys, codes and opened cards are forgotten.",
     " json config: as: reason: ", 0, 0, ceremony_seal_command},
    {"rekey", "",
     "[--json] [--config FILE] [--as NAME] --threshold K [--within-seconds S] [--reason TEXT] "
     "NAME...",
     "Ask for a new root key in new shares; another person approves, then the old ones are dead.",
     " json config: as: threshold: within-seconds: reason: ", 2, 16, ceremony_rekey_command},
    {"rehearse", "",
     "[--json] [--config FILE] [--as NAME] --from DIR --verifier KEY [--origin NAME] [--id N] "
     "VAULT.YAML",
     "Open a backup with shares, from standard input, and read every row; touches nothing.",
     " json config: as: from: verifier: origin: id: ", 1, 1, rehearse_command},
    {"custodian", "key", "[--json] FILE", "Make your own key, in a file that is new.", " json ", 1,
     1, custodian_key_command},
    {"custodian", "accept",
     "[--json] [--config FILE] [--as NAME] --key FILE [--yes] [--ceremony ID]",
     "Accept a custodian's duty in a ceremony.", " json config: as: key: yes ceremony: ", 0, 0,
     custodian_accept_command},
    {"custodian", "collect",
     "[--json] [--config FILE] [--as NAME] --key FILE [--confirm] [--ceremony ID]",
     "Fetch your share, which is shown once, and read it back.",
     " json config: as: key: confirm ceremony: ", 0, 0, custodian_collect_command},
    {"custodian", "confirm", "[--json] [--config FILE] [--as NAME] [--ceremony ID]",
     "Read back a share that was shown, where 'collect' did not get as far.",
     " json config: as: ceremony: ", 0, 0, custodian_confirm_command},
    {"scan", "", "[--json] [--all] PATH...", "Look for card numbers in files and folders.",
     " json all ", 1, CLI_WORDS_MAX, scan_run},
    {"help", "", "[NOUN]", "Explain a noun, with examples.", " ", 0, 1, help_run},
    {0},
};

static const struct cli_command *command_find(const char *noun, const char *verb)
{
    for (const struct cli_command *command = cli_commands; command->noun != NULL; command++)
        if (strcmp(command->noun, noun) == 0 &&
            (command->verb[0] == '\0' || (verb != NULL && strcmp(command->verb, verb) == 0)))
            return command;
    return NULL;
}

static bool noun_known(const char *noun)
{
    for (const struct cli_command *command = cli_commands; command->noun != NULL; command++)
        if (strcmp(command->noun, noun) == 0)
            return true;
    return false;
}

/* Finds " name " or " name:" in the command's list; *out_valued says which. */
static bool option_known(const struct cli_command *command, const char *name, size_t size,
                         bool *out_valued)
{
    const char *at = command->options;
    while ((at = strchr(at, ' ')) != NULL && at[1] != '\0') {
        at++;
        if (strncmp(at, name, size) == 0 && (at[size] == ' ' || at[size] == ':')) {
            *out_valued = at[size] == ':';
            return true;
        }
    }
    return false;
}

/* Takes argv[*index], an option, and its value; moves *index past both. */
static bool option_take(const struct cli_command *command, int argc, char **argv, int *index,
                        struct cli_arguments *out)
{
    const char *name = argv[*index] + 2;
    const char *equals = strchr(name, '=');
    size_t size = equals == NULL ? strlen(name) : (size_t)(equals - name);
    bool valued = false;
    if (size == 0 || !option_known(command, name, size, &valued)) {
        say_error("%s %s does not take --%.*s; see 'cardkeep help %s'", command->noun,
                  command->verb, (int)size, name, command->noun);
        return false;
    }
    if (!valued && equals != NULL) {
        say_error("--%.*s takes no value; see 'cardkeep help %s'", (int)size, name, command->noun);
        return false;
    }
    if (out->option_count == CLI_OPTIONS_MAX) {
        say_error("that is more than %u options", CLI_OPTIONS_MAX);
        return false;
    }
    struct cli_option *option = &out->options[out->option_count++];
    option->name = name;
    option->value = "";
    (*index)++;
    if (!valued)
        return true;
    if (equals != NULL) {
        option->value = equals + 1;
        return true;
    }
    if (*index == argc) {
        say_error("--%s wants a value; see 'cardkeep help %s'", name, command->noun);
        return false;
    }
    option->value = argv[(*index)++];
    return true;
}

static enum cli_exit words_check(const struct cli_command *command,
                                 const struct cli_arguments *arguments)
{
    if (arguments->word_count >= command->words_min && arguments->word_count <= command->words_max)
        return CLI_DONE;
    say_error("usage: cardkeep %s%s%s %s", command->noun, command->verb[0] == '\0' ? "" : " ",
              command->verb, command->usage);
    return CLI_USAGE;
}

enum cli_exit cli_parse(int argc, char **argv, const struct cli_command **out_command,
                        struct cli_arguments *out)
{
    assert(out_command != NULL);
    assert(out != NULL);
    *out = (struct cli_arguments){.program = argc > 0 ? argv[0] : "cardkeep"};
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        *out_command = command_find("help", NULL);
        return argc < 2 ? CLI_USAGE : CLI_DONE;
    }
    if (!noun_known(argv[1])) {
        say_error("'%s' is not a noun that cardkeep knows; see 'cardkeep help'", argv[1]);
        return CLI_USAGE;
    }
    const struct cli_command *command = command_find(argv[1], argc > 2 ? argv[2] : NULL);
    if (command == NULL) {
        say_error("'%s' wants a verb; see 'cardkeep help %s'", argv[1], argv[1]);
        return CLI_USAGE;
    }
    bool options_over = false;
    for (int index = command->verb[0] == '\0' ? 2 : 3; index < argc;) {
        const char *word = argv[index];
        if (!options_over && strcmp(word, "--") == 0) {
            options_over = true;
            index++;
        } else if (!options_over && strcmp(word, "--help") == 0) {
            out->words[0] = command->noun;
            out->word_count = 1;
            *out_command = command_find("help", NULL);
            return CLI_DONE;
        } else if (!options_over && strncmp(word, "--", 2) == 0) {
            if (!option_take(command, argc, argv, &index, out))
                return CLI_USAGE;
        } else if (out->word_count == CLI_WORDS_MAX) {
            say_error("that is more than %u words; give a folder instead", CLI_WORDS_MAX);
            return CLI_USAGE;
        } else {
            out->words[out->word_count++] = word;
            index++;
        }
    }
    enum cli_exit code = words_check(command, out);
    if (code == CLI_DONE)
        *out_command = command;
    return code;
}

const char *cli_option(const struct cli_arguments *arguments, const char *name)
{
    size_t size = strlen(name);
    for (unsigned i = 0; i < arguments->option_count; i++) {
        const struct cli_option *option = &arguments->options[i];
        if (strncmp(option->name, name, size) == 0 &&
            (option->name[size] == '\0' || option->name[size] == '='))
            return option->value;
    }
    return NULL;
}

bool cli_wants_json(const struct cli_arguments *arguments)
{
    return cli_option(arguments, "json") != NULL;
}

bool cli_option_number(const struct cli_arguments *arguments, const char *name, long fallback,
                       long least, long most, long *out_value)
{
    assert(least <= most);
    const char *text = cli_option(arguments, name);
    if (text == NULL) {
        *out_value = fallback;
        return true;
    }
    long value = 0;
    bool good = text[0] != '\0' && strlen(text) <= 9;
    for (const char *at = text; good && *at != '\0'; at++) {
        good = *at >= '0' && *at <= '9';
        value = value * 10 + (*at - '0');
    }
    if (!good || value < least || value > most) {
        say_error("--%s wants a whole number from %ld to %ld", name, least, most);
        return false;
    }
    *out_value = value;
    return true;
}
