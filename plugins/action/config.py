# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of `config`: renders all templates of a role and hands them to the module in one piece."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.text.converters import to_native, to_text
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _config_record
from ansible_collections.mailcluster.dovecot.plugins.modules import config

# The module's own, before templates are rendered: a mode as YAML has it, and no secrets, which are made here.
FILE_SPEC = {**config.FILE_SPEC, "mode": {"type": "raw"}}
FILES = {
    **config.ARGUMENT_SPEC["files"],
    "options": FILE_SPEC,
    "mutually_exclusive": [("template", "file", "content")],
    "required_one_of": [("template", "file", "content")],
}
ARGUMENT_SPEC = {name: option for name, option in config.ARGUMENT_SPEC.items() if name != "secrets"} | {"files": FILES}
MODULE = "mailcluster.dovecot.config"


def octal(mode: object, dest: str) -> str | None:
    """YAML makes a number of an unquoted 0640; the module wants the digits."""
    if mode is None:
        return None
    if isinstance(mode, bool) or not isinstance(mode, (int, str)):
        raise AnsibleActionFail("files: mode '%s' of '%s' is not octal. Write it like \"0640\"." % (mode, dest))
    return "%04o" % mode if isinstance(mode, int) else str(mode)


def program(path: str, interpreter: str, loader: Any) -> str:
    """A file as it is, behind the line that names what runs it."""
    return ("#!%s\n" % interpreter if interpreter else "") + to_text(loader.get_text_file_contents(path))


def literal(content: object) -> str:
    """A text as it is, a mapping as the JSON that programs read."""
    if isinstance(content, Mapping):
        return json.dumps(content, indent=2, sort_keys=True) + "\n"
    return to_text(content, nonstring="simplerepr")


def shown(args: dict[str, Any]) -> dict[str, Any]:
    """The arguments as they may be seen with -vvv: without any content, which templates made long or secret."""
    files = [{key: value for key, value in file.items() if key != "content"} for file in args["files"]]
    return dict(args, files=files)


UNCHANGED: dict[str, Any] = {"changed": False, "changed_files": [], "removed_files": [], "units": []}


class Known:
    """What `node_info` has told of the node's files in this run, if it has.

    A run that changes nothing then asks each node once. Whatever is not known for certain, the module looks at.
    """

    def __init__(self, task_vars: dict[str, Any]) -> None:
        self.nonce = str((task_vars.get("__dovecot_cluster") or {}).get("nonce") or "")
        self.record = (task_vars.get("__dovecot_node") or {}).get("config")
        # since then, an earlier role may have installed something
        fresh = self.nonce and task_vars.get("__dovecot_pending_as_of") == self.nonce
        self.pending = bool(task_vars.get("__dovecot_pending") if fresh else (self.record or {}).get("pending"))

    def covers(self, args: dict[str, Any], files: list[dict[str, Any]], secrets: dict[str, str]) -> bool:
        if not self.nonce or not self.record or args["state_dir"] != _config_record.STATE_DIR:
            return False
        try:
            wanted = {
                file["dest"]: _config_record.wanted(
                    file, secrets.get(file["dest"]) or file["content"], args["role"], args["unit"], self.nonce
                )
                for file in files
            }
        except (KeyError, TypeError, ValueError, AttributeError):
            # the module says what is wrong with it
            return False
        return len(wanted) == len(files) and _config_record.is_as_wanted(
            self.record, args["role"], args["roles"], wanted, args["partial"]
        )


class ActionModule(ActionBase):
    """Renders, then runs the module once, unless the node is known to have it all."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = {} if task_vars is None else task_vars
        result = super().run(tmp, task_vars)
        del tmp
        dummy, args = self.validate_argument_spec(ARGUMENT_SPEC)
        args = {key: args[key] for key in ARGUMENT_SPEC}
        files: list[dict[str, Any]] = []
        secrets: dict[str, str] = {}
        renderer = Renderer(self, task_vars)
        for file in args["files"]:
            file = dict(file, mode=octal(file["mode"], file["dest"]))
            if file["template"] is not None:
                file["content"] = renderer.render(file["template"], file["dest"], args["role"])
            elif file["file"] is not None:
                file["content"] = program(self._find_needle("files", file["file"]), file["interpreter"], self._loader)
            else:
                file["content"] = literal(file["content"])
            if file["secret"]:
                secrets[file["dest"]] = file.pop("content")
            files.append(file)
        known = Known(task_vars)
        if known.covers(args, files, secrets):
            result.update(UNCHANGED, pending=known.pending)
        else:
            payload = dict(args, files=files, secrets=secrets)
            result.update(self._execute_module(module_name=MODULE, module_args=payload, task_vars=task_vars))
        if "pending" in result:
            # The node's own record, for whatever comes at the end of the play: no role's result can hide that of another.
            result["ansible_facts"] = {"__dovecot_pending": result["pending"], "__dovecot_pending_as_of": known.nonce}
        if "invocation" in result:
            result["invocation"] = {"module_args": shown(args)}
        return result


class Renderer:
    """Renders templates as ansible.builtin.template does."""

    # What ansible.builtin.template sets if it is not told otherwise.
    OVERRIDES = {"trim_blocks": True, "lstrip_blocks": False, "newline_sequence": "\n"}

    def __init__(self, action: ActionModule, task_vars: dict[str, Any]) -> None:
        self.action = action
        self.task_vars = task_vars

    def search_path(self, source: str) -> list[str]:
        folders = list(self.task_vars.get("ansible_search_path", []))
        folders += [self.action._loader.get_basedir(), os.path.dirname(source)]
        return [place for folder in folders for place in (os.path.join(folder, "templates"), folder)]

    def variables(self, template: str, source: str, dest: str) -> dict[str, Any]:
        variables = dict(self.task_vars, template_path=template, template_fullpath=source, template_destpath=dest)
        # Without a date or a host name in it: a file must not change because somebody else runs the playbook.
        variables.setdefault("ansible_managed", "Ansible managed")
        return variables

    def render(self, template: str, dest: str, role: str) -> str:
        where = "template '%s' (%s) of role '%s'" % (template, dest, role)
        try:
            source = self.action._find_needle("templates", template)
            text = trust_as_template(self.action._loader.get_text_file_contents(source))
            templar = self.action._templar.copy_with_new_env(
                searchpath=self.search_path(source), available_variables=self.variables(template, source, dest)
            )
            rendered = templar.template(text, escape_backslashes=False, overrides=dict(self.OVERRIDES))
        except AnsibleError as error:
            raise AnsibleActionFail("Cannot render %s: %s" % (where, to_native(error))) from error
        return "" if rendered is None else to_text(rendered, nonstring="simplerepr")
