"""What preflight says of an inventory, in this process: no playbook is run, so that hundreds can be judged."""

from __future__ import annotations

import functools
from types import SimpleNamespace

from ansible import context
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.module_utils.common.collections import ImmutableDict
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.playbook.play_context import PlayContext
from ansible.plugins import loader as plugins
from ansible.template import Templar
from ansible.utils.vars import load_extra_vars
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from labtool import environment

PLAY = {"name": "Judge", "hosts": "all", "gather_facts": False, "tasks": [{"mailcluster.dovecot.preflight": {}}]}
NOWHERE = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
TITLE = "The inventory cannot be deployed, nothing was changed:"


@functools.cache
def _ready():
    environment.link_collection()
    plugins.init_plugin_loader([str(environment.paths.COLLECTIONS)])


def declared(inventory, extra=()):
    """Ansible's own view of an inventory: what loads, the hosts, and their variables."""
    _ready()
    context.CLIARGS = ImmutableDict(extra_vars=tuple(extra), connection="ssh", verbosity=0)
    load_extra_vars.extra_vars = None  # it remembers those of the case before
    loader = DataLoader()
    hosts = InventoryManager(loader=loader, sources=[str(inventory)])
    return loader, hosts, VariableManager(loader=loader, inventory=hosts)


def judged(inventory, extra=()):
    """The result of preflight, and the lines of its refusal; one of them is empty."""
    loader, hosts, variables = declared(inventory, extra)
    play = Play.load(PLAY, variable_manager=variables, loader=loader)
    task = play.get_tasks()[0][0]
    first = (hosts.get_hosts("dovecot_cluster") or hosts.get_hosts())[0]
    task_vars = variables.get_vars(play=play, host=first, task=task)
    task_vars["hostvars"] = HostVars(inventory=hosts, variable_manager=variables, loader=loader)
    action = plugins.action_loader.get(
        "mailcluster.dovecot.preflight",
        task=task,
        connection=NOWHERE,
        play_context=PlayContext(),
        loader=loader,
        templar=Templar(loader=loader, variables=task_vars),
        shared_loader_obj=plugins,
    )
    try:
        return action.run(task_vars=task_vars), []
    except AnsibleError as error:
        lines = str(error).split("\n")
        assert lines[0] == TITLE, error
        return None, [line.removeprefix("  - ") for line in lines[1:]]
