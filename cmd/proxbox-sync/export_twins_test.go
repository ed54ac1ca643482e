package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestExportGoesOnWhenATwinAppearsLater writes everything else where an object
// that a document declares has got a namesake since: the document stays, what is
// in doubt is named, and the end is 7.
func TestExportGoesOnWhenATwinAppearsLater(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		name string
		twin func(c clicked)
		want []string
		vm   string // how a reference names the machine afterwards
	}{
		{"a core object that others refer to", func(c clicked) {
			c.make("virtualization/clusters", map[string]any{"name": "k", "type": 1})
		}, []string{"Cluster k: it can't be told which live object is meant: the server has namesakes: Cluster k (id 1), Cluster k (id 3)",
			"ProxmoxStorage k/a, cluster: 3 objects match Cluster k"}, "{cluster: k, name: vm}"},
		{"a machine with another tenant", func(c clicked) {
			tenant := c.make("tenancy/tenants", map[string]any{"name": "t", "slug": "t"})
			c.make("virtualization/virtual-machines", map[string]any{"cluster": 1, "name": "vm", "tenant": tenant})
		}, []string{"VirtualMachine k/vm: it can't be told which live object is meant", "declare the fields [tenant"}, "{cluster: k, name: vm, tenant: null}"},
		{"one of the plugin's own", func(c clicked) {
			c.make("plugins/proxbox/endpoints/fastapi", map[string]any{"name": "api", "domain": "api.example"})
		}, []string{"FastAPIEndpoint api: it can't be told which live object is meant", "api (id 2): it can't be told from its namesake (id 1)"}, "{cluster: k, name: vm}"},
	} {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			c := clickedTogether(t)
			k := c.make("virtualization/clusters", map[string]any{"name": "k", "type": 1})
			fine := c.make("virtualization/clusters", map[string]any{"name": "fine", "type": 1})
			c.make("plugins/proxbox/storage", map[string]any{"cluster": k, "name": "a", "storage_type": "dir"})
			kept := c.make("plugins/proxbox/storage", map[string]any{"cluster": fine, "name": "b", "storage_type": "dir"})
			vm := c.make("virtualization/virtual-machines", map[string]any{"cluster": k, "name": "vm"})
			c.make("plugins/proxbox/snapshots", map[string]any{"virtual_machine": vm, "vmid": 1, "name": "s", "node": "n", "subtype": "qemu", "status": "active"})
			c.make("plugins/proxbox/endpoints/fastapi", map[string]any{"name": "api", "domain": "api.example"})
			dir := filepath.Join(t.TempDir(), "out")
			code, said := c.exported(dir, "--with-references")
			require.Zero(t, code, said)
			before := filesIn(t, dir)

			one.twin(c)
			c.must(t, http.MethodPatch, fmt.Sprintf("plugins/proxbox/storage/%v", kept), map[string]any{"storage_type": "nfs"})
			code, said = c.exported(dir, "--with-references", "--remove-gone")
			require.Equal(t, 7, code, said)
			for _, want := range one.want {
				require.Contains(t, said, want)
			}
			after := filesIn(t, dir)
			before["proxmoxstorage/fine.yaml"] = strings.Replace(before["proxmoxstorage/fine.yaml"], "storage_type: dir", "storage_type: nfs", 1)
			for name, text := range before {
				require.Equal(t, strings.ReplaceAll(text, "{cluster: k, name: vm}", one.vm), after[name], name)
			}
		})
	}
}
