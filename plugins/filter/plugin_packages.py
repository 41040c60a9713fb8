# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: plugin_packages
short_description: Debian packages that bring plugins of Dovecot
description:
  - Gives the packages of those plugins that Debian has in a package of their own. A plugin of another source has none.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
options:
  _input:
    description: Names of plugins, as C(mail_plugins) has them.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Install what the plugins need
  ansible.builtin.apt:
    name: "{{ ['zlib', 'fts', 'fts_xapian'] | mailcluster.dovecot.plugin_packages }}"
"""

RETURN = r"""
_value:
  description: Names of packages, sorted.
  type: list
  elements: str
  sample: [dovecot-fts-xapian]
"""

from collections.abc import Callable, Iterable

from ansible_collections.mailcluster.dovecot.plugins.module_utils._dovecot_rules import PLUGIN_PACKAGES


def plugin_packages(plugins: Iterable[str]) -> list[str]:
    return sorted({PLUGIN_PACKAGES[plugin] for plugin in plugins if plugin in PLUGIN_PACKAGES})


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"plugin_packages": plugin_packages}
