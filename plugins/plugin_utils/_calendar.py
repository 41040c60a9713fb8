# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calendar expressions of systemd (systemd.time(7)), as far as it can be said without it whether it understands them."""

from __future__ import annotations

import re

SHORTHANDS = ("minutely", "hourly", "daily", "weekly", "monthly", "yearly", "annually", "quarterly", "semiannually")
DAY = r"(mon(day)?|tue(sday)?|wed(nesday)?|thu(rsday)?|fri(day)?|sat(urday)?|sun(day)?)"
DAYS = re.compile(rf"{DAY}((\.\.|-|,){DAY})*,?\Z", re.IGNORECASE)
DATE = re.compile(r"((?P<year>[\d*.,/]+)-)?(?P<month>[\d*.,/]+)[-~](?P<day>[\d*.,/~]+)\Z")
TIME = re.compile(r"(?P<hour>[\d*.,/]+):(?P<minute>[\d*.,/]+)(:(?P<second>[\d*.,/]+))?\Z")
ZONE = re.compile(r"(UTC|[A-Z][A-Za-z_]+/[A-Za-z_/+-]+\d*)\Z")
PART = re.compile(r"(\*|\d{1,9}(\.\.\d{1,9}|\.\d{1,9})?)(/\d{1,9}(\.\d{1,9})?)?\Z", re.ASCII)
REACH = {"year": (1970, 2199), "month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59), "second": (0, 59)}


def understood(text: object) -> bool:
    words = str(text).split()
    if words and len(words) > 1 and ZONE.match(words[-1]):
        words.pop()
    if len(words) == 1 and words[0].lower() in SHORTHANDS:
        return True
    if words and DAYS.match(words[0]):
        words.pop(0)
        if not words:
            return True
    if words and _fits(DATE, words[0]):
        words.pop(0)
        if not words:
            return True
    return len(words) == 1 and _fits(TIME, words[0])


def _fits(pattern: re.Pattern[str], word: str) -> bool:
    found = pattern.match(word)
    return found is not None and all(_reaches(name, text) for name, text in found.groupdict().items() if text is not None)


def _reaches(name: str, text: str) -> bool:
    lowest, highest = REACH[name]
    for part in text.split(","):
        if not PART.match(part):
            return False
        numbers = [int(number) for number in re.findall(r"\d+", part.split("/")[0].replace("..", " ").split(".")[0])]
        if not all(lowest <= number <= highest for number in numbers):
            return False
    return True
