"""Every link of the documentation leads to a page, and to a heading on it, also from the collection's page on Galaxy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
PAGES = [path.relative_to(CHECKOUT) for pattern in ("*.md", "docs/*.md", "roles/*/README.md") for path in CHECKOUT.glob(pattern)]
OURS = re.compile(r"https://(github\.com/mailcluster/dovecot/blob|raw\.githubusercontent\.com/mailcluster/dovecot)/main/")


def links(text):
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?m)^\[[^\]]+\]: (\S+)", text)


def anchors(page):
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text())
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page):
    for link in links((CHECKOUT / page).read_text()):
        place, _hash, anchor = link.partition("#")
        if OURS.match(place):
            target = CHECKOUT / OURS.sub("", place)
        elif place.startswith("http"):
            continue  # somebody else's
        else:
            target = CHECKOUT / page.parent / place if place else CHECKOUT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
