package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/schema"
)

// clicked is a server with what people clicked together on it.
type clicked struct {
	*world
	t *testing.T
}

func clickedTogether(t *testing.T) clicked {
	t.Helper()
	c := clicked{newSandboxWorld(t, "", schema.Embedded()), t}
	c.make("virtualization/cluster-types", map[string]any{"name": "ct", "slug": "ct"})
	return c
}

func (c clicked) make(path string, fields map[string]any) any {
	c.t.Helper()
	return c.must(c.t, http.MethodPost, path, fields)["id"]
}

// exported is what an export ends with and says, in one line.
func (c clicked) exported(dir string, args ...string) (int, string) {
	c.t.Helper()
	code, stdout, stderr := c.command(c.t, append([]string{"export", "--out", dir, "--all"}, args...)...)
	return code, strings.Join(strings.Fields(stdout+stderr), " ")
}

// adopts shows that init and plan after an export find nothing to change, and
// that the export comes back on another server and is the same there.
func (c clicked) adopts(dir string) {
	c.t.Helper()
	code, stdout, stderr := c.command(c.t, "init", "--auto-approve", "--owner", "o")
	require.Zero(c.t, code, stdout+stderr)
	code, stdout, stderr = c.command(c.t, "plan", dir, "--owner", "o")
	require.Zero(c.t, code, stdout+stderr)
	require.NotRegexp(c.t, `(?m)^[+~-] `, stdout)
	code, stdout, stderr = c.command(c.t, "plan", dir, "--detailed-exitcode")
	require.Zero(c.t, code, stdout+stderr)

	other := newSandboxWorld(c.t, "", schema.Embedded())
	code, stdout, stderr = other.command(c.t, "restore", dir, "--auto-approve")
	require.Zero(c.t, code, stdout+stderr)
	again := filepath.Join(c.t.TempDir(), "again")
	_, _, _ = other.command(c.t, "export", "--out", again, "--all", "--with-references")
	sameFiles(c.t, filesIn(c.t, dir), filesIn(c.t, again))
}

// TestExportNamesWhatHangsOnTwins leaves out what no manifest could tell from
// something else, and everything that can't be named without it, and says so:
// also where nothing that is exported refers to the other twin.
func TestExportNamesWhatHangsOnTwins(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		name string
		make func(c clicked, k1, k2 any)
		want []string
	}{
		{"one of them is referred to", func(c clicked, k1, _ any) {
			c.make("plugins/proxbox/storage", map[string]any{"cluster": k1, "name": "a", "storage_type": "dir"})
		}, []string{"ProxmoxStorage K/a (id 1), cluster: it refers to Cluster K (id 1), which can't be told from its namesake (id 2)"}},
		{"both are referred to", func(c clicked, k1, k2 any) {
			c.make("plugins/proxbox/storage", map[string]any{"cluster": k1, "name": "a", "storage_type": "dir"})
			c.make("plugins/proxbox/storage", map[string]any{"cluster": k2, "name": "b", "storage_type": "dir"})
		}, []string{"ProxmoxStorage K/a (id 1), cluster: it refers", "ProxmoxStorage K/b (id 2), cluster: it refers"}},
		{"what hangs on them has one name as well", func(c clicked, k1, k2 any) {
			c.make("plugins/proxbox/storage", map[string]any{"cluster": k1, "name": "a", "storage_type": "dir"})
			c.make("plugins/proxbox/storage", map[string]any{"cluster": k2, "name": "a", "storage_type": "dir"})
		}, []string{"ProxmoxStorage K/a (id 1), cluster: it refers", "ProxmoxStorage K/a (id 2), cluster: it refers"}},
		{"what hangs on what hangs on them", func(c clicked, k1, _ any) {
			vm := c.make("virtualization/virtual-machines", map[string]any{"cluster": k1, "name": "vm"})
			c.make("plugins/proxbox/snapshots", map[string]any{"virtual_machine": vm, "vmid": 1, "name": "s", "node": "n", "subtype": "qemu", "status": "active"})
			c.make("plugins/proxbox/storage", map[string]any{"cluster": k1, "name": "a", "storage_type": "dir"})
			c.make("plugins/proxbox/backups", map[string]any{"virtual_machine": vm, "storage": "a", "vmid": 1, "volume_id": "v", "subtype": "qemu", "format": "raw"})
		}, []string{"ProxmoxStorage K/a (id 1), cluster: it refers",
			"VMSnapshot 1/s/n (id 1), virtual_machine: it refers to VirtualMachine K/vm (id 1), whose cluster can't be written: it refers to Cluster K (id 1)",
			"VMBackup a/K/vm/qemu/raw/v/1 (id 1), virtual_machine: it refers"}},
	} {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			c := clickedTogether(t)
			k1 := c.make("virtualization/clusters", map[string]any{"name": "K", "type": 1})
			k2 := c.make("virtualization/clusters", map[string]any{"name": "K", "type": 1})
			fine := c.make("virtualization/clusters", map[string]any{"name": "fine", "type": 1})
			one.make(c, k1, k2)
			c.make("plugins/proxbox/storage", map[string]any{"cluster": fine, "name": "fine", "storage_type": "dir"})
			for _, args := range [][]string{nil, {"--with-references"}} {
				code, said := c.exported(filepath.Join(t.TempDir(), "out"), args...)
				require.Equal(t, 7, code, said)
				for _, want := range append(one.want,
					"Cluster K (id 1): it can't be told from its namesake (id 2): none of the fields [name] differs; rename one of them in NetBox",
					"Cluster K (id 2): it can't be told from its namesake (id 1)") {
					require.Contains(t, said, want)
				}
			}
			dir := filepath.Join(t.TempDir(), "out")
			c.exported(dir, "--with-references")
			for name, text := range filesIn(t, dir) {
				require.NotRegexp(t, `cluster: K|name: K`, text, name)
			}
			c.adopts(dir)
		})
	}
}

// TestExportLeavesOutANullableReferenceToATwin keeps the object, and names the
// field that it could not write.
func TestExportLeavesOutANullableReferenceToATwin(t *testing.T) {
	t.Parallel()
	c := clickedTogether(t)
	for range 2 {
		c.make("virtualization/clusters", map[string]any{"name": "K", "type": 1})
	}
	endpoint := c.make("plugins/proxbox/endpoints/proxmox", map[string]any{"name": "e", "mode": "cluster", "domain": "e.example"})
	c.make("plugins/proxbox/proxmox-clusters", map[string]any{"name": "c", "mode": "cluster", "endpoint": endpoint, "netbox_cluster": 2})
	dir := filepath.Join(t.TempDir(), "out")
	code, said := c.exported(dir, "--with-references")
	require.Equal(t, 7, code, said)
	require.Contains(t, said, "ProxmoxCluster e/c (id 1), netbox_cluster: it refers to Cluster K (id 2), which can't be told from its namesake (id 1)")
	text, err := os.ReadFile(filepath.Join(dir, "proxmoxcluster", "e.yaml"))
	require.NoError(t, err)
	require.Contains(t, string(text), "name: c")
	require.NotContains(t, string(text), "netbox_cluster")
	c.adopts(dir)
}

// TestExportTellsMachinesApartByTenant exports machines of one name in one
// cluster, as far as the server's constraint tells them apart.
func TestExportTellsMachinesApartByTenant(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		name    string
		tenants []any
	}{
		{"two tenants", []any{1, 2}},
		{"a tenant and none", []any{1, nil}},
		{"none and a tenant", []any{nil, 2}},
		{"two tenants and none", []any{2, nil, 1}},
	} {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			c := clickedTogether(t)
			k := c.make("virtualization/clusters", map[string]any{"name": "k", "type": 1})
			for _, name := range []string{"t1", "t2"} {
				c.make("tenancy/tenants", map[string]any{"name": name, "slug": name})
			}
			for i, tenant := range one.tenants {
				vm := c.make("virtualization/virtual-machines", map[string]any{"cluster": k, "name": "vm", "tenant": tenant})
				c.make("plugins/proxbox/snapshots", map[string]any{"virtual_machine": vm, "vmid": i + 1, "name": "s", "node": "n", "subtype": "qemu", "status": "active"})
			}
			dir := filepath.Join(t.TempDir(), "out")
			code, said := c.exported(dir, "--with-references")
			require.Zero(t, code, said)
			text, err := os.ReadFile(filepath.Join(dir, "vmsnapshot", "k.yaml"))
			require.NoError(t, err, filesIn(t, dir))
			for _, tenant := range one.tenants {
				want := map[any]string{nil: "null", 1: "t1", 2: "t2"}[tenant]
				require.Contains(t, string(text), "tenant: "+want, string(text))
			}
			c.adopts(dir)

			// Without the machines in Git it is the server's that are meant.
			alone := filepath.Join(t.TempDir(), "alone")
			code, said = c.exported(alone)
			require.Zero(t, code, said)
			code, stdout, stderr := c.command(t, "plan", alone, "--detailed-exitcode")
			require.Zero(t, code, stdout+stderr)
		})
	}
}

// TestExportTellsDevicesAndRolesApart does the same with what other constraints
// tell apart: a device by its site, a role by the one above it, and so on up.
func TestExportTellsDevicesAndRolesApart(t *testing.T) {
	t.Parallel()
	for depth := range 3 {
		t.Run(fmt.Sprintf("%d roles above", depth), func(t *testing.T) {
			t.Parallel()
			c := clickedTogether(t)
			k := c.make("virtualization/clusters", map[string]any{"name": "k", "type": 1})
			maker := c.make("dcim/manufacturers", map[string]any{"name": "m", "slug": "m"})
			model := c.make("dcim/device-types", map[string]any{"manufacturer": maker, "model": "x", "slug": "x"})
			for i := range 2 {
				top := fmt.Sprintf("top%d", i)
				site := c.make("dcim/sites", map[string]any{"name": top, "slug": top})
				role := c.make("dcim/device-roles", map[string]any{"name": top, "slug": top})
				for range depth {
					role = c.make("dcim/device-roles", map[string]any{"name": "r", "slug": "r", "parent": role})
				}
				device := c.make("dcim/devices", map[string]any{"name": "d", "site": site, "cluster": k, "role": role, "device_type": model})
				vm := c.make("virtualization/virtual-machines", map[string]any{"cluster": k, "name": top, "role": role, "device": device})
				c.make("plugins/proxbox/snapshots", map[string]any{"virtual_machine": vm, "vmid": i + 1, "name": "s", "node": "n", "subtype": "qemu", "status": "active"})
			}
			dir := filepath.Join(t.TempDir(), "out")
			code, said := c.exported(dir, "--with-references")
			if depth < 2 {
				require.Zero(t, code, said)
			} else { // a namesake that a namesake tells apart
				require.Equal(t, 7, code, said)
				require.Contains(t, said, "only its parent tells it from its namesakes, and DeviceRole r (id 2) has namesakes itself")
			}
			c.adopts(dir)
		})
	}
}

// TestExportNamesEachTwin names every one of several objects that nothing refers
// to and nothing tells apart: these are read page by page, and not held.
func TestExportNamesEachTwin(t *testing.T) {
	t.Parallel()
	c := clickedTogether(t)
	for _, name := range []string{"twin", "twin", "single", "twin"} {
		c.make("plugins/proxbox/endpoints/fastapi", map[string]any{"name": name, "domain": "api.example"})
	}
	dir := filepath.Join(t.TempDir(), "out")
	code, said := c.exported(dir)
	require.Equal(t, 7, code, said)
	for _, want := range []string{"twin (id 1): it can't be told", "twin (id 2): it can't be told", "twin (id 4): it can't be told", "Exported 2 objects of 2 kinds"} {
		require.Contains(t, said, want)
	}
	c.adopts(dir)
}

// TestExportNotesATwinThatIsSomebodyElses does not declare what would be mistaken
// for an object that this owner does not manage.
func TestExportNotesATwinThatIsSomebodyElses(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{true, false} {
		c := clickedTogether(t)
		api := map[string]any{"name": "twin", "domain": "api.example"}
		var other any
		if before {
			other = c.make("plugins/proxbox/endpoints/fastapi", api)
		}
		mine := filepath.Join(t.TempDir(), "mine.yaml")
		require.NoError(t, os.WriteFile(mine, []byte("apiVersion: proxbox-sync/v1\nkind: FastAPIEndpoint\nspec: {name: mine, domain: api.example}\n"), 0o600))
		code, stdout, stderr := c.command(t, "init", "--auto-approve", "--owner", "o")
		require.Zero(t, code, stdout+stderr)
		code, stdout, stderr = c.command(t, "apply", "--auto-approve", "--owner", "o", mine)
		require.Zero(t, code, stdout+stderr)
		row := map[bool]string{true: "2", false: "1"}[before]
		c.must(t, http.MethodPatch, "plugins/proxbox/endpoints/fastapi/"+row, map[string]any{"name": "twin"})
		if !before {
			other = c.make("plugins/proxbox/endpoints/fastapi", api)
		}
		dir := filepath.Join(t.TempDir(), "out")
		code, stdout, stderr = c.command(t, "export", "--out", dir, "--owner", "o")
		require.Equal(t, 7, code, stdout+stderr)
		require.Contains(t, stdout, fmt.Sprintf("twin (id %v)", other))
		require.NoFileExists(t, filepath.Join(dir, "fastapiendpoint.yaml"))
	}
}

// The same objects in another order of their ids, as after a restore that came in
// two parts, export to the same bytes.
func TestExportOfNamesakesDoesNotGoByTheirIDs(t *testing.T) {
	var exports []map[string]string
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		c := clickedTogether(t)
		cluster := c.make("virtualization/clusters", map[string]any{"name": "k", "type": 1})
		tenants := map[string]any{}
		for _, name := range order {
			tenants[name] = c.make("tenancy/tenants", map[string]any{"name": name, "slug": name})
			c.make("plugins/proxbox/endpoints/proxmox", map[string]any{"name": "twin", "domain": name + ".twin.example.net", "mode": "cluster", "username": "u@pve"})
		}
		for _, name := range order {
			machine := c.make("virtualization/virtual-machines", map[string]any{"name": "vm", "cluster": cluster, "tenant": tenants[name]})
			c.make("plugins/proxbox/snapshots", map[string]any{"virtual_machine": machine, "vmid": 100, "name": "s" + name, "node": "pve", "subtype": "qemu", "status": "active"})
		}
		dir := filepath.Join(t.TempDir(), "m")
		code, said := c.exported(dir, "--with-references")
		require.Zero(t, code, said)
		exports = append(exports, filesIn(t, dir))
	}
	sameFiles(t, exports[0], exports[1])
}
