# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

# Three options are told as in move_obstacles: a fragment for two filters would be longer than what it saves.
DOCUMENTATION = r"""
name: move_way
short_description: Where a user who is moved comes from and goes to
description:
  - Finds the way for C(playbooks/move_user.yml), from what the backends have of the user and of moves that were begun.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
positional: user, to, knowing, found, home
options:
  _input:
    description: The topology, as M(mailcluster.dovecot.preflight) returns it.
    type: dict
    required: true
  user:
    description: The name of the user.
    type: str
    required: true
  to:
    description: The partition to move to.
    type: str
    required: true
  knowing:
    description: The backends that know the user.
    type: list
    elements: str
    required: true
  found:
    description:
      - What was found on each backend, as lines - C(mail) where the user has mail, and those of its file of users who are being
        moved.
    type: dict
    required: true
  home:
    description: The folder of the user's mail, the same on all backends.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Find the way
  ansible.builtin.set_fact:
    way: "{{ topology | mailcluster.dovecot.move_way('alice@example.org', 'b', ['a1'], {'a1': ['mail'], 'b1': []},
      '/var/vmail/example.org/alice') }}"
"""

RETURN = r"""
_value:
  description: The way.
  type: dict
  contains:
    user:
      description: The user's name as Dovecot knows it.
      type: str
    home:
      description: The folder of the user's mail, as given.
      type: str
    target:
      description: The node where the user will be.
      type: str
    target_address:
      description: Its address.
      type: str
    sources:
      description: The node where the user is now. None when the user is on the target already.
      type: list
      elements: str
    begun:
      description: The nodes of a move that was begun before.
      type: list
      elements: str
    knowing:
      description: The backends that know the user.
      type: list
      elements: str
    doors:
      description: The proxies, which must hold the user meanwhile.
      type: list
      elements: str
    obstacles:
      description: Sentences, each with its remedy. None when the move may begin.
      type: list
      elements: str
"""

from collections.abc import Callable

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._moving import move_way


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"move_way": move_way}
