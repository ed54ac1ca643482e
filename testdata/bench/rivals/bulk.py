"""Lists all storage rows once, and writes what is missing or differs in one request each."""
import os
import sys

import pynetbox

tag, cluster, count, content = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
netbox = pynetbox.api(os.environ["NETBOX_URL"], token=os.environ["NETBOX_TOKEN"])
storage = netbox.plugins.proxbox.storage
live = {(row.cluster.id, row.name): row for row in storage.all(limit=1000)}
create, update = [], []
for i in range(count):
    name = f"{tag}-{i:06d}"
    want = {"cluster": cluster, "name": name, "storage_type": "dir", "content": content}
    row = live.get((cluster, name))
    if row is None:
        create.append(want)
    elif row.content != content or row.storage_type != "dir":
        update.append({"id": row.id, **want})
if create:
    storage.create(create)
if update:
    storage.update(update)
