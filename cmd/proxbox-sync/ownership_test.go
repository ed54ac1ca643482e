package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// policyOf joins variables, flags and a project file, as plan and apply do.
func policyOf(t *testing.T, env, args []string, file string) (*policy, error) {
	t.Helper()
	a, g := parse(t, env, append([]string{"plan"}, args...)...)
	name := filepath.Join(a.dir, projectName)
	require.NoError(t, os.WriteFile(name, []byte(file), 0o600))
	p, err := readProject(a.dir, name, a.dir)
	require.NoError(t, err)
	return a.policy(g.Plan.ownerFlag, g.Plan.policyFlags, p, schema.Embedded())
}

// words is a policy in words: what is allowed, and the codes of its notes.
func (y *policy) words() string {
	number := func(n *int) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	l := y.own.Limits
	text := fmt.Sprintf("prune=%v deletes=%s ceiling=%s share=%s updates=%s/%s", y.own.Prune, number(l.MaxDeletes), number(l.DeleteCeiling),
		number(l.MaxDeletePercent), number(l.MaxUpdates), number(l.MaxUpdatePercent))
	for _, d := range y.notes {
		text += " " + d.Code
	}
	return text
}

func TestTheProjectFileOnlyTightens(t *testing.T) {
	for _, c := range []struct {
		why       string
		env, args []string
		file      string
		want      string
	}{
		{"nothing is said", nil, nil, "", "prune=false deletes=- ceiling=- share=- updates=-/-"},
		{"the file asks to prune", nil, nil, "prune: true", "prune=true deletes=- ceiling=- share=- updates=-/- loose-setting"},
		{"the job forbids it", []string{"PROXBOX_SYNC_PRUNE=false"}, nil, "prune: true", "prune=false deletes=- ceiling=- share=- updates=-/- no-effect"},
		{"a flag forbids it", nil, []string{"--no-prune"}, "prune: true", "prune=false deletes=- ceiling=- share=- updates=-/- no-effect"},
		{"the file is stricter than the job", []string{"PROXBOX_SYNC_PRUNE=true"}, nil, "prune: false", "prune=false deletes=- ceiling=- share=- updates=-/-"},
		{"a flag decides alone", nil, []string{"--prune"}, "prune: false", "prune=true deletes=- ceiling=- share=- updates=-/- loose-setting"},
		{"a number in the file bounds and allows nothing", nil, nil, "limits: {max_deletes: 50}", "prune=false deletes=- ceiling=50 share=- updates=-/-"},
		{"both bound", nil, []string{"--max-deletes=9"}, "limits: {max_deletes: 50}", "prune=false deletes=9 ceiling=50 share=- updates=-/- loose-setting"},
		{"a share above the default is not the file's to give", nil, nil, "limits: {max_delete_percent: 90}", "prune=false deletes=- ceiling=- share=- updates=-/- no-effect"},
		{"a lower one is", nil, []string{"--max-delete-percent=60"}, "limits: {max_delete_percent: 10}", "prune=false deletes=- ceiling=- share=10 updates=-/- loose-setting"},
		{"between the two", nil, []string{"--max-delete-percent=60"}, "limits: {max_delete_percent: 50}", "prune=false deletes=- ceiling=- share=50 updates=-/- loose-setting"},
		{"updates are bounded by whoever says less", []string{"PROXBOX_SYNC_MAX_UPDATES=5"}, nil, "limits: {max_updates: 7, max_update_percent: 20}",
			"prune=false deletes=- ceiling=- share=- updates=5/20 no-effect"},
	} {
		t.Run(c.why, func(t *testing.T) {
			got, err := policyOf(t, c.env, c.args, c.file)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(c.want, got.words()))
		})
	}
}

// What only flags and variables may say is refused in the file, not ignored.
func TestAllowancesAreNotTheProjectFilesToGive(t *testing.T) {
	for _, key := range []string{"prune_adopted", "take_ownership", "accept_secrets", "allow_older_secrets", "allow_retarget", "approve_connections", "no_adopt"} {
		p := &project{}
		require.True(t, p.decode([]byte(key+": true")).HasErrors(), key)
	}
}

func TestWhatIsLooserThanTheDefaultIsNoted(t *testing.T) {
	for _, arg := range []string{"--prune", "--max-deletes=3", "--max-delete-percent=31", "--take-ownership", "--accept-secrets",
		"--allow-older-secrets", "--allow-retarget=ProxmoxEndpoint/a", "--approve-connections"} {
		y, err := policyOf(t, nil, []string{arg}, "")
		require.NoError(t, err)
		require.Len(t, y.notes, 1, arg)
		require.Equal(t, reconcile.Policy, y.notes[0].Trouble)
	}
	y, err := policyOf(t, []string{"PROXBOX_SYNC_ALLOW_RETARGET=ProxmoxEndpoint/a\nProxmoxEndpoint/b"}, nil, "")
	require.NoError(t, err)
	require.Contains(t, y.notes[0].Summary, "PROXBOX_SYNC_ALLOW_RETARGET")
	require.Len(t, y.own.AllowRetarget, 2)
	for _, arg := range []string{"--max-deletes=0", "--max-delete-percent=5", "--no-adopt", "--max-updates=1", "--no-prune"} {
		y, err := policyOf(t, nil, []string{arg}, "")
		require.NoError(t, err)
		require.Empty(t, y.notes, arg)
	}
}

func TestAnOwnerHasOneSource(t *testing.T) {
	_, err := policyOf(t, []string{"PROXBOX_SYNC_OWNER=a"}, nil, "owner: b")
	require.ErrorContains(t, err, "its owner is not the one in PROXBOX_SYNC_OWNER")
	require.Equal(t, exitUsage, codeOf(err))
	y, err := policyOf(t, []string{"PROXBOX_SYNC_OWNER=a"}, []string{"--owner=c"}, "owner: b")
	require.NoError(t, err)
	require.Equal(t, "c", y.own.Owner)
	_, err = policyOf(t, nil, []string{"--owner=a b"}, "")
	require.Equal(t, exitUsage, codeOf(err))
}

func TestTheChangeLogNamesTheOwner(t *testing.T) {
	require.Equal(t, "proxbox-sync apply, owner prod", changelogMessage(environment{}, "apply", t.TempDir(), "prod", ""))
	require.Equal(t, "proxbox-sync apply, owner prod, plan 0123456789ab",
		changelogMessage(environment{}, "apply", t.TempDir(), "prod", strings.Repeat("0123456789abcdef", 4)))
}
