"""The inventories of the README are right as they stand there."""

from __future__ import annotations

import re

import pytest
import yaml
from on_controller import judged
from test_refusals import CHECKOUT, self_signed

BLOCKS = re.findall(r"```yaml\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.S)
INVENTORIES = [block for block in BLOCKS if block.startswith("dovecot_cluster:")]
PASSWORD = "$6$saltsaltsalt$" + 86 * "x"


@pytest.fixture
def vault(tmp_path):
    """What the README has in a vault, in the place of its dots a key."""
    certificate, key = self_signed()
    (tmp_path / "tls.pem").write_text(certificate)
    folder = tmp_path / "group_vars/dovecot_cluster"
    folder.mkdir(parents=True)
    names = yaml.safe_load(next(block for block in BLOCKS if "BEGIN PRIVATE KEY" in block))
    assert set(names) == {"dovecot_doveadm_password", "dovecot_tls_key"}
    (folder / "vault.yml").write_text(yaml.safe_dump({"dovecot_doveadm_password": 32 * "0a", "dovecot_tls_key": key}))
    return folder


def test_the_quick_start_deploys_a_pair(vault, tmp_path):
    (tmp_path / "hosts.yml").write_text(INVENTORIES[0].replace("$6$...", PASSWORD))
    result, refused = judged(tmp_path / "hosts.yml")
    assert refused == []
    nodes = result["topology"]["nodes"]
    assert sorted(nodes) == ["mail1", "mail2"]
    assert all({"backend", "replication", "service_address"} <= set(node["roles"]) for node in nodes.values())


def test_the_groups_of_the_ideal_cluster_with_the_variables_of_the_pair(vault, tmp_path):
    variables = yaml.safe_load(INVENTORIES[0].replace("$6$...", PASSWORD))["dovecot_cluster"]["vars"]
    variables["dovecot_users"][0]["partition"] = "a"
    (vault / "vars.yml").write_text(yaml.safe_dump(variables))
    (tmp_path / "hosts.yml").write_text(INVENTORIES[1])
    result, refused = judged(tmp_path / "hosts.yml")
    assert refused == []
    assert len(result["topology"]["nodes"]) == 6
