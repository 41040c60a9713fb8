"""What Dovecot asks a directory or an SQL server, by what the node is."""

from __future__ import annotations

import re

import pytest

from ansible_collections.mailcluster.dovecot.plugins.filter.user_databases import user_databases
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveconf import unquote
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _topology
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._quoting import Unwritable

# test_home_server.py has the like. Each has its own, since what its tests expect are words of these.
LDAP = {
    "driver": "ldap",
    "uris": ["ldaps://ldap1", "ldaps://ldap2"],
    "base": "dc=example,dc=org",
    "bind_dn": "cn=dovecot",
    "bind_password": "bindsecret",
    "home_server": "mailHost",
}
PGSQL = {
    "driver": "pgsql",
    "hosts": ["db1", "db2"],
    "database": "mail",
    "user": "dovecot",
    "password": "dbsecret",
    "home_server": "partition",
}
MASTER = {"name": "proxy", "password": "mastersecret"}


def topology(**groups):
    groups = {"dovecot_backends": ["a1", "b1"], **groups}
    groups["dovecot_cluster"] = sorted({name for names in groups.values() for name in names})
    return _topology.derive(
        groups,
        {
            name: {"address": f"198.51.100.{number}", "hostname": name, "partition": name[0] if name in ("a1", "b1") else None}
            for number, name in enumerate(groups["dovecot_cluster"], 1)
        },
    )


DEDICATED = topology(dovecot_proxies=["proxy1"])
IMPLICIT = topology(dovecot_implicit_proxies=["a1", "b1"])
DIRECTORS = topology(dovecot_directors=["d1", "d2"])


def settings(database, name, cluster, **more):
    (file, *_authority) = user_databases([database], cluster["nodes"][name], cluster, **more)["files"]
    assert file["secret"], "the credentials are readable by others than root"
    return {name: unquote(value) for name, value in (line.split(" = ", 1) for line in file["content"].splitlines())}


def test_a_proxy_asks_a_directory_where_the_mail_is_and_leaves_the_password_to_the_backend():
    found = settings(LDAP, "proxy1", DEDICATED)
    assert found["pass_attrs"] == (
        "mail=user,=nopassword=y,=proxy=y,=protocol=lmtp,=proxy_timeout=10,"
        "=host=%{if;%{ldap:mailHost};eq;a;198.51.100.1}%{if;%{ldap:mailHost};eq;b;198.51.100.2}"
        "%{if;%{ldap:mailHost};~;^(a|b)$;;%{ldap:mailHost}.names-no-partition.user.%u.invalid.}"
    )
    assert "home" not in found["user_attrs"], "mail could be stored on a proxy"
    assert found["iterate_filter"] == "(objectClass=inetOrgPerson)"


def test_with_a_master_user_the_proxy_judges_the_password():
    found = settings(LDAP, "proxy1", DEDICATED, master=MASTER)
    assert "userPassword=password" in found["pass_attrs"] and "nopassword" not in found["pass_attrs"]
    assert "=master=proxy,=pass=mastersecret" in found["pass_attrs"]


def test_an_implicit_proxy_may_be_the_home_and_lists_its_own_users():
    found = settings(LDAP, "b1", IMPLICIT)
    assert "userPassword=password,=proxy_maybe=y,=protocol=lmtp,=proxy_timeout=10,=host=%{if;" in found["pass_attrs"]
    assert found["user_filter"] == "(&(&(objectClass=inetOrgPerson)(mail=%u))(mailHost=b))"
    assert found["iterate_filter"] == "(&(objectClass=inetOrgPerson)(mailHost=b))"
    assert "=home=/var/vmail/%Ld/%Ln" in found["user_attrs"]


def test_a_backend_behind_proxies_knows_its_own_users_and_no_way_elsewhere():
    found = settings(LDAP, "a1", DEDICATED)
    assert "proxy" not in found["pass_attrs"] and "host" not in found["pass_attrs"].replace("mailHost", "")
    assert "=userdb_home=/var/vmail/%Ld/%Ln" in found["pass_attrs"], "a login costs a second question"
    assert "(mailHost=a)" in found["user_filter"]
    assert "(mailHost=a)" in found["pass_filter"], "others who log in here would get an empty mailbox"


def test_a_director_gets_the_tag():
    found = settings(LDAP, "d1", DIRECTORS)
    assert "=nopassword=y,=proxy=y,=director_tag=%{if;%{ldap:mailHost};eq;a;a}" in found["pass_attrs"]
    assert "'a' THEN 'a'" in settings(PGSQL, "d1", DIRECTORS)["password_query"]


def test_other_values_than_the_partitions_names_are_mapped_in_one_place():
    values = {"mail1.example.org": "a", "mail2.example.org": "b", "old.example.org": "b"}
    found = settings(LDAP, "proxy1", DEDICATED, home_servers=values)
    assert "%{if;%{ldap:mailHost};eq;old.example.org;198.51.100.2}" in found["pass_attrs"]
    assert r"~;^(mail1\.example\.org|mail2\.example\.org|old\.example\.org)$;" in found["pass_attrs"]
    found = settings(LDAP, "b1", DEDICATED, home_servers=values)
    assert "(|(mailHost=mail2.example.org)(mailHost=old.example.org))" in found["user_filter"]


def test_the_colons_of_an_ipv6_address_do_not_end_the_condition():
    cluster = topology(dovecot_proxies=["proxy1"])
    cluster["partition_addresses"]["a"] = "2001:db8::1"
    assert r";eq;a;2001\:db8\:\:1}" in settings(LDAP, "proxy1", cluster)["pass_attrs"]


def test_a_directory_is_asked_by_tls_and_with_credentials():
    found = settings(dict(LDAP, ca="-----BEGIN CERTIFICATE-----"), "a1", DEDICATED)
    assert (found["uris"], found["tls_require_cert"]) == ("ldaps://ldap1 ldaps://ldap2", "demand")
    assert found["tls_ca_cert_file"] == "/etc/dovecot/databases/ldap.ca.pem"
    assert (found["dn"], found["dnpass"]) == ("cn=dovecot", "bindsecret")
    assert settings(LDAP, "a1", DEDICATED)["tls_ca_cert_file"] == "/etc/ssl/certs/ca-certificates.crt"
    assert "tls_ca_cert_file" not in settings(dict(LDAP, uris=["ldap://ldap1"], tls=False), "a1", DEDICATED)


def test_of_two_directories_each_has_files_of_its_own():
    found = user_databases([dict(LDAP, ca="PEM"), dict(LDAP, ca="PEM")], DEDICATED["nodes"]["a1"], DEDICATED)["databases"]
    assert [(database["name"], database["file"], database["authority"]) for database in found] == [
        ("ldap", "/etc/dovecot/databases/ldap.conf.ext", "/etc/dovecot/databases/ldap.ca.pem"),
        ("ldap2", "/etc/dovecot/databases/ldap2.conf.ext", "/etc/dovecot/databases/ldap2.ca.pem"),
    ]


def test_what_was_left_out_of_a_database_is_completed():
    (ldap, sql) = user_databases([LDAP, dict(PGSQL, table="people")], DEDICATED["nodes"]["proxy1"], DEDICATED)["databases"]
    assert (ldap["user_attribute"], ldap["scope"], ldap["tls"], ldap["tls_verify"]) == ("mail", "subtree", True, True)
    assert (sql["table"], sql["user_column"], sql["password"]) == ("people", "username", "dbsecret")


def test_with_auth_bind_no_hash_is_read():
    found = settings(dict(LDAP, auth_bind=True), "a1", DEDICATED)
    assert found["auth_bind"] == "yes" and "userPassword" not in found["pass_attrs"]
    assert "auth_bind" not in settings(dict(LDAP, auth_bind=True), "proxy1", DEDICATED), "who does not judge cannot bind"


def test_an_sql_server_tells_a_proxy_where_the_mail_is():
    found = settings(PGSQL, "proxy1", DEDICATED)
    assert found["password_query"] == (
        "SELECT username AS \"user\", NULL AS password, 'y' AS nopassword, 'y' AS proxy, 'lmtp' AS protocol, "
        "'10' AS proxy_timeout, "
        "CASE partition WHEN 'a' THEN '198.51.100.1' WHEN 'b' THEN '198.51.100.2' "
        "ELSE COALESCE(partition, '') || '.names-no-partition.user.%u.invalid.' END AS host FROM users WHERE username = '%u'"
    )
    assert found["connect"] == (
        "host=db1,db2 dbname=mail user=dovecot password=dbsecret sslmode=verify-full "
        "sslrootcert=/etc/ssl/certs/ca-certificates.crt tcp_user_timeout=5000"
    )


def test_an_sql_server_tells_a_backend_of_its_own_users():
    found = settings(dict(PGSQL, quota="quota"), "b1", DEDICATED)
    assert found["iterate_query"] == "SELECT username AS \"user\" FROM users WHERE partition IN ('b')"
    assert found["user_query"] == (
        "SELECT '5000' AS uid, '5000' AS gid, '/var/vmail/%Ld/%Ln' AS home, "
        "CASE WHEN quota IS NOT NULL THEN '*:storage=' || quota END AS quota_rule "
        "FROM users WHERE username = '%u' AND partition IN ('b')"
    )


def test_mysql_and_sqlite_have_their_own_ways():
    found = settings(dict(PGSQL, driver="mysql", ca_file="/etc/ssl/ca.pem"), "proxy1", DEDICATED)
    assert "CONCAT(COALESCE(partition, ''), '.names-no-partition.user.%u.invalid.')" in found["password_query"]
    assert "username AS user," in found["password_query"] and "ssl_ca" not in found["connect"]
    assert "option_file=/etc/dovecot/databases/mysql.cnf option_group=client" in found["connect"]
    found = settings({"driver": "sqlite", "path": "/var/lib/mail/users.sqlite", "home_server": "partition"}, "a1", DEDICATED)
    assert found["connect"] == "/var/lib/mail/users.sqlite"


def test_a_password_with_a_hash_does_not_cut_off_what_demands_tls():
    assert settings(dict(LDAP, bind_password="a#b \"c'"), "a1", DEDICATED)["dnpass"] == "a#b \"c'"
    found = settings(dict(PGSQL, password="a#b'c\\"), "a1", DEDICATED)["connect"]
    assert "password='a#b\\'c\\\\' sslmode=verify-full" in found


@pytest.mark.parametrize(
    "database", [dict(PGSQL, password="a b"), dict(PGSQL, password="a\nuser_query = b"), dict(LDAP, bind_password="a\nbase = b")]
)
def test_a_password_that_cannot_be_written_is_not(database):
    with pytest.raises(Unwritable):
        settings(database, "a1", DEDICATED)


def test_the_master_users_password_is_no_variable_of_dovecots():
    master = dict(MASTER, password="100%user")
    assert "=pass=100%%user" in settings(LDAP, "proxy1", DEDICATED, master=master)["pass_attrs"]
    assert "'100%%user' AS pass" in settings(PGSQL, "proxy1", DEDICATED, master=master)["password_query"]


@pytest.mark.parametrize(("verify", "last"), [(True, "ssl-verify-server-cert\n"), (False, "ssl-ca=/etc/ssl/ca.pem\n")])
def test_tls_to_mysql_is_in_a_file_that_counts_for_each_connection(verify, last):
    database = dict(PGSQL, driver="mysql", ca_file="/etc/ssl/ca.pem", tls_verify=verify)
    files = {file["dest"]: file["content"] for file in user_databases([database], DEDICATED["nodes"]["a1"], DEDICATED)["files"]}
    assert files["/etc/dovecot/databases/mysql.cnf"].startswith("[client]\nssl\nssl-ca=/etc/ssl/ca.pem\n")
    assert files["/etc/dovecot/databases/mysql.cnf"].endswith(last)


def test_several_databases_keep_their_order_and_have_files_of_their_own():
    told = user_databases([LDAP, {"driver": "passwd_file"}, LDAP, PGSQL], DEDICATED["nodes"]["a1"], DEDICATED)
    assert [database["name"] for database in told["databases"]] == ["ldap", "passwd_file", "ldap2", "pgsql"]
    assert [file["dest"] for file in told["files"]] == [
        f"/etc/dovecot/databases/{name}.conf.ext" for name in ("ldap", "ldap2", "pgsql")
    ]
    assert told["packages"] == ["ca-certificates", "dovecot-ldap", "dovecot-pgsql"]


@pytest.mark.parametrize("key", ["password_query", "user_query", "iterate_query"])
def test_queries_of_ones_own_are_taken_as_they_are(key):
    query = "SELECT x FROM y WHERE z = '%u'"
    assert settings(dict(PGSQL, **{key: query}), "a1", DEDICATED)[key] == query


def test_no_unknown_value_leads_to_a_server():
    """Whatever stands in the database: an address, another name, nothing."""
    found = settings(LDAP, "proxy1", DEDICATED)["pass_attrs"]
    known = re.search(r"~;(\^\(.*?\)\$);;", found).group(1)
    for value in ("198.51.100.99", "c", "", "aa", "mail.example.org"):
        assert not re.search(known, value)


def test_an_authority_is_read_by_the_auth_process_and_by_nobody_else():
    files = user_databases([dict(LDAP, ca="PEM")], DEDICATED["nodes"]["a1"], DEDICATED)["files"]
    assert files[1] == {"content": "PEM", "dest": "/etc/dovecot/databases/ldap.ca.pem", "group": "dovecot", "mode": "0640"}


def judged(database, name, cluster, **more):
    """Settings of the file with which an entry node judges the passwords of SMTP clients."""
    told = user_databases([database], cluster["nodes"][name], cluster, sasl=True, **more)
    (file,) = [file for file in told["files"] if file["dest"] == told["databases"][0]["sasl_file"]]
    assert file["secret"], "the credentials are readable by others than root"
    return {name: unquote(value) for name, value in (line.split(" = ", 1) for line in file["content"].splitlines())}


@pytest.mark.parametrize(("name", "cluster"), (("d1", DIRECTORS), ("proxy1", DEDICATED), ("a1", IMPLICIT)))
def test_for_smtp_everybodys_password_is_judged_and_nothing_else_is_told(name, cluster):
    found = judged(LDAP, name, cluster, master=MASTER)
    assert found["pass_attrs"] == "mail=user,userPassword=password"
    assert "mailHost" not in found["pass_filter"]
    found = judged(PGSQL, name, cluster, master=MASTER)
    assert found["password_query"] == ("SELECT username AS \"user\", password AS password FROM users WHERE username = '%u'")
    assert "user_query" not in found and "iterate_query" not in found, "Dovecot warns of what it does not use"


def test_for_smtp_a_directory_may_judge_by_itself():
    found = judged(dict(LDAP, auth_bind=True), "d1", DIRECTORS)
    assert found["auth_bind"] == "yes" and found["pass_attrs"] == "mail=user"


def test_for_smtp_a_query_of_ones_own_is_not_the_one_that_says_where_the_mail_is():
    judges = "SELECT password FROM x WHERE u = '%u'"
    own = dict(PGSQL, password_query="SELECT host FROM x WHERE u = '%u'", sasl_password_query=judges)
    assert judged(own, "d1", DIRECTORS)["password_query"] == judges


def test_without_mail_servers_there_is_no_file_for_smtp():
    files = user_databases([LDAP], DIRECTORS["nodes"]["d1"], DIRECTORS)["files"]
    assert [file["dest"] for file in files] == ["/etc/dovecot/databases/ldap.conf.ext"]
