"""The examples of docs/plugins.md, all together on a pair: what one node does with them, the other can read."""

from __future__ import annotations

import json
import re
import time
import uuid
from pathlib import Path

import pytest
import yaml
from clients import eventually, must

PAGE = (Path(__file__).resolve().parents[3] / "docs/plugins.md").read_text()
SETTINGS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)]
SCRIPTS = re.findall(r"`(/\S+)`, mode (\d+).*?:\n\n```\w+\n(.*?)```", PAGE, re.S)


LIMIT = "10M"


def merged(one, other):
    """Mappings are merged, lists are joined."""
    if isinstance(one, dict):
        return {**one, **{key: merged(one[key], value) if key in one else value for key, value in other.items()}}
    return one + other


@pytest.fixture(scope="module", autouse=True)
def with_plugins(nodes, ansible, lab_is_whole):
    wanted = {"dovecot_backend_quota_limit": LIMIT}
    for settings in SETTINGS:
        wanted = merged(wanted, settings)
    for node in nodes.values():
        for path, mode, content in SCRIPTS:
            node.run(f"install -D -m {mode} /dev/stdin {path} <<'EOF'\n{content}EOF")
    done = ansible("site.yml", "-e", json.dumps(wanted))
    assert done.returncode == 0, done.stdout[-3000:]
    for node in nodes.values():
        for path, _mode, _content in SCRIPTS:
            if path.endswith(".sieve"):
                node.run(f"sievec {path}")
    yield
    # what was written compressed could not be read without the plugin
    expunge(nodes["mail1"], "-A")
    eventually(lambda: not nodes["mail2"].run("doveadm search -A mailbox '*' all"), 30, "no mail on the partner")
    done = ansible("site.yml")
    assert done.returncode == 0, done.stdout[-3000:]
    eventually(lab_is_whole, 60, "a whole pair", interval=1)


def expunge(node, *whose):
    node.run(f"doveadm expunge {' '.join(whose)} mailbox '*' all")


@pytest.fixture
def pair(nodes):
    return nodes["mail1"], nodes["mail2"]


def deliver(clients, pair, user, **given):
    """On the first node; it is on the second then."""
    message_id = clients.deliver(user, host=pair[0].address, **given)
    eventually(lambda: clients.has(user, message_id, host=pair[1].address), 15, "the message on the partner")
    return message_id


def test_mail_is_written_compressed_and_read_on_both(pair, clients):
    user, words = sorted(clients.passwords)[0], "compressible\n" * 4000
    before = size(pair, user)
    message_id = deliver(clients, pair, user, subject="x", body=words)
    grown = [after - was for was, after in zip(before, size(pair, user), strict=True)]
    assert all(0 < bytes_ < len(words) / 4 for bytes_ in grown), f"{grown} bytes more for a message of {len(words)}"
    for node in pair:
        with clients.imap(user, host=node.address) as connection:
            (_, text), *_rest = must(connection.fetch(find(connection, message_id), "(BODY.PEEK[TEXT])"))
            assert text.decode().split() == words.split()
            assert b"COMPRESS=DEFLATE" in must(connection.capability())[0]


def size(pair, user):
    """Of the messages; Dovecot shortens the indexes beside them when it likes."""
    return [int(node.run(f"cat $(doveadm user -f home {user})/mdbox/storage/m.* | wc -c")) for node in pair]


def find(connection, message_id):
    return must(connection.search(None, f'HEADER Message-ID "{message_id}"'))[0].split()[-1].decode()


def test_each_node_finds_words_with_an_index_of_its_own(pair, clients):
    user = sorted(clients.passwords)[1]
    deliver(clients, pair, user, subject="x", body="an unmistakable hippopotamus")
    for node in pair:
        home = node.run(f"doveadm user -f home {user}")
        eventually(
            lambda node=node, home=home: node.run(f"find {home}/mdbox -path '*xapian-indexes*' -type f"),
            20,
            f"an index on {node.name}",
        )
        with clients.imap(user, host=node.address) as connection:
            assert must(connection.search(None, 'BODY "hippopotam"'))[0]


def test_a_folder_for_another_user_is_one_on_the_partner_too(pair, clients):
    (owner, reader), team = sorted(clients.passwords)[2:4], f"Team-{uuid.uuid4()}"
    with clients.imap(owner, host=pair[0].address) as connection:
        must(connection.create(team))
        must(connection.setacl(team, reader, "lr"))
        must(connection.append(team, None, None, b"Subject: for all\r\n\r\nx\r\n"))
    for node in pair:

        def read(node=node):
            with clients.imap(reader, host=node.address) as connection:
                return connection.select(f'"shared/{owner}/{team}"', readonly=True) == ("OK", [b"1"])

        eventually(read, 20, f"the folder for its reader on {node.name}")


def test_what_a_user_moves_is_learnt_once(pair, clients):
    user = sorted(clients.passwords)[0]
    message_id = deliver(clients, pair, user, subject="buy now")
    with clients.imap(user, host=pair[0].address) as connection:
        must(connection.copy(find(connection, message_id), "Junk"))
    eventually(lambda: clients.has(user, message_id, "Junk", host=pair[1].address), 15, "the copy on the partner")
    assert [message_id in node.run("cat /var/vmail/learnt 2>/dev/null || true") for node in pair] == [True, False]


def test_a_warning_of_the_quota_comes_once_to_both(pair, clients):
    user = sorted(clients.passwords)[1]
    expunge(pair[0], "-u", user)
    for _part in range(17):
        deliver(clients, pair, user, subject="large", body="a line of many\n" * 35000)

    def warnings():
        return [node.run(f"doveadm fetch -u {user} hdr.subject mailbox INBOX").count("is 80% full") for node in pair]

    eventually(lambda: all(warnings()), 20, "the warning on both nodes")
    time.sleep(3)  # in which a second one would come
    assert warnings() == [1, 1]
