# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  timeout:
    description:
      - How long the module may take in all, in seconds. A command that does not answer is ended then.
      - What has a time of its own (a drain, and a flush, which may take ten minutes) is not counted.
      - Do not go below 60 at a ring. While a director is being missed, changes wait for up to 30 seconds.
    type: int
    default: 60
requirements:
  - Dovecot 2.3 on the node
  - root, by O(ignore:become=true) or otherwise
notes:
  - A failure tells in RV(ignore:error) what kind it is, for example V(not_running), V(not_permitted), V(ring_not_synced),
    V(host_unknown), V(user_unknown), V(invalid_value), V(not_allowed), V(timed_out) or V(output_error); and in
    RV(ignore:argv), RV(ignore:rc), RV(ignore:stdout) and RV(ignore:stderr) what was run, when something was.
"""

    # This one and the next differ in a word. A fragment has no arguments, so each has the whole text.
    DIRECTOR = r"""
options:
  socket_path:
    description: The director's administration socket, when it is not where the configuration of this node says.
    type: path
attributes:
  action_group:
    description: Use C(group/mailcluster.dovecot.director) in C(module_defaults) to set defaults for these modules.
    support: full
    membership:
      - mailcluster.dovecot.director
"""

    REPLICATOR = r"""
options:
  socket_path:
    description: The replicator's administration socket, when it is not where the configuration of this node says.
    type: path
attributes:
  action_group:
    description: Use C(group/mailcluster.dovecot.replicator) in C(module_defaults) to set defaults for these modules.
    support: full
    membership:
      - mailcluster.dovecot.replicator
"""
