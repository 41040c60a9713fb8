"""The files that each node of an inventory would get, and its units: as the roles' own tasks name them, in this process."""

from __future__ import annotations

from pathlib import Path

from ansible.template import Templar, trust_as_template
from on_controller import declared, judged

from ansible_collections.mailcluster.dovecot.plugins.action.config import literal

ROLES = Path(__file__).resolve().parents[3] / "roles"
CONFIG = "mailcluster.dovecot.config"
# What node_info would tell.
NODE = {
    "cores": 2,
    "address_interface": "eth0",
    "kernel": {},
    "idle_units": [],
    "missing_packages": [],
    "holds_vip": False,
    "device": {"ours": True, "ready": True},
}
PACKAGES = "{{ __dovecot_roles | map('extract', __dovecot_packages_of) | select('defined') | flatten }}"
OVERRIDES = {"trim_blocks": True, "lstrip_blocks": False, "newline_sequence": "\n"}


class Rendered:
    """One node: C(files), path -> text; C(units), as config_apply gets them; C(packages)."""

    def __init__(self, loader, name, variables, roles):
        self._loader, self.name, self._variables = loader, name, dict(variables, ansible_managed="Ansible managed")
        self.units = self._of(trust_as_template("{{ __dovecot_units }}"))
        self.packages = self._of(trust_as_template(PACKAGES))
        self.files = {path: text for role in roles for path, text in self._files_of(ROLES / role)}

    def _of(self, template, **more):
        return Templar(loader=self._loader, variables={**self._variables, **more}).template(template)

    def _files_of(self, role):
        for task in load(self._loader, role / "tasks/main.yml") or ():
            if CONFIG in task:
                own = task.get("vars", {})
                for file in self._of(task[CONFIG]["files"], **own):
                    yield file["dest"], self._text(role, file, own)

    def _text(self, role, file, own):
        if "file" in file:
            return (role / "files" / file["file"]).read_text()
        if "template" not in file:
            return literal(file["content"])
        source = role / "templates" / file["template"]
        templar = Templar(loader=self._loader, variables={**self._variables, **own})
        return templar.template(trust_as_template(source.read_text()), escape_backslashes=False, overrides=dict(OVERRIDES)) or ""

    @property
    def dovecot(self):
        """Its own part of Dovecot's configuration, in one text."""
        return "\n".join(text for path, text in sorted(self.files.items()) if path.startswith("/etc/dovecot/mailcluster.d/"))


def load(loader, path):
    return loader.load_from_file(str(path), trusted_as_template=True) if path.exists() else None


def rendered(inventory, extra=(), **more):
    """Host -> what it gets. I(more): variables that a playbook would set."""
    result, refused = judged(inventory, extra)
    assert refused == []
    loader, hosts, manager = declared(inventory, extra)
    defaults, fixed = (
        {role.name: load(loader, role / kind / "main.yml") or {} for role in sorted(ROLES.iterdir())}
        for kind in ("defaults", "vars")
    )
    found = {}
    for name, node in result["topology"]["nodes"].items():
        variables = {
            **defaults["cluster"],
            **{key: value for role in node["roles"] for key, value in defaults[role].items()},
            **manager.get_vars(host=hosts.get_host(name)),
            **fixed["cluster"],
            **{key: value for role in node["roles"] for key, value in fixed[role].items()},
            **result["values"].get(name, {}),
            "__dovecot_cluster": result,
            "__dovecot_topology": result["topology"],
            "__dovecot_self": node,
            "__dovecot_roles": node["roles"],
            "__dovecot_node": NODE,
            **more,
        }
        found[name] = Rendered(loader, name, variables, node["roles"])
    return found
