"""Looks every storage row up, and writes each that is missing or differs on its own."""
import os
import sys

import pynetbox

tag, cluster, count, content = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
netbox = pynetbox.api(os.environ["NETBOX_URL"], token=os.environ["NETBOX_TOKEN"])
storage = netbox.plugins.proxbox.storage
for i in range(count):
    name = f"{tag}-{i:06d}"
    want = {"cluster": cluster, "name": name, "storage_type": "dir", "content": content}
    found = [row for row in storage.filter(name=name) if row.cluster.id == cluster]
    if not found:
        storage.create(want)
    elif found[0].content != content or found[0].storage_type != "dir":
        found[0].update(want)
