package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Commits of the stories: what a pull request's branch is at, and what main is
// at after its merge.
var (
	headCommit1 = strings.Repeat("1", 40)
	headCommit2 = strings.Repeat("2", 40)
	mainCommit  = strings.Repeat("a", 40)
)

func pullRequest(head, from string) map[string]string {
	return map[string]string{"github.event_name": "pull_request", "github.sha": strings.Repeat("f", 40), "github.repository": "acme/netbox",
		"github.event.pull_request.number": "7", "github.event.pull_request.head.sha": head, "github.event.pull_request.head.repo.full_name": from}
}

func onMain(event string) map[string]string {
	return map[string]string{"github.event_name": event, "github.sha": mainCommit, "github.repository": "acme/netbox"}
}

// ghMerge merges pull request 7, which is at a commit.
func (w *ciWorld) ghMerge(head string) {
	w.platform.pulls = []row{
		{"number": 3.0, "merged_at": nil, "merge_commit_sha": mainCommit, "head": map[string]any{"sha": headCommit1}}, // open, and has the commit too
		{"number": 7.0, "merged_at": w.platform.time(), "merge_commit_sha": mainCommit, "head": map[string]any{"sha": head}},
	}
}

func (w *ciWorld) comment(t *testing.T) string {
	ours := slices.DeleteFunc(slices.Clone(w.platform.comments), func(r row) bool {
		return r.text("user", "login") == "mallory" || r.text("author", "username") == "mallory"
	})
	require.Len(t, ours, 1, "beside somebody else's")
	return ours[0].text("body")
}

func storiesOfGitHub(t *testing.T, ran *sync.Map) {
	w := newCIWorld(t, ran)
	// Somebody else's comment is not ours, whatever it says.
	w.platform.comments = []row{{"id": 1.0, "user": map[string]any{"login": "mallory"}, "updated_at": w.platform.time(),
		"body": fmt.Sprintf("<!-- proxbox-sync:plan:homelab -->\n<!-- approve run=1 head=%s digest=%s -->", headCommit2, strings.Repeat("0", 64))}}

	// A pull request is planned: nothing is written, a comment shows it.
	jobs := w.ghRun(t, "netbox-plan", pullRequest(headCommit1, "acme/netbox"))
	for _, job := range []string{"check", "plan", "comment"} {
		require.Equal(t, "success", jobs[job].result, "%s:\n%s", job, jobs[job].log)
	}
	require.Regexp(t, `Plan: \d+ to create`, jobs["plan"].log)
	require.Regexp(t, `^[0-9a-f]{64}$`, jobs["plan"].outputs["digest"])
	require.Contains(t, jobs["plan"].log, jobs["plan"].outputs["digest"])
	require.True(t, strings.HasPrefix(w.comment(t), "<!-- proxbox-sync:plan:homelab -->"), w.comment(t))
	require.Contains(t, w.comment(t), "approve run=1 head="+headCommit1+" digest="+jobs["plan"].outputs["digest"])

	// Another push: the comment is replaced. A broken one: it says that there is no plan.
	manifest := filepath.Join(w.repo, "inventory", "storage.yaml")
	change(t, manifest, "kind: ProxmoxStorage", "kind: ProxmoxStorag")
	jobs = w.ghRun(t, "netbox-plan", pullRequest(headCommit2, "acme/netbox"))
	require.Equal(t, "failure", jobs["plan"].result)
	require.Equal(t, int(exitManifests), jobs["check"].code, jobs["check"].log)
	require.Equal(t, "success", jobs["comment"].result, jobs["comment"].log)
	require.NotContains(t, w.comment(t), "<!-- approve")
	w.ghMerge(headCommit2)
	jobs = w.ghRun(t, "netbox-apply", onMain("push"))
	require.Equal(t, int(exitContested), jobs["approved"].code)
	require.Contains(t, jobs["approved"].log, "pull request 7 shows no plan that could be applied")
	require.Equal(t, "skipped", jobs["apply"].result)
	change(t, manifest, "kind: ProxmoxStorag", "kind: ProxmoxStorage")
	jobs = w.ghRun(t, "netbox-plan", pullRequest(headCommit2, "acme/netbox"))
	require.Contains(t, w.comment(t), "head="+headCommit2)
	require.Zero(t, w.writes.Load(), "plans write nothing")

	// The merge applies exactly that.
	w.ghMerge(headCommit2)
	jobs = w.ghRun(t, "netbox-apply", onMain("push"))
	require.Equal(t, "success", jobs["approved"].result, jobs["approved"].log)
	require.Equal(t, "success", jobs["apply"].result, jobs["apply"].log)
	require.Regexp(t, `Apply: \d+ applied`, jobs["apply"].log)
	require.Positive(t, w.writes.Load())
	t.Run("a plan that does not hold", func(t *testing.T) { w.ghStale(t, manifest) })
	t.Run("what was not approved", func(t *testing.T) { w.ghNotApproved(t) })
	t.Run("a fork", func(t *testing.T) { w.ghFork(t) })
	t.Run("drift", func(t *testing.T) { w.ghDrift(t) })
}

// rehearsed: everything comes back on an empty NetBox, which isn't the real one
// and ends with the job; without the key nothing does.
func (w *ciWorld) rehearsed(t *testing.T, job ended) {
	t.Helper()
	require.NotContains(t, job.log, w.url)
	require.Zero(t, w.writes.Load(), "the real NetBox is left alone")
	if w.key == "" {
		require.Equal(t, int(exitSecrets), job.code, job.log)
		return
	}
	require.Equal(t, "success", job.result, job.log)
	require.Contains(t, job.log, "Server: sandbox (")
	require.Contains(t, job.log, "Drill: everything would come back: 12 objects as the manifests say.")
}

// ghStale: something moved between plan and merge. Nothing is written; main is
// planned anew by hand, and that is applied.
func (w *ciWorld) ghStale(t *testing.T, manifest string) {
	change(t, manifest, "iso,vztmpl", "iso")
	require.Equal(t, "success", w.ghRun(t, "netbox-plan", pullRequest(headCommit1, "acme/netbox"))["comment"].result)
	w.behindItsBack(t, "rootdir")
	w.ghMerge(headCommit1)
	w.writes.Store(0)
	jobs := w.ghRun(t, "netbox-apply", onMain("push"))
	require.Equal(t, int(exitContested), jobs["apply"].code, jobs["apply"].log)
	require.Contains(t, jobs["apply"].log, "the saved plan no longer holds")
	require.Zero(t, w.writes.Load())

	jobs = w.ghRun(t, "netbox-plan", onMain("workflow_dispatch"))
	require.Equal(t, "success", jobs["plan"].result, jobs["plan"].log)
	require.Equal(t, "skipped", jobs["comment"].result)
	event := onMain("workflow_dispatch")
	event["inputs.run"], event["inputs.digest"] = fmt.Sprint(w.runs), strings.Repeat("0", 64)
	jobs2 := w.ghRun(t, "netbox-apply", event)
	require.Equal(t, int(exitContested), jobs2["apply"].code, "another digest than that of the plan")
	event["inputs.digest"] = jobs["plan"].outputs["digest"]
	jobs = w.ghRun(t, "netbox-apply", event)
	require.Equal(t, "success", jobs["apply"].result, jobs["apply"].log)
	require.Positive(t, w.writes.Load())
}

// ghNotApproved: each way in which a push to main has no plan that was approved.
func (w *ciWorld) ghNotApproved(t *testing.T) {
	w.writes.Store(0)
	refused := func(why string) {
		t.Helper()
		jobs := w.ghRun(t, "netbox-apply", onMain("push"))
		require.Equal(t, int(exitContested), jobs["approved"].code, jobs["approved"].log)
		require.Contains(t, jobs["approved"].log, why)
		require.Equal(t, "skipped", jobs["apply"].result)
	}
	w.ghMerge(headCommit2)
	refused("is not of what was merged")
	w.ghMerge(headCommit1)
	require.Equal(t, "success", w.ghRun(t, "netbox-plan", pullRequest(headCommit1, "acme/netbox"))["comment"].result)
	refused("was written after the merge")
	w.ghMerge(headCommit1)
	clear(w.platform.files)
	jobs := w.ghRun(t, "netbox-apply", onMain("push"))
	require.Equal(t, "failure", jobs["apply"].result)
	require.Contains(t, jobs["apply"].log, "Artifact not found", "its time is over")
	w.platform.pulls = nil
	refused("this commit is not the merge of a pull request")
	require.Zero(t, w.writes.Load())
}

// ghFork: a fork's pull request is checked, and has nothing else.
func (w *ciWorld) ghFork(t *testing.T) {
	jobs := w.ghRun(t, "netbox-plan", pullRequest(headCommit2, "acme/fork"))
	require.Equal(t, "success", jobs["check"].result, jobs["check"].log)
	require.Equal(t, "skipped", jobs["plan"].result)
	require.Equal(t, "skipped", jobs["comment"].result)
}

// ghDrift: an issue is opened once, updated, and closed, however the rehearsal ends.
func (w *ciWorld) ghDrift(t *testing.T) {
	w.writes.Store(0)
	nightly := func() {
		t.Helper()
		jobs := w.ghRun(t, "netbox-nightly", onMain("schedule"))
		require.Equal(t, "success", jobs["drift"].result, jobs["drift"].log)
		require.Equal(t, "success", jobs["issue"].result, jobs["issue"].log)
		w.rehearsed(t, jobs["rehearsal"])
	}
	nightly()
	w.key = ""
	require.Empty(t, w.platform.issues)
	w.behindItsBack(t, "snippets")
	nightly()
	require.Len(t, w.platform.issues, 1)
	require.Contains(t, w.platform.issues[0].text("body"), "snippets")
	w.behindItsBack(t, "backup")
	nightly()
	require.Len(t, w.platform.issues, 1)
	require.Contains(t, w.platform.issues[0].text("body"), "backup")
	w.behindItsBack(t, "iso")
	nightly()
	require.Equal(t, "closed", w.platform.issues[0].text("state"))
}

func mergeRequest(head string) map[string]string {
	return map[string]string{"CI_PIPELINE_SOURCE": "merge_request_event", "CI_COMMIT_SHA": head, "CI_MERGE_REQUEST_IID": "7",
		"CI_MERGE_REQUEST_PROJECT_ID": "42", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "42"}
}

func onDefaultBranch(source string) map[string]string {
	return map[string]string{"CI_PIPELINE_SOURCE": source, "CI_COMMIT_SHA": mainCommit, "CI_COMMIT_BRANCH": "main"}
}

func (w *ciWorld) glMerge(head string) {
	w.platform.pulls = []row{
		{"iid": 3.0, "state": "opened", "sha": headCommit1, "merge_commit_sha": nil, "squash_commit_sha": nil},
		{"iid": 7.0, "state": "merged", "sha": head, "merge_commit_sha": mainCommit, "squash_commit_sha": nil, "merged_at": w.platform.time()},
	}
}

func storiesOfGitLab(t *testing.T, ran *sync.Map) {
	w := newCIWorld(t, ran)
	w.platform.comments = []row{{"id": 1.0, "author": map[string]any{"username": "mallory"}, "updated_at": w.platform.time(),
		"body": fmt.Sprintf("<!-- proxbox-sync:plan:homelab -->\n<!-- approve job=1 head=%s digest=%s -->", headCommit1, strings.Repeat("0", 64))}}
	for i := range 150 { // more than a page, before ours
		w.platform.comments = append(w.platform.comments, row{"id": float64(i + 2), "author": map[string]any{"username": "mallory"},
			"updated_at": w.platform.time(), "body": "What about this?"})
	}
	succeed := func(jobs map[string]ended, names ...string) {
		t.Helper()
		for name, job := range jobs {
			require.Equal(t, map[bool]string{true: "success", false: "skipped"}[slices.Contains(names, name)], job.result, "%s:\n%s", name, job.log)
		}
	}
	succeed(w.glRun(t, mergeRequest(headCommit1), ""), "check", "plan", "note")
	require.True(t, strings.HasPrefix(w.comment(t), "<!-- proxbox-sync:plan:homelab -->"), w.comment(t))
	require.Contains(t, w.comment(t), "head="+headCommit1)
	succeed(w.glRun(t, mergeRequest(headCommit2), ""), "check", "plan", "note")
	require.Contains(t, w.comment(t), "head="+headCommit2, "replaced")
	require.Zero(t, w.writes.Load(), "plans write nothing")

	w.glMerge(headCommit2)
	jobs := w.glRun(t, onDefaultBranch("push"), "")
	succeed(jobs, "approved", "apply")
	require.Regexp(t, `Apply: \d+ applied`, jobs["apply"].log)

	// A fork's own pipeline, in the parent's project: checked, and nothing else.
	fork := mergeRequest(headCommit1)
	fork["CI_MERGE_REQUEST_SOURCE_PROJECT_ID"] = "43"
	succeed(w.glRun(t, fork, ""), "check")
	t.Run("a plan that does not hold", func(t *testing.T) { w.glStale(t) })
	t.Run("what was not approved", func(t *testing.T) { w.glNotApproved(t) })
	t.Run("drift", func(t *testing.T) {
		w.writes.Store(0)
		jobs := w.glRun(t, onDefaultBranch("schedule"), "")
		succeed(jobs, "drift", "rehearsal")
		w.rehearsed(t, jobs["rehearsal"])
		w.behindItsBack(t, "snippets")
		w.key = ""
		jobs = w.glRun(t, onDefaultBranch("schedule"), "")
		w.rehearsed(t, jobs["rehearsal"])
		require.Equal(t, int(exitChanges), jobs["drift"].code)
		require.Contains(t, jobs["drift"].log, "snippets")
	})
}

func (w *ciWorld) glStale(t *testing.T) {
	manifest := filepath.Join(w.repo, "inventory", "storage.yaml")
	change(t, manifest, "kind: ProxmoxStorage", "kind: ProxmoxStorag")
	jobs := w.glRun(t, mergeRequest(headCommit1), "")
	require.Equal(t, int(exitManifests), jobs["plan"].code)
	require.Equal(t, "success", jobs["note"].result, jobs["note"].log)
	require.NotContains(t, w.comment(t), "<!-- approve")
	change(t, manifest, "kind: ProxmoxStorag", "kind: ProxmoxStorage")

	change(t, manifest, "iso,vztmpl", "iso")
	require.Equal(t, "success", w.glRun(t, mergeRequest(headCommit1), "")["note"].result)
	require.Contains(t, w.comment(t), "<!-- approve")
	w.behindItsBack(t, "rootdir")
	w.glMerge(headCommit1)
	w.writes.Store(0)
	jobs = w.glRun(t, onDefaultBranch("push"), "")
	require.Equal(t, int(exitContested), jobs["apply"].code, jobs["apply"].log)
	require.Zero(t, w.writes.Load())
	jobs = w.glRun(t, onDefaultBranch("web"), "")
	require.Equal(t, "skipped", jobs["apply"].result, "it waits for somebody")
	require.Contains(t, jobs["plan"].log, "rootdir")
	jobs = w.glRun(t, onDefaultBranch("web"), "apply")
	require.Equal(t, "success", jobs["apply"].result, jobs["apply"].log)
	require.Positive(t, w.writes.Load())
}

func (w *ciWorld) glNotApproved(t *testing.T) {
	w.writes.Store(0)
	refused := func(why string) {
		t.Helper()
		jobs := w.glRun(t, onDefaultBranch("push"), "")
		require.Equal(t, int(exitContested), jobs["approved"].code, jobs["approved"].log)
		require.Contains(t, jobs["approved"].log, why)
		require.Equal(t, "skipped", jobs["apply"].result)
	}
	w.glMerge(headCommit2)
	refused("is not of what was merged")
	w.glMerge(headCommit1)
	require.Equal(t, "success", w.glRun(t, mergeRequest(headCommit1), "")["note"].result)
	refused("was written after the merge")
	w.glMerge(headCommit1)
	clear(w.platform.files)
	refused("the artifact of the job")
	w.platform.comments = w.platform.comments[:1]
	refused("shows no plan that could be applied")
	w.platform.pulls = nil
	refused("this commit is not the merge of a merge request")
	require.Zero(t, w.writes.Load())
}
