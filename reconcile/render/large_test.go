package render_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
)

// large is a plan of n steps that need each other, of every action, with risks,
// and with everything that a plan says beside its steps.
func large(t testing.TB, n int) *render.PlanDocument {
	t.Helper()
	kinds := []string{"Site", "Cluster", "ProxmoxNode", "ProxmoxStorage", "BackupRoutine", "Replication"}
	r := &reconcile.Record{Server: reconcile.RecordServer{URL: "https://netbox.example.net", NetBoxVersion: "4.7.3", PluginVersion: "0.0.29.post6"},
		Tool: "0.1.0", Owner: "prod", Manifests: reconcile.RecordManifests{Digest: strings.Repeat("ab", 32), Commit: strings.Repeat("c0ffee12", 5)},
		Policy: reconcile.RecordPolicy{Prune: true}, Unchanged: map[string]int{"Tag": 12, "Site": 1200}, Unmanaged: map[string]int{"ProxmoxStorage": 7, "Device": 3},
		Unread:  map[string]string{"VMSnapshot": "the token may not view all of them"},
		Orphans: []reconcile.RecordOrphan{{Kind: "ProxmoxStorage", Key: "prod/old", Origin: "created", Protect: true, Why: "it is protected"}},
		Secrets: []reconcile.RecordSecretState{{Kind: "ProxmoxEndpoint", Key: "pve", Field: "password", Status: "unknown", Why: "the object is not ours yet"}}}
	perKind := max(n/len(kinds), 1)
	for i := range n {
		at := min(i/perKind, len(kinds)-1)
		s := reconcile.RecordStep{Index: i, Kind: kinds[at], Key: fmt.Sprintf("ams1-prod/object-%04d", i), Wave: at, BeforeSensitive: map[string]bool{}, AfterSensitive: map[string]bool{},
			Position: &reconcile.RecordPosition{File: "inventory/" + strings.ToLower(kinds[at]) + ".yaml", Line: i + 1, Column: 5},
			After:    map[string]any{"status": "active", "size": reconcile.Number(fmt.Sprint(i)), "tags": []any{"prod", "ams1"}}}
		if at > 0 {
			s.Needs = []int{(at-1)*perKind + i%perKind}
		}
		switch {
		case i%10 == 7:
			s.Actions, s.Position, s.After, s.Before = []string{"delete"}, nil, nil, map[string]any{"name": s.Key}
			if i%20 == 7 {
				five := 5
				s.Takes = []reconcile.RecordTaken{{What: "VMBackup", Count: &five}}
			}
		case i%10 == 8:
			s.Actions, s.Before = []string{"mark", "adopt"}, map[string]any{}
			s.After, s.Marker = map[string]any{}, &reconcile.RecordMarker{Why: "adopted"}
		case i%3 == 0:
			s.Actions, s.Before = []string{"update"}, map[string]any{"status": "planned", "size": nil, "tags": []any{"prod"}}
			s.Fields = []reconcile.RecordField{{Name: "status", Label: "drift"}, {Name: "size", Label: "intent"}, {Name: "tags", Label: "conflict", Set: true,
				Changes: []reconcile.RecordValue{{Op: "add", Path: "/1", After: "ams1"}}}}
			if i%9 == 0 {
				s.Risks = []string{"the credentials that the server has stored will be used with a new domain (old.example → new.example)"}
				s.Actions = append(s.Actions, "send")
				s.After["password"], s.AfterSensitive["password"] = reconcile.Redacted, true
				s.Secrets = []reconcile.RecordSecret{{Name: "password", Why: "changed", Sealed: true}}
			}
		default:
			s.Actions = []string{"create"}
			s.Fields = []reconcile.RecordField{{Name: "status"}, {Name: "size"}, {Name: "tags", Set: true}}
		}
		r.Steps = append(r.Steps, s)
		switch s.Actions[0] {
		case "create":
			r.Summary.Create++
		case "update":
			r.Summary.Update++
		case "delete":
			r.Summary.Delete++
		default:
			r.Summary.Mark++
		}
	}
	r.Summary.Unchanged = 1212
	list := reconcile.Diagnostics{
		{Severity: reconcile.Error, Trouble: reconcile.Policy, Code: "cascading-delete", Summary: "deleting takes other objects along", Detail: "if that is meant, allow it with --max-deletes 9"},
		{Severity: reconcile.Warning, Trouble: reconcile.Policy, Code: "loose-setting", Summary: "--prune: objects that this owner created and no manifest has are deleted"},
		{Severity: reconcile.Warning, Code: "database-id", Pos: at(3, 7), Object: "ProxmoxStorage ams1-prod/object-0000", Summary: "a database id isn't portable"},
	}
	d, err := render.NewPlanDocument(r, list, 5)
	require.NoError(t, err)
	return d
}

// written is a document in a format.
func written(t testing.TB, format string, d render.Document) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, render.Write(&b, format, d, render.Style{}))
	return b.String()
}

func TestAMarkdownReportNeverOutgrowsAComment(t *testing.T) {
	const most = 60000
	for _, n := range []int{0, 1, 60, 100, 150, 200, 400, 1000, 10000} {
		got := written(t, "markdown", large(t, n))
		require.LessOrEqual(t, len(got), most, "%d steps", n)
		require.True(t, utf8.ValidString(got))
		require.Equal(t, n >= 400, strings.Contains(got, "objects are left out: a comment has no room for them"), "%d steps: %d bytes", n, len(got))
		if n >= 400 {
			require.Greater(t, len(got), most/2, "as many as fit are shown")
		}
	}
	// Nor do long values, names or lists, wherever they stand.
	long := strings.Repeat("`long` ", 3000)
	d := large(t, 40)
	for i := range d.Steps {
		s := &d.Steps[i]
		s.Key, s.Risks = s.Key+long, []string{long, long}
		for name := range s.After {
			s.After[name] = long
		}
		d.Unread[fmt.Sprint(i)] = long
		d.Unmanaged[long+fmt.Sprint(i)] = 1
		d.Secrets = append(d.Secrets, reconcile.RecordSecretState{Kind: long, Key: long, Status: "unknown", Why: fmt.Sprint(i, long)})
		d.Orphans = append(d.Orphans, reconcile.RecordOrphan{Kind: long, Why: long})
		d.Diagnostics[i%3].Summary, d.Diagnostics[i%3].Detail = long, long
	}
	d.Owner, d.Server.URL, d.Server.NetBoxVersion, d.Manifests.Commit, d.Tool, d.Expires, d.Policy.Partial = long, long, long, long, long, long, long
	require.LessOrEqual(t, len(written(t, "markdown", d)), most)
}

func TestAPictureIsDrawnWhileItCanBeRead(t *testing.T) {
	small, big := written(t, "markdown", large(t, 30)), written(t, "markdown", large(t, 100))
	require.Contains(t, small, "```mermaid\nflowchart LR\n  s0[\"update Site ams1#45;prod/object#45;0000\"]")
	require.Contains(t, small, "\n  s0 --> s5\n")
	require.NotContains(t, big, "```mermaid")
	require.Contains(t, big, "too many for a picture")
	require.Contains(t, written(t, "html", large(t, 300)), `<a href="#s299"><g class="node`)
	grouped := written(t, "html", large(t, 301))
	require.Contains(t, grouped, "those of one kind and action in a round are drawn as one")
	require.NotContains(t, grouped, `<a href="#s299"><g class="node`)
}

// BenchmarkReport says how long a report of 10,000 steps takes, and how large it
// gets.
func BenchmarkReport(b *testing.B) {
	d := large(b, 10000)
	for _, format := range render.Formats() {
		b.Run(format, func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, render.Write(io.Discard, format, d, render.Style{}))
			}
			b.ReportMetric(float64(len(written(b, format, d)))/1e6, "MB")
		})
	}
}
