# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules accept as host, tag, weight, user and mask.

doveadm itself takes almost anything: an empty mask replicates a user without a name, a tab splits a
user into two words of its protocol, a number is a user's hash.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import HostUnknown, InvalidValue

TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
WILDCARDS = re.compile(r"[*?]")
MOST_WEIGHT = 1000
NAMED = 10  # users in a message


def address_of(option: str, host: str, resolve: Callable[..., Any] = socket.getaddrinfo) -> str:
    """The one address of I(host) in the form that Dovecot prints; names are resolved where the module runs."""
    text = host.strip()
    try:
        return ipaddress.ip_address(text.strip("[]")).compressed
    except ValueError:
        pass
    if not text or CONTROL.search(host) or "@" in host or text.isdigit():
        raise InvalidValue(
            "%s: '%s' is no host: give an address, as 198.51.100.31 or 2001:db8::31%s"
            % (option, host, ", and the tag by itself" if "@" in host else "")
        )
    try:
        found = sorted({entry[4][0] for entry in resolve(text, None)})
    except (OSError, UnicodeError) as error:
        raise HostUnknown("%s: '%s' has no address on this node (%s): give its address" % (option, host, error))
    if len(found) != 1:
        raise InvalidValue(
            "%s: '%s' has the addresses %s: give the one that the directors know" % (option, host, ", ".join(found))
        )
    return ipaddress.ip_address(found[0]).compressed


def tag_of(option: str, tag: str | None) -> str:
    """I(tag), when it can be one; empty is no tag."""
    if tag and not TAG.match(tag):
        raise InvalidValue("%s: '%s' is no tag: use letters, digits, '_', '-' and '.' only" % (option, tag))
    return tag or ""


def weight_of(option: str, weight: int) -> int:
    """I(weight), when Dovecot takes it as a number of vhosts."""
    if not 0 <= weight <= MOST_WEIGHT:
        raise InvalidValue("%s: %d is not between 0 and %d" % (option, weight, MOST_WEIGHT))
    return weight


def user_of(option: str, user: str) -> str:
    """I(user), when it is the name of one user."""
    mask_of(option, user)
    if WILDCARDS.search(user):
        raise InvalidValue("%s: '%s' is a mask ('*' and '?' stand for others): name one user" % (option, user))
    return user


def mask_of(option: str, mask: str) -> str:
    """I(mask), when it is a user's name or a mask of names."""
    if not mask.strip():
        raise InvalidValue("%s: is empty: name a user, or '*' for all" % option)
    if CONTROL.search(mask):
        raise InvalidValue("%s: %r has control characters, which no user's name has: remove them" % (option, mask))
    return mask


def named(users: Iterable[str]) -> str:
    """I(users) in words for a message: some by name, the rest as a number."""
    users = sorted(users)
    return ", ".join(users[:NAMED]) + (" and %d others" % (len(users) - NAMED) if len(users) > NAMED else "")


def is_mask(text: str) -> bool:
    return bool(WILDCARDS.search(text))
