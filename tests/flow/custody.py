# SPDX-License-Identifier: Apache-2.0
"""Keys and approvals, as the tests of keys ask for them."""
from harness import check, equal, wait_until


def keys_of(system, **filters):
    """Every key that matches, page by page."""
    caller, found, after = system.vault("security"), [], 0
    while True:
        query = "&".join(f"{name}={value}" for name, value in
                         {**filters, "after": after, "limit": 3}.items())
        answer = caller.get(f"/v1/keys?{query}")
        equal(answer.status, 200, f"listing keys: {answer!r}")
        found += answer.json["keys"]
        if not answer.json["more"]:
            return found
        after = answer.json["keys"][-1]["id"]


def key_of(system, key_id):
    answer = system.vault("security").get(f"/v1/keys/{key_id}")
    equal(answer.status, 200, f"key {key_id}: {answer!r}")
    return answer.json


def active_key(system, level="dek", purpose="card"):
    found = [one for one in keys_of(system, purpose=purpose, state="active")
             if one["level"] == level]
    equal(len(found), 1, f"active keys: {found}")
    return found[0]


def change_key(system, key_id, what, who="security", body=None):
    return system.vault(who).post(f"/v1/keys/{key_id}/{what}", body or {})


def ask_for(system, key_id, what, who="security", **body):
    answer = change_key(system, key_id, what, who, {"reason": "a laptop was lost", **body})
    equal(answer.status, 202, f"asking to {what}: {answer!r}")
    return answer.json


def approve(system, request, who="security-2"):
    return system.vault(who).post(f"/v1/approvals/{request['approval']}")


def jobs_of(system):
    """{key: states of the jobs that empty it}."""
    found, after = {}, 0
    while True:
        page = system.vault("security").get(f"/v1/jobs?after={after}").json
        for one in page["jobs"]:
            found.setdefault(one["key"], []).append(one["state"])
            after = int(one["job"].removeprefix("job_"))
        if not page["more"]:
            return found


def jobs_rest(system):
    """Nothing is being moved, and nothing is about to be: a vault empties what was compromised by
    itself, and here it is asked to do so at once."""
    known = jobs_of(system)
    for one in keys_of(system, purpose="card", state="compromised"):
        if one["level"] == "dek" and one["id"] not in known:
            asked = system.vault("security").post("/v1/rotations", {
                "what": "dek", "tenant": "demo", "key": one["id"], "reason": "compromise"})
            check(asked.status in (202, 409), f"{asked!r}")  # 409: it has begun just now.
    wait_until(lambda: not any("running" in one for one in jobs_of(system).values()),
               "jobs are over")


def fresh_key(system):
    """A card alone under a key, with no job under way that could bring others."""
    jobs_rest(system)
    for one in keys_of(system, purpose="card", state="active"):
        if one["level"] == "dek":
            equal(change_key(system, one["id"], "deactivate").status, 200, "the next is its own")
    token = system.token()["token"]
    return token, active_key(system)["id"]


def paused_job(system, key):
    """Keeps the vault from emptying a key as soon as it is compromised.  The job begins with the
    oldest record, at one a second, so that it has not come to the key's own when it is paused."""
    asked = system.vault("security").post("/v1/rotations", {"what": "dek", "tenant": "demo",
                                                            "key": key, "rate": 1})
    equal(asked.status, 202, f"{asked!r}")
    job = asked.json["job"]
    equal(system.vault("security").post(f"/v1/jobs/{job}/pause").status, 200, "paused")
    return job


def let_go(system, job):
    equal(system.vault("security").post(f"/v1/jobs/{job}/rate", {"rate": 100000}).status, 200,
          "as fast as it can")
    equal(system.vault("security").post(f"/v1/jobs/{job}/resume").status, 200, "it goes on")
    wait_until(lambda: system.vault("security").get(f"/v1/jobs/{job}").json["state"] == "done",
               "the job is done")


def tokens_under(system, key):
    """Tokens that the log says were sealed under a key."""
    found = []
    for one in system.audit():
        if one["event"] != "card.tokenize" or one["outcome"] != "ok":
            continue
        if one.get("key", {}).get("id") == key:
            found.append(one["object"])
        found += [item["object"] for item in one.get("items", ())
                  if item.get("key", {}).get("id") == key]
    gone = {one["object"] for one in system.audit() if one["event"] == "card.delete"}
    return [token for token in dict.fromkeys(found) if token not in gone]


def say(system, *words, code=0):
    done = system.cardkeep(*words)
    equal(done.returncode, code, f"cardkeep {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout if code == 0 else done.stderr
