"""What a call of config has to do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_plan import Wanted, diff, obsolete, plan
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import OnDisk, digest


def entry(role="backend", unit="", secret=False, content=b""):
    return {"role": role, "unit": unit, "secret": secret, "sha256": digest(content)}


def names(uid, gid):
    return f"user{uid}", f"group{gid}"


def test_a_file_as_it_shall_be_is_left_alone():
    wanted = {"/a": Wanted(b"x")}
    result = plan(wanted, {"/a": OnDisk(b"x", 0o644)}, {"/a": entry(content=b"x")}, "backend")
    assert not result.changed
    assert result.manifest == {"/a": entry(content=b"x")}
    assert result.units == []


def test_content_mode_owner_and_group_each_count():
    current = OnDisk(b"x", 0o644)
    for other in (Wanted(b"y"), Wanted(b"x", 0o600), Wanted(b"x", uid=1), Wanted(b"x", gid=1)):
        assert plan({"/a": other}, {"/a": current}, {}, "backend").install == ["/a"]


def test_a_link_in_place_of_the_file_is_replaced():
    assert plan({"/a": Wanted(b"")}, {"/a": OnDisk(target="/b")}, {}, "backend").install == ["/a"]


def test_units_are_those_of_the_changed_files_old_and_new():
    wanted = {"/a": Wanted(b"new", unit="new.service"), "/b": Wanted(b"x", unit="other.service")}
    current = {"/a": OnDisk(b"old", 0o644), "/b": OnDisk(b"x", 0o644), "/c": OnDisk(b"", 0o644)}
    manifest = {"/a": entry(unit="old.service"), "/b": entry(), "/c": entry(unit="c.service")}
    result = plan(wanted, current, manifest, "backend")
    assert result.units == ["new.service", "old.service", "c.service"]
    assert result.remove == ["/c"]
    assert set(result.manifest) == {"/a", "/b"}


def test_only_files_of_gone_roles_and_own_ones_are_removed():
    manifest = {"/own": entry(), "/director": entry("director"), "/server": entry("server")}
    assert obsolete(manifest, {}, "backend", None) == ["/own"]
    assert obsolete(manifest, {}, "backend", {"backend", "server"}) == ["/director", "/own"]


def test_a_partial_call_leaves_all_else_as_it_is():
    manifest = {"/a": entry(content=b"old"), "/own": entry(), "/director": entry("director")}
    result = plan({"/a": Wanted(b"new")}, {"/a": OnDisk(b"old", 0o644)}, manifest, "backend", {"backend"}, partial=True)
    assert (result.install, result.remove) == (["/a"], [])
    assert set(result.manifest) == set(manifest)


def test_a_removed_file_that_is_not_there_is_only_forgotten():
    result = plan({}, {"/a": None}, {"/a": entry()}, "backend")
    assert not result.changed
    assert result.manifest == {}


def test_what_was_there_and_is_not_ours_is_foreign():
    result = plan({"/a": Wanted(b"x"), "/b": Wanted(b"x")}, {"/a": OnDisk(b"stock"), "/b": None}, {}, "backend")
    assert result.foreign == ["/a"]
    assert plan({"/a": Wanted(b"x")}, {"/a": OnDisk(b"y")}, {"/a": entry()}, "backend").foreign == []


def test_a_file_may_move_to_another_role():
    result = plan({"/a": Wanted(b"x")}, {"/a": OnDisk(b"x", 0o644)}, {"/a": entry("server", content=b"x")}, "backend")
    assert not result.changed
    assert result.manifest["/a"]["role"] == "backend"


PATHS = st.sampled_from(["/a", "/b", "/c", "/d"])
ROLES = st.sampled_from(["server", "backend", "director"])
CONTENT = st.binary(max_size=2)


@given(
    st.dictionaries(PATHS, CONTENT), st.dictionaries(PATHS, CONTENT), st.dictionaries(PATHS, ROLES), st.none() | st.sets(ROLES)
)
def test_done_once_there_is_nothing_more_to_do(contents, live, roles_of, roles):
    wanted = {path: Wanted(content) for path, content in contents.items()}
    current = {path: OnDisk(live[path], 0o644) if path in live else None for path in ("/a", "/b", "/c", "/d")}
    manifest = {path: entry(role) for path, role in roles_of.items()}
    first = plan(wanted, current, manifest, "backend", roles)
    for path in first.install:
        current[path] = wanted[path].on_disk()
    for path in first.remove:
        assert path in manifest
        current[path] = None
    again = plan(wanted, current, first.manifest, "backend", roles)
    assert not again.changed
    assert again.manifest == first.manifest
    assert set(wanted) <= set(first.manifest)


def test_the_diff_shows_content_and_attributes():
    wanted = {"/a": Wanted(b"new\n", 0o600, "root", "root")}
    current = {"/a": OnDisk(b"old\n", 0o644, 7, 8), "/b": OnDisk(b"bye\n", 0o644)}
    manifest = {"/a": entry(), "/b": entry()}
    result = diff(plan(wanted, current, manifest, "backend"), wanted, current, manifest, names)
    assert result == [
        {"before_header": "/a", "after_header": "/a", "before": "old\n", "after": "new\n"},
        {
            "before_header": "/a (attributes)",
            "after_header": "/a (attributes)",
            "before": "mode: 0644\nowner: user7\ngroup: group8\n",
            "after": "mode: 0600\nowner: root\ngroup: root\n",
        },
        {"before_header": "/b", "after_header": "/dev/null", "before": "bye\n", "after": ""},
    ]


def test_the_diff_never_shows_a_secret():
    wanted = {
        "/new": Wanted(b"geheim1", 0o600, "user0", "group0", secret=True),
        "/changed": Wanted(b"geheim2", 0o600, "user0", "group0", secret=True),
        "/opened": Wanted(b"harmless", 0o600, "user0", "group0"),
    }
    current = {
        "/new": None,
        "/changed": OnDisk(b"geheim3", 0o600),
        "/opened": OnDisk(b"geheim4", 0o600),
        "/gone": OnDisk(b"geheim5", 0o600),
    }
    manifest = {path: entry(secret=True) for path in ("/changed", "/opened", "/gone")}
    result = diff(plan(wanted, current, manifest, "backend"), wanted, current, manifest, names)
    assert "geheim" not in repr(result)
    assert {one["before_header"] + one["after_header"] for one in result} == {
        "/dev/null/new",
        "/changed/changed",
        "/gone/dev/null",
        "/opened/opened",
    }
