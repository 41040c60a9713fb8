# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation of modules has in common, as far as fragments can hold it.

Beyond that, modules and filters are alike because Ansible wants it in each file. Each lists all of its fragments, since
none can bring another. What is returned is written out, since fragments are for DOCUMENTATION only. An option stands in
the documentation for people and in the specification for Ansible; ansible-test compares the two.
"""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
      - This assumes that the system controlled or queried by the module has not changed in a relevant way.
"""

    # These two say what is usual; what a module says of an attribute by itself comes before this.
    NO_DIFF = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
"""

    FULL = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
"""

    ACTION = r"""
options: {}
attributes:
  action:
    description: A corresponding action plugin executes some parts of it on the controller.
    support: full
"""

    PLATFORM = r"""
options: {}
attributes:
  platform:
    description: Target OS and families that can be operated against.
    support: full
    platforms: debian
"""

    PACEMAKER = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/mailcluster.dovecot.pacemaker) in C(module_defaults) to set defaults for these modules.
    support: full
    membership:
      - mailcluster.dovecot.pacemaker
"""
