/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/help.h"

#include <string.h>

#include "vault/cli/say.h"

struct help_text {
    const char *noun;
    const char *text;
};

static const struct help_text help_texts[] = {
    {"dev",
     "Ports without --ports: vault 8443, relay 8444, sandbox 8445, the relay's listeners for the\n"
     "sandbox 8446 and 8447, metrics 9464 and 9465.  With --ports BASE: BASE to BASE+6, in that\n"
     "order.  Nothing is ever written over.\n\n"
     "Examples:\n"
     "  cardkeep dev init .cardkeep\n"
     "  cardkeep dev init --ports 21000 /tmp/second\n"},
    {"status", "Examples:\n"
               "  cardkeep status\n"
               "  cardkeep status --json --config .cardkeep/cli.yaml\n"},
    {"token",
     "The number is read from standard input, or asked for without echo; it is never an argument,\n"
     "where every process on the machine could read it.  With --cvv a second line is the CVV.\n\n"
     "Examples:\n"
     "  cardkeep token create --exp 12/2031\n"
     "  cardkeep token create --exp 12/2031 --name 'A. Example' --json < number.txt\n"
     "  cardkeep token show tok_test_...\n"
     "  cardkeep token delete tok_test_...\n"},
    {"audit",
     "Over a running daemon the entries are fetched with the auditor's certificate; with --store\n"
     "they are read from the disk, offline, also beside a running daemon.  Exit code 1 means that\n"
     "the log is not what was signed.\n\n"
     "Examples:\n"
     "  cardkeep audit verify\n"
     "  cardkeep audit verify --relay --json\n"
     "  cardkeep audit verify --store .cardkeep/data/vault "
     "--verifier .cardkeep/keys/vault-signer.pub\n"
     "  cardkeep audit tail --count 20\n"},
    {"init",
     "For a vault whose configuration says `seal: {kind: shares}` and that has no seal yet.  The\n"
     "root key is drawn when all custodians have accepted, and goes into force when all have\n"
     "proven their shares; until then nothing has changed.  vault/CEREMONIES.md has the whole.\n\n"
     "Examples:\n"
     "  cardkeep init --threshold 3 custodian-1 custodian-2 custodian-3 custodian-4 custodian-5\n"
     "  cardkeep init --threshold 2 --within-seconds 14400 alice bob carol\n"
     "  cardkeep init   # where the configuration says `kind: pkcs11`\n"},
    {"unseal",
     "The share is asked for without echo, or read from standard input; it is never an argument,\n"
     "where every process on the machine could read it.\n\n"
     "Examples:\n"
     "  cardkeep unseal\n"
     "  cardkeep unseal --as custodian-2 --json\n"},
    {"seal",
     "migrate needs two persons: what it prints names the request, which somebody else approves.\n"
     "The new kind comes with a new root, and the vault goes on; 'cardkeep seal show' says when "
     "it\n"
     "is in force.  To shares, a ceremony begins then.  Write the new kind into the configuration\n"
     "at its end.  keys/HSM.md has the whole.\n\n"
     "Examples:\n"
     "  cardkeep seal show\n"
     "  cardkeep seal --reason 'somebody is in the building'\n"
     "  cardkeep seal cancel cer_...\n"
     "  cardkeep seal migrate --to pkcs11\n"
     "  cardkeep seal migrate --to shares --threshold 2 custodian-1 custodian-2 custodian-3\n"},
    {"rekey",
     "Two persons are needed: one asks, another says `cardkeep approvals approve`.  Then the "
     "steps\n"
     "are those of `init`.  The new shares come into force together, when the last custodian has\n"
     "proven its own; from then on the old ones, or the file or HSM of before, open nothing.\n\n"
     "Examples:\n"
     "  cardkeep rekey --threshold 3 --reason custodian-left custodian-1 custodian-2 custodian-3 "
     "\\\n"
     "    custodian-4 custodian-6\n"},
    {"rehearse",
     "A full ceremony against a backup: as many shares as are needed are typed, without echo,\n"
     "or come on standard input, one a line.  The backup is restored into a folder that "
     "goes\n"
     "away again, its root is held against its seal, and every row is opened.  The vault that "
     "runs\n"
     "is only told that it was done, for its log.\n\n"
     "Examples:\n"
     "  cardkeep rehearse --from backups/vault --verifier vault-signer.pub vault.yaml\n"},
    {"custodian",
     "Each custodian works on a machine of its own, with its own certificate and key file.  The\n"
     "share is shown once, by collect; --confirm leaves out reading it back.\n\n"
     "Examples:\n"
     "  cardkeep custodian key my-custodian.key\n"
     "  cardkeep custodian accept --key my-custodian.key\n"
     "  cardkeep custodian collect --key my-custodian.key\n"},
    {"backup",
     "create asks a running daemon and waits for the end of it; the others read the folder of\n"
     "backups, offline, also beside a running daemon.  Without --id it is the newest one.  What "
     "is\n"
     "restored is proven before it appears under its name; cardkeep-vault --verify-store then "
     "opens\n"
     "every record, with the seal.  vault/RESTORE.md has the whole of a restore.\n\n"
     "Examples:\n"
     "  cardkeep backup create\n"
     "  cardkeep backup list --from .cardkeep/backups/vault\n"
     "  cardkeep backup verify --from .cardkeep/backups/vault "
     "--verifier .cardkeep/keys/vault-signer.pub\n"
     "  cardkeep backup restore --from .cardkeep/backups/vault "
     "--verifier .cardkeep/keys/vault-signer.pub \\\n"
     "      --to .cardkeep/data/vault\n"},
    {"store",
     "Offline, also beside a running vault, with its configuration and so with its seal (of "
     "shares,\n"
     "as many as it takes are read from standard input, one a line): it runs\n"
     "cardkeep-vault --verify-store, and shows what that finds.  Each row that was swapped, "
     "renamed,\n"
     "put back from an earlier copy, orphaned or changed is named: family, key, one sentence.  "
     "What\n"
     "the rows should be it has from the audit log in the same store; with --verifier the log's\n"
     "signatures are asked too.  vault/CHECK.md says what cannot be found.   Exit code 1 when\n"
     "anything was found.\n\n"
     "Examples:\n"
     "  cardkeep store check .cardkeep/vault.yaml\n"
     "  cardkeep store check --json --verifier .cardkeep/keys/vault-signer.pub "
     ".cardkeep/vault.yaml\n"},
    {"signer",
     "The vault's audit log, or with --relay the relay's.  The next key is named in the log under\n"
     "the old one's signature; then both sign, for as long as `signer: {overlap: ...}` says; then\n"
     "the old one is overwritten.  Who verifies with the old key's .pub file follows by itself;\n"
     "hand out the new one in the overlap: a .pub file may hold both, a line each.\n\n"
     "Examples:\n"
     "  cardkeep signer show\n"
     "  cardkeep signer rotate\n"
     "  cardkeep signer rotate --relay --json\n"},
    {"keys",
     "list, show and the changes ask a running vault with the security engineer's certificate, or\n"
     "with that of --as NAME.  compromise and destroy need two persons: what they print names the\n"
     "request, which somebody else approves.  To ask for a compromise takes the key out of use at\n"
     "once.  exposure and prove read the audit log, which is proven whole on the way: over a\n"
     "running vault with the auditor's certificate, or offline with --store.  keys/ROTATE.md has\n"
     "the whole of a rotation and of a compromise.\n\n"
     "Examples:\n"
     "  cardkeep keys list --state active\n"
     "  cardkeep keys show 12 --json\n"
     "  cardkeep keys inventory --json > inventory.json\n"
     "  cardkeep keys rotate kek --reason custodian-left\n"
     "  cardkeep keys rotate dek --tenant demo --rate 2000 --watch\n"
     "  cardkeep keys pause job_3\n"
     "  cardkeep keys compromise 12 --reason 'a laptop was lost'\n"
     "  cardkeep keys exposure 12 --from 2026-11-01T00:00:00Z --to 2026-11-23T12:00:00Z\n"
     "  cardkeep keys exposure 12 --json --store .cardkeep/data/vault "
     "--verifier .cardkeep/keys/vault-signer.pub\n"
     "  cardkeep keys prove 12 --to proofs\n"
     "  cardkeep keys prove --check proofs/key-12-statement.tlog-proof "
     "--verifier .cardkeep/keys/vault-signer.pub\n"},
    {"approvals",
     "What destroys, compromises, erases or changes the seal needs two: one asks, and another,\n"
     "with another certificate, approves before the deadline.  Whoever asked, or could approve,\n"
     "may cancel.\n\n"
     "Examples:\n"
     "  cardkeep approvals list\n"
     "  cardkeep approvals approve apr_3 --as security-2\n"
     "  cardkeep approvals cancel apr_3\n"},
    {"erase", "A token goes at once; a tenant's cards, or all under one key (an epoch), when a "
              "second person\n"
              "approves.  Rows go first; then the store's files are written anew, and searched for "
              "what was\n"
              "erased and, as a proof, for what was not.  The report is in the log.  With "
              "--backups a fresh\n"
              "backup takes the place of all older ones.  Exit code 1: erased bytes were found.\n\n"
              "Examples:\n"
              "  cardkeep erase token --tenant shop tok_test_...\n"
              "  cardkeep erase tenant shop --backups\n"
              "  cardkeep approvals approve apr_3 --as security-2\n"
              "  cardkeep erase epoch 12\n"
              "  cardkeep erase show ers_3 --wait\n"},
    {"retention",
     "Cards go by themselves once their time is over: their own expires_at, or the tenant's\n"
     "`retention` in the policies.  The report asks every record for its age, whatever the vault\n"
     "thinks when it is due.  Exit code 1: some are kept for longer.\n\n"
     "Examples:\n"
     "  cardkeep retention report\n"
     "  cardkeep retention report --json\n"},
    {"scan",
     "Offline.  Finds numbers of 13 to 19 digits with a known prefix and a right check digit, as\n"
     "digits with or without separators, as UTF-16, as packed BCD, and inside base64.  Says "
     "where,\n"
     "and never more than the last four digits.  Links inside folders are not followed; what is\n"
     "left out or cannot be read is named.  Compressed and encrypted data is not opened: it looks\n"
     "random, and what looks like BCD in it is counted as chance; --all lists that too.  Exit "
     "code\n"
     "1 when anything was found, or could not be read.\n\n"
     "Examples:\n"
     "  cardkeep scan .\n"
     "  cardkeep scan --json /var/log/shop\n"},
    {"help", "Examples:\n"
             "  cardkeep help\n"
             "  cardkeep help token\n"},
};

static void command_line(const struct cli_command *command)
{
    say_out("  cardkeep %s%s%s %s\n      %s\n", command->noun, command->verb[0] == '\0' ? "" : " ",
            command->verb, command->usage, command->about);
}

static void help_all(void)
{
    say_out("cardkeep -- cards in a vault, tokens everywhere else\n\n");
    for (const struct cli_command *command = cli_commands; command->noun != NULL; command++)
        command_line(command);
    say_out("\nWithout --config FILE it is $CARDKEEP_CONFIG, else .cardkeep/cli.yaml.\n"
            "Exit codes: 0 done, 1 found something wrong, 2 wrong usage, 3 could not reach,\n"
            "4 refused by policy, 5 sealed.  'cardkeep help NOUN' has examples.\n");
}

enum cli_exit help_run(const struct cli_arguments *arguments)
{
    if (arguments->word_count == 0) {
        help_all();
        return CLI_DONE;
    }
    const char *noun = arguments->words[0];
    for (unsigned i = 0; i < sizeof help_texts / sizeof help_texts[0]; i++) {
        if (strcmp(help_texts[i].noun, noun) != 0)
            continue;
        for (const struct cli_command *command = cli_commands; command->noun != NULL; command++)
            if (strcmp(command->noun, noun) == 0)
                command_line(command);
        say_out("\n%s", help_texts[i].text);
        return CLI_DONE;
    }
    say_error("'%s' is not a noun that cardkeep knows; see 'cardkeep help'", noun);
    return CLI_USAGE;
}
