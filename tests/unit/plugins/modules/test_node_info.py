"""Reading a node: the pure parts."""

from __future__ import annotations

import json

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _node as node_info
from ansible_collections.mailcluster.dovecot.plugins.module_utils._node_info import is_idle
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _secrets


@pytest.mark.parametrize(
    "debian, upstream",
    [("1:2.3.19.1+dfsg1-2.1+deb12u7", "2.3.19.1"), ("2.4.1+dfsg1-6", "2.4.1"), ("(none)", None), ("", None), (None, None)],
)
def test_the_upstream_version_of_a_debian_version(debian, upstream):
    assert node_info.upstream_version(debian) == upstream


@pytest.mark.parametrize(
    "system, release, series",
    [
        ("debian", "12", "2.3.0"),
        ("debian", "13", "2.4.0"),
        ("ubuntu", "24.04", "2.3.0"),
        ("ubuntu", "26.04", "2.4.0"),
        ("debian", "", None),
        ("fedora", "40", None),
    ],
)
def test_the_series_of_a_release_without_package_lists(system, release, series):
    assert node_info.version_of_release({"ID": system, "VERSION_ID": release}) == series


def test_quotes_of_os_release_are_removed():
    parsed = node_info.parse_os_release('ID=debian\nVERSION_ID="12"\n\n# comment\n')
    assert (parsed["ID"], parsed["VERSION_ID"]) == ("debian", "12")


def test_loopback_and_link_local_addresses_are_left_out():
    listing = json.dumps(
        [
            {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "scope": "host"}]},
            {
                "ifname": "eth0",
                "addr_info": [{"local": "198.51.100.31", "scope": "global"}, {"local": "fe80::1", "scope": "link"}],
            },
        ]
    )
    assert node_info.interface_addresses(listing) == [("eth0", "198.51.100.31")]


def test_the_states_of_units_are_told_apart_by_their_blocks():
    shown = (
        "Id=dovecot.service\nActiveState=active\nUnitFileState=enabled\n\n"
        "Id=missing.service\nActiveState=inactive\nUnitFileState=\n"
    )
    assert node_info.parse_units(shown) == {"dovecot.service": ("active", "enabled"), "missing.service": ("inactive", "")}


MASTER = "dovecot_proxy_master_password"
DEPLOYED = [
    ("dovecot_doveadm_password", "mailcluster.d/11-secrets.conf", "# Ansible managed\ndoveadm_password = S3cret!of=all\n"),
    (MASTER, "proxy-master.passwd", "# Ansible managed\nproxy:{PLAIN}S3cret-1::::::allow_real_nets=::1\n"),
    (MASTER, "users.passwd", "al:{CRYPT}x::::::host=::1 master=proxy pass=S3cret-1 proxy=y\n"),
    (MASTER, "databases/ldap.conf.ext", "dnpass=no\npass_attrs = mail=user,=master=proxy,=pass=S3cret-1,=x=y\n"),
    (
        MASTER,
        "databases/pgsql.conf.ext",
        "connect = host=db password=no\npassword_query = SELECT name AS \"user\", 'y' AS nopassword, 'S3cret-1' AS pass FROM a\n",
    ),
]


@pytest.mark.parametrize("secret, name, text", DEPLOYED, ids=[row[1] for row in DEPLOYED])
def test_a_secret_that_is_deployed_is_found(secret, name, text, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert node_info.deployed(secret, str(tmp_path)) == ("S3cret!of=all" if secret == "dovecot_doveadm_password" else "S3cret-1")


@pytest.mark.parametrize("secret", node_info.DEPLOYED)
def test_on_a_bare_node_there_is_none(secret, tmp_path):
    assert node_info.digest("nonce", node_info.deployed(secret, str(tmp_path))) is None


def test_a_proxy_that_forwards_the_users_password_has_no_masters(tmp_path):
    (tmp_path / "users.passwd").write_text("al:::::::host=::1 nopassword=y proxy=y\n")
    assert node_info.deployed("dovecot_proxy_master_password", str(tmp_path)) is None


def test_node_and_controller_digest_alike_and_otherwise_in_each_run():
    told = node_info.digest("nonce", "S3cret-1")
    assert told == _secrets.digest("nonce", "S3cret-1") != _secrets.digest("other", "S3cret-1")
    assert "S3cret" not in told


NOON = 1795780800  # 2026-11-27 12:00 UTC


@pytest.mark.parametrize(
    "printed, expected",
    [
        ("notAfter=Dec 18 12:00:00 2026 GMT\n", {"until": "2026-12-18", "days": 21}),
        ("notAfter=Nov 27 11:59:59 2026 GMT\n", {"until": "2026-11-27", "days": -1}),
        ("notAfter=Dec  1 11:59:59 2026 GMT\n", {"until": "2026-12-01", "days": 3}),
        ("", None),
    ],
)
def test_until_when_a_certificate_is_valid(printed, expected):
    assert node_info.expiry(printed, NOON) == expected


def test_settings_of_the_kernel(tmp_path):
    (tmp_path / "fs/inotify").mkdir(parents=True)
    (tmp_path / "fs/inotify/max_user_instances").write_text("128\n")
    (tmp_path / "fs/file-max").write_text("100\n")
    ours = tmp_path / "ours.conf"
    names = ["fs.inotify.max_user_instances", "fs.file-max", "net.unknown"]
    assert node_info.kernel(names, str(tmp_path), str(ours)) == {
        "fs.inotify.max_user_instances": {"value": "128", "ours": False},
        "fs.file-max": {"value": "100", "ours": False},
    }
    ours.write_text("# fs.file-max\nfs.inotify.max_user_instances = 128\n")
    assert node_info.kernel(names, str(tmp_path), str(ours))["fs.inotify.max_user_instances"] == {"value": "128", "ours": True}
    assert not node_info.kernel(names, str(tmp_path), str(ours))["fs.file-max"]["ours"]


def test_what_a_backend_has_noted_of_its_disk(tmp_path):
    noted = tmp_path / "space.json"
    assert node_info.space(str(noted)) is None
    noted.write_text('{"low": false, "free": 1}')
    assert node_info.space(str(noted)) == {"low": False, "free": 1}
    noted.write_text("half of i")
    assert node_info.space(str(noted)) is None


@pytest.mark.parametrize(
    ("active", "file", "idle"),
    [
        ("active", "enabled", {"systemd": False, "cluster": True, "unit": False}),
        ("inactive", "enabled", {"systemd": True, "cluster": True, "unit": False}),
        ("active", "disabled", {"systemd": True, "cluster": False, "unit": True}),
        ("inactive", "disabled", {"systemd": True, "cluster": False, "unit": True}),
        ("failed", "static", {"systemd": True, "cluster": False, "unit": True}),
    ],
)
def test_a_unit_is_idle_unless_it_is_as_the_one_that_starts_it_wants_it(active, file, idle):
    state = node_info.UnitState(active, file)
    params = {"started_by_cluster": ["cluster"], "started_by_unit": ["unit"]}
    assert {name: is_idle(name, state, params) for name in idle} == idle
