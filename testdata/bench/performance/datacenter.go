package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// row is an object of a mixed datacenter, as a manifest and as a bare request have
// it. Refs name other rows, by kind and number.
type row struct {
	fields object
	refs   map[string]ref
}

type ref struct {
	table *table
	n     int
}

// table is the rows of one kind, after those of the kinds that they refer to.
type table struct {
	kind, path string
	rows       []row
	ids        []any
}

// datacenter is some four hundred objects of all kinds whose writes make the server
// call nobody. What follows the first
// tag in every name keeps runs apart.
func datacenter(tag string) []*table {
	make1 := func(kind, path string, n int, make func(i int) row) *table {
		t := &table{kind: kind, path: path}
		for i := range n {
			t.rows = append(t.rows, make(i))
		}
		return t
	}
	name := func(what string, i int) string { return fmt.Sprintf("%s-%s%d", tag, what, i) }
	const plugin = "plugins/proxbox/"
	tags := make1("Tag", "extras/tags", 5, func(i int) row { return row{fields: object{"slug": name("tag", i), "name": name("tag", i)}} })
	sites := make1("Site", "dcim/sites", 10, func(i int) row { return row{fields: object{"slug": name("site", i), "name": name("site", i)}} })
	tenants := make1("Tenant", "tenancy/tenants", 5, func(i int) row { return row{fields: object{"slug": name("tenant", i), "name": name("tenant", i)}} })
	types := make1("ClusterType", "virtualization/cluster-types", 1, func(i int) row { return row{fields: object{"slug": name("type", i), "name": name("type", i)}} })
	clusters := make1("Cluster", "virtualization/clusters", 4, func(i int) row {
		return row{object{"name": name("cluster", i)}, map[string]ref{"type": {types, 0}}}
	})
	machines := make1("VirtualMachine", "virtualization/virtual-machines", 60, func(i int) row {
		return row{object{"name": name("vm", i)}, map[string]ref{"cluster": {clusters, i % 4}}}
	})
	endpoints := make1("ProxmoxEndpoint", plugin+"endpoints/proxmox", 1, func(i int) row {
		return row{fields: object{"name": name("pve", i), "mode": "cluster", "domain": "pve.bench.example", "username": "root@pam", "enabled": false}}
	})
	of := func(more map[string]ref) map[string]ref {
		out := map[string]ref{"endpoint": {endpoints, 0}}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	proxmox := make1("ProxmoxCluster", plugin+"proxmox-clusters", 4, func(i int) row {
		return row{object{"name": name("pvc", i), "mode": "cluster"}, of(nil)}
	})
	nodes := make1("ProxmoxNode", plugin+"proxmox-nodes", 20, func(i int) row {
		return row{object{"name": name("node", i), "ip_address": fmt.Sprintf("192.0.2.%d", i+1)}, of(map[string]ref{"proxmox_cluster": {proxmox, i % 4}})}
	})
	storage := make1("ProxmoxStorage", storagePath, 100, func(i int) row {
		return row{object{"name": name("store", i), "storage_type": "dir", "content": "images"}, map[string]ref{"cluster": {clusters, i % 4}}}
	})
	backups := make1("VMBackup", plugin+"backups", 60, func(i int) row {
		return row{object{"storage": name("store", i), "subtype": "vm", "format": "zst", "volume_id": name("volume", i), "vmid": 100 + i},
			map[string]ref{"proxmox_storage": {storage, i}, "virtual_machine": {machines, i}}}
	})
	snapshots := make1("VMSnapshot", plugin+"snapshots", 60, func(i int) row {
		return row{object{"vmid": 100 + i, "name": name("snapshot", i), "node": "pve", "subtype": "qemu", "status": "active"},
			map[string]ref{"virtual_machine": {machines, i}}}
	})
	history := make1("VMTaskHistory", plugin+"task-history", 60, func(i int) row {
		return row{object{"upid": name("UPID:", i), "node": "pve", "task_type": "qmstart", "username": "root@pam",
			"start_time": "2026-11-29T10:00:00Z", "status": "OK", "description": "start"}, map[string]ref{"virtual_machine": {machines, i}}}
	})
	routines := make1("BackupRoutine", plugin+"backup-routines", 10, func(i int) row {
		return row{object{"job_id": name("job", i), "selection": []any{100 + i}}, of(nil)}
	})
	replications := make1("Replication", plugin+"replications", 20, func(i int) row {
		return row{object{"replication_id": name("replication", i), "guest": 100 + i, "jobnum": i, "target": "pve2", "job_type": "local"},
			of(map[string]ref{"virtual_machine": {machines, i}, "proxmox_node": {nodes, i}})}
	})
	return []*table{tags, sites, tenants, types, clusters, machines, endpoints, proxmox, nodes, storage, backups, snapshots, history, routines, replications}
}

// manifest writes all tables into one file. A reference is the map of what a
// manifest calls its target.
func manifest(path string, tables []*table) error {
	var b strings.Builder
	for _, t := range tables {
		fmt.Fprintf(&b, "---\napiVersion: proxbox-sync/v1\nkind: %s\nitems:\n", t.kind)
		for _, r := range t.rows {
			data, err := json.Marshal(r.spelled())
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "  - %s\n", data)
		}
	}
	return os.WriteFile(path, []byte(strings.TrimPrefix(b.String(), "---\n")), 0o600)
}

func (r row) spelled() object {
	out := object{}
	for k, v := range r.fields {
		out[k] = v
	}
	for k, to := range r.refs {
		target := to.table.rows[to.n]
		name := "name"
		if target.fields["slug"] != nil {
			name = "slug"
		}
		key := object{name: target.fields[name]}
		if c, ok := target.refs["cluster"]; ok {
			key["cluster"] = c.table.rows[c.n].fields["name"]
		}
		out[k] = key
	}
	return out
}

// bodies are the rows as bare requests have them.
func (t *table) bodies() []object {
	out := make([]object, len(t.rows))
	for i, r := range t.rows {
		out[i] = object{}
		for k, v := range r.fields {
			out[i][k] = v
		}
		for k, to := range r.refs {
			out[i][k] = to.table.ids[to.n]
		}
	}
	return out
}

// mixed measures a datacenter of all kinds against bare requests for many, kind by kind.
func mixed(s *server, binary string, rounds int) (contests []*Contest, err error) {
	x, err := newScene(s, binary)
	defer func() { err = x.end(err) }()
	if err != nil {
		return nil, err
	}
	tables := datacenter(x.tag)
	n := 0
	for _, t := range tables {
		n += len(t.rows)
	}
	create, read := &Contest{What: "create a mixed datacenter", Objects: n}, &Contest{What: "plan a mixed datacenter with nothing to do", Objects: n}
	if err := manifest(filepath.Join(x.dir, "all.yaml"), tables); err != nil {
		return nil, err
	}
	for range rounds {
		m, err := x.run("apply", "--auto-approve", "all.yaml")
		if err != nil {
			return nil, err
		}
		create.ours(m.Seconds)
		for range 3 {
			if m, err = x.run("plan", "all.yaml"); err != nil {
				return nil, err
			}
			read.ours(m.Seconds)
		}
		if err := x.clear(tables); err != nil {
			return nil, err
		}
		total := 0.0
		for _, t := range tables {
			shown, took, err := x.bulk(http.MethodPost, t.path, t.bodies(), manners[0])
			if err != nil {
				return nil, err
			}
			total += took.Seconds()
			t.ids = nil
			for _, one := range shown {
				t.ids = append(t.ids, one["id"])
			}
		}
		create.other(manners[0].String(), total)
		if err := x.bareReads(read, tables); err != nil {
			return nil, err
		}
		if err := x.clear(tables); err != nil {
			return nil, err
		}
	}
	return []*Contest{create, read}, nil
}

// bareReads reads every table with the fields that its rows declare.
func (x *scene) bareReads(read *Contest, tables []*table) error {
	var lists []list
	for _, t := range tables {
		fields := "id,last_updated"
		for k := range t.rows[0].spelled() {
			fields += "," + k
		}
		lists = append(lists, list{t.path, fields, len(t.rows)})
	}
	for range 3 {
		took, err := x.read(lists)
		if err != nil {
			return err
		}
		read.other("a page of each kind, four at a time", took.Seconds())
	}
	return nil
}

// clear deletes what has the scene's tag in one of its fields, kind by kind.
func (x *scene) clear(tables []*table) error {
	for i := len(tables) - 1; i >= 0; i-- {
		t := tables[i]
		var page struct{ Results []object }
		if err := x.ask(http.MethodGet, t.path+"?limit=1000&fields=id,name,slug,volume_id,upid,job_id,replication_id", nil, &page); err != nil {
			return err
		}
		var ids []object
		for _, r := range page.Results {
			if strings.Contains(fmt.Sprint(r), x.tag+"-") {
				ids = append(ids, object{"id": r["id"]})
			}
		}
		if _, _, err := x.bulk(http.MethodDelete, t.path, ids, manners[0]); err != nil {
			return err
		}
	}
	return nil
}
