"""Lets the unit tests import the collection by its full name, as Ansible does, and the helpers beside them."""

from __future__ import annotations

import sys
from pathlib import Path

from ansible.utils.collection_loader import AnsibleCollectionConfig
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
from hypothesis import HealthCheck, settings

from labtool import environment, paths

environment.link_collection()
if AnsibleCollectionConfig.collection_finder is None:
    _AnsibleCollectionFinder(paths=[str(paths.COLLECTIONS)])._install()
sys.path.insert(0, str(paths.COLLECTIONS))
sys.path[:0] = [str(Path(__file__).with_name(folder)) for folder in ("playbooks", "plugins", "roles")]

# They have the lowest priority while scenarios run: how long an example takes says nothing then.
settings.register_profile("beside others", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("beside others")
