#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pacemaker_cib
short_description: Converge Pacemaker's configuration, in one change
description:
  - Properties, defaults, resources and constraints become what is given. Pacemaker checks the result, then gets the difference in
    one step, and only if there is any.
  - Kept are nodes on standby, an operator's decisions about a resource (C(target-role), C(is-managed)), properties with other
    ids,
    the constraints of C(crm_resource --move), and those by which DRBD keeps outdated data from being promoted.
  - Run it on one node; the cluster has one configuration.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.full
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.attributes.pacemaker
attributes:
  diff_mode:
    details: Passwords of fence devices are not in it.
options:
  configuration:
    description: The element C(configuration) with the sections, as XML.
    type: str
    required: true
  timeout:
    description: Seconds to wait for a cluster that has just been started.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Configure the cluster
  mailcluster.dovecot.pacemaker_cib:
    configuration: "{{ lookup('ansible.builtin.file', 'cib.xml') }}"
"""

RETURN = r"""
first:
  description: Whether the cluster had no resources before.
  returned: success
  type: bool
"""

import tempfile
import time
import xml.etree.ElementTree as ET

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _cib, _main
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._pacemaker import call, live_cib
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Result

OPTIONS: Options = {
    "configuration": {"type": "str", "required": True, "no_log": True},
    "timeout": {"type": "int", "default": 120},
}


def work(module: AnsibleModule) -> Result:
    run = module.run_command
    try:
        wanted = ET.fromstring(module.params["configuration"])
    except ET.ParseError as error:
        raise Failure("configuration: is no XML (%s)" % error) from error
    live = live_cib(run, time.monotonic() + module.params["timeout"])
    before = live.find("configuration")
    if before is None:
        raise Failure("'cibadmin --query' shows no configuration")
    after = _cib.merged(before, wanted)
    changed = _cib.canonical(before) != _cib.canonical(after)
    if changed:
        old = _saved(module, live, before)
        new = _saved(module, live, after)
        call(run, "crm_verify", "--xml-file", new)
        if not module.check_mode:
            rc, patch, err = run(["crm_diff", "--original", old, "--new", new, "--no-version"])
            if rc not in (0, 1):
                raise Failure("'crm_diff' failed: %s" % err.strip())
            call(run, "cibadmin", "--patch", "--xml-pipe", "--sync-call", data=patch)
    result: Result = {"changed": changed, "first": before.find("resources/*") is None}
    if module._diff:
        result["diff"] = {"before": _cib.shown(before), "after": _cib.shown(after)}
    return result


def _saved(module: AnsibleModule, cib: ET.Element, configuration: ET.Element) -> str:
    """A file with the whole, without what is the status of the moment."""
    whole = ET.Element("cib", dict(cib.attrib))
    whole.append(configuration)
    with tempfile.NamedTemporaryFile("wb", dir=module.tmpdir, suffix=".xml", delete=False) as file:
        file.write(ET.tostring(whole))
    return file.name


def main() -> None:
    _main.main(work, OPTIONS)


if __name__ == "__main__":
    main()
