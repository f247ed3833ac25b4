/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/settings.h"

#include <assert.h>

void settings_vault(const struct settings_ports *ports, struct buffer *out)
{
    assert(ports != NULL);
    buffer_format(out,
                  "# A vault for development, by `cardkeep dev init`.\n"
                  "environment: development\n"
                  "data: data/vault\n"
                  "listen:\n"
                  "  api: {address: \"127.0.0.1:%u\", certificate: tls/vault/vault.pem, "
                  "key: tls/vault/vault.key, clients: tls/vault/clients.pem}\n"
                  "  metrics: {address: \"127.0.0.1:%u\"}\n"
                  "seal: {kind: file, path: seal.key}\n"
                  "signer: {key: keys/vault-signer.key, state: data/vault-signer.state, "
                  "origin: " SETTINGS_ORIGIN_VAULT "}\n"
                  "policies: policies.yaml\n"
                  "backup: {folder: backups/vault, keep: 7}\n"
                  "limits: {connections: 4096, body: 1MiB, in_flight: 8192}\n"
                  "log: {level: info}\n",
                  ports->vault, ports->vault_metrics);
}

static void destination_add(struct buffer *out, const char *name, const char *gateway,
                            unsigned port, unsigned listen)
{
    buffer_format(out,
                  "  %s:\n"
                  "    gateway: %s\n"
                  "    host: localhost\n"
                  "    port: %u\n"
                  "    authorities: tls/ca.pem\n"
                  "    allow: [\"127.0.0.0/8\", \"::1/128\"]\n"
                  "    listen: \"127.0.0.1:%u\"\n",
                  name, gateway, port, listen);
}

void settings_relay(const struct settings_ports *ports, const char *gateways, struct buffer *out)
{
    assert(ports != NULL);
    assert(gateways != NULL);
    buffer_format(
        out,
        "# A relay for development, by `cardkeep dev init`.\n"
        "environment: development\n"
        "data: data/relay\n"
        "listen:\n"
        "  api: {address: \"127.0.0.1:%u\", certificate: tls/relay/relay.pem, "
        "key: tls/relay/relay.key, clients: tls/relay/clients.pem}\n"
        "  metrics: {address: \"127.0.0.1:%u\"}\n"
        "vault: {address: \"127.0.0.1:%u\", name: localhost, authorities: tls/relay/vault-ca.pem, "
        "certificate: tls/relay/relay-client.pem, key: tls/relay/relay-client.key}\n"
        "signer: {key: keys/relay-signer.key, state: data/relay-signer.state, "
        "origin: " SETTINGS_ORIGIN_RELAY "}\n"
        "policies: policies.yaml\n"
        "backup: {folder: backups/relay, keep: 7}\n"
        "gateways: \"%s\"\n"
        "destinations:\n",
        ports->relay, ports->relay_metrics, ports->vault, gateways);
    destination_add(out, "sandbox", "sandbox", ports->sandbox, ports->sandbox_listen);
    destination_add(out, "stripe-sandbox", "stripe", ports->sandbox, ports->stripe_listen);
    buffer_add_text(out, "limits: {connections: 4096, body: 1MiB, in_flight: 8192}\n"
                         "log: {level: info}\n");
}

void settings_policies(struct buffer *out)
{
    buffer_add_text(
        out,
        "# Who may do what.  Both daemons read this file: deny by default, a deny beats an "
        "allow.\n"
        "tenants:\n"
        "  demo: {}\n"
        "  acme: {}\n"
        "principals:\n"
        "  shop: {uri: \"urn:cardkeep:demo:shop\", tenant: demo}\n"
        "  other: {uri: \"urn:cardkeep:acme:shop\", tenant: acme}\n"
        "  relay: {uri: \"urn:cardkeep:relay:main\"}\n"
        "  auditor: {uri: \"urn:cardkeep:auditor\"}\n"
        "  operator: {uri: \"urn:cardkeep:operator\"}\n"
        "  security: {uri: \"urn:cardkeep:security\"}\n"
        "  security-2: {uri: \"urn:cardkeep:security-2\"}\n"
        "  custodian-1: {uri: \"urn:cardkeep:custodian-1\"}\n"
        "  custodian-2: {uri: \"urn:cardkeep:custodian-2\"}\n"
        "  custodian-3: {uri: \"urn:cardkeep:custodian-3\"}\n"
        "  custodian-4: {uri: \"urn:cardkeep:custodian-4\"}\n"
        "  custodian-5: {uri: \"urn:cardkeep:custodian-5\"}\n"
        "destinations:\n"
        "  sandbox: {}\n"
        "  stripe-sandbox: {}\n"
        "rules:\n"
        "  - id: shop-tokenizes\n"
        "    effect: allow\n"
        "    actions: [card.tokenize, card.mask_read, card.delete, cvv.store]\n"
        "    principals: [shop]\n"
        "    tenants: [demo]\n"
        "  - id: shop-pays\n"
        "    effect: allow\n"
        "    actions: [card.submit]\n"
        "    principals: [shop]\n"
        "    tenants: [demo]\n"
        "    destinations: [sandbox, stripe-sandbox]\n"
        "  - id: other-tokenizes\n"
        "    effect: allow\n"
        "    actions: [card.tokenize, card.mask_read, card.delete, cvv.store]\n"
        "    principals: [other]\n"
        "    tenants: [acme]\n"
        "  - id: relay-leases\n"
        "    effect: allow\n"
        "    actions: [card.lease, card.settle]\n"
        "    principals: [relay]\n"
        "    tenants: [demo, acme]\n"
        "    destinations: [sandbox, stripe-sandbox]\n"
        "  - id: auditor-reads\n"
        "    effect: allow\n"
        "    actions: [audit.read]\n"
        "    principals: [auditor]\n"
        "  - id: operator-backs-up\n"
        "    effect: allow\n"
        "    actions: [backup.create]\n"
        "    principals: [operator]\n"
        "  - id: security-keeps-keys\n"
        "    effect: allow\n"
        "    actions: [seal.read, seal.manage, key.read, key.rotate, key.change, key.approve,\n"
        "              data.erase, retention.read]\n"
        "    principals: [security, security-2]\n"
        "  - id: custodians-open\n"
        "    effect: allow\n"
        "    actions: [seal.read, seal.share]\n"
        "    principals: [custodian-1, custodian-2, custodian-3, custodian-4, custodian-5]\n");
}

void settings_cli(const struct settings_ports *ports, struct buffer *out)
{
    assert(ports != NULL);
    buffer_format(out,
                  "# Where the command line finds the daemons, and as whom it calls them.\n"
                  "vault: {address: \"127.0.0.1:%u\", name: localhost, authorities: tls/ca.pem, "
                  "metrics: \"127.0.0.1:%u\"}\n"
                  "relay: {address: \"127.0.0.1:%u\", name: localhost, authorities: tls/ca.pem, "
                  "metrics: \"127.0.0.1:%u\"}\n"
                  "identity: {certificate: tls/shop.pem, key: tls/shop.key}\n"
                  "auditor: {certificate: tls/auditor.pem, key: tls/auditor.key}\n"
                  "operator: {certificate: tls/operator.pem, key: tls/operator.key}\n"
                  "security: {certificate: tls/security.pem, key: tls/security.key}\n"
                  "# Others who use this machine: --as NAME.\n"
                  "people:\n"
                  "  security-2: {certificate: tls/security-2.pem, key: tls/security-2.key}\n"
                  "  custodian-1: {certificate: tls/custodian-1.pem, key: tls/custodian-1.key}\n"
                  "  custodian-2: {certificate: tls/custodian-2.pem, key: tls/custodian-2.key}\n"
                  "  custodian-3: {certificate: tls/custodian-3.pem, key: tls/custodian-3.key}\n"
                  "  custodian-4: {certificate: tls/custodian-4.pem, key: tls/custodian-4.key}\n"
                  "  custodian-5: {certificate: tls/custodian-5.pem, key: tls/custodian-5.key}\n"
                  "verifiers: {vault: keys/vault-signer.pub, relay: keys/relay-signer.pub}\n",
                  ports->vault, ports->vault_metrics, ports->relay, ports->relay_metrics);
}
