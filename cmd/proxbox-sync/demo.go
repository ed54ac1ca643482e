package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"proxbox-sync/examples"
	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/reconcile/netbox"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/reconcile/secrets"
	"proxbox-sync/schema"
)

const (
	demoExample = "datacenter"
	demoLines   = 30 // of a long output that are shown
	demoOwner   = "demo"
)

type demoCommand struct {
	Dir        string `arg:"" optional:"" help:"Folder of manifests. Default: the example of a data center that is part of the program." placeholder:"DIR"`
	Generation string `help:"Version of the plugin that the sandbox is like." placeholder:"VERSION"`
}

// Help is shown by demo --help.
func (*demoCommand) Help() string {
	return `Starts a sandbox NetBox in this process, makes the custom field of the markers, plans
and applies manifests, shows the result, changes something behind the tool's back, shows
the drift and repairs it, and prunes an object whose manifest is gone. Nothing but this process is involved, and nothing is left behind.

Secrets are decrypted with the key in the file ` + examples.ThrowAwayKey + ` next to the
manifests, where there is one.`
}

func (c *demoCommand) Run(a *app) error {
	d := &demo{app: a, set: schema.Embedded()}
	dir, clean, err := c.folder()
	if err != nil {
		return err
	}
	defer clean()
	stop, err := d.start(c.Generation)
	if err != nil {
		return err
	}
	defer stop()
	if err := d.load(dir); err != nil {
		return err
	}
	return d.story()
}

// folder returns where the manifests are; the example is unpacked for the time
// of the demo. Its secrets stay encrypted.
func (c *demoCommand) folder() (dir string, clean func(), err error) {
	if c.Dir != "" {
		return c.Dir, func() {}, nil
	}
	example, err := fs.Sub(examples.Files, demoExample)
	if err != nil {
		return "", nil, err
	}
	temp, err := os.MkdirTemp("", "proxbox-sync-demo-")
	if err != nil {
		return "", nil, fmt.Errorf("unpacking the example: %w", err)
	}
	clean = func() { _ = os.RemoveAll(temp) }
	dir = filepath.Join(temp, demoExample)
	if err := os.CopyFS(dir, example); err != nil {
		clean()
		return "", nil, fmt.Errorf("unpacking the example: %w", err)
	}
	return dir, clean, nil
}

// demo is one run of the story.
type demo struct {
	app     *app
	set     *schema.Set
	client  *netbox.Client
	docs    []reconcile.Document
	options reconcile.PlanOptions
	chapter int
	above   string // the folder that holds the manifests' one, with a slash: not shown
}

// start begins the sandbox and connects to it.
func (d *demo) start(generation string) (stop func(), err error) {
	d.client, stop, err = d.app.ownSandbox(sandbox.Options{Generation: generation, Kinds: d.set}, netbox.Config{})
	return stop, err
}

// ownSandbox begins a sandbox in this process and connects to it.
func (a *app) ownSandbox(o sandbox.Options, cfg netbox.Config) (client *netbox.Client, stop func(), err error) {
	o.Token = newToken()
	handler, err := sandbox.New(o)
	if err != nil {
		return nil, nil, usagef("%w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, fmt.Errorf("listening: %w", err)
	}
	// What is under way when the run is interrupted still gets its answer.
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.ctx))
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener, handler, a.log) }()
	stop = func() { cancel(); <-ended }
	cfg.URL, cfg.Token, cfg.Kinds, cfg.Log = "http://"+listener.Addr().String(), reconcile.NewSecret(o.Token, ""), o.Kinds, a.log
	if client, err = netbox.New(cfg); err != nil {
		stop()
		return nil, nil, err
	}
	return client, stop, nil
}

// load reads the manifests of a folder as if it were a repository.
func (d *demo) load(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	paths := []string{dir}
	d.above = filepath.ToSlash(filepath.Dir(abs)) + "/"
	d.options.Ownership.Owner, d.options.Lint.WarningsOnly = demoOwner, true
	if _, err := os.Lstat(filepath.Join(abs, projectName)); err == nil {
		p, err := readProject(abs, filepath.Join(abs, projectName), abs)
		if err != nil {
			return err
		}
		d.options.Desired.IgnoreChanges = p.IgnoreChanges
		d.options.Ownership.Mark = p.Mark
		d.options.Lint.Ignore, d.options.Lint.Partial = p.IgnoreRisks, true
		if p.Owner != "" {
			d.options.Ownership.Owner = p.Owner
		}
		if len(p.Manifests) > 0 {
			paths = p.Manifests
		}
	}
	env := d.app.env.Get
	if key, err := os.ReadFile(filepath.Join(abs, examples.ThrowAwayKey)); err == nil {
		env = func(name string) string {
			if name == "SOPS_AGE_KEY" {
				return string(key)
			}
			return d.app.env.Get(name)
		}
	}
	decrypt, err := d.app.opener(secrets.Options{Env: env}, nil)
	if err != nil {
		return err
	}
	docs, list := manifest.Load(d.app.ctx, paths, manifest.Options{Decrypt: decrypt})
	d.docs = docs
	return failed(list, nil)
}

// story tells what the tool does, step by step.
func (d *demo) story() error {
	if err := d.markers(); err != nil {
		return err
	}
	d.title("The manifests meet an empty NetBox", "plan")
	d.tell("The sandbox has none of what the manifests describe.")
	d.say("")
	plan, err := d.plan(demoLines)
	if err != nil {
		return err
	}
	d.title("Apply makes it so, references first, secrets included", "apply --auto-approve")
	first, err := d.apply(plan)
	if err != nil {
		return err
	}
	if err := d.show(first); err != nil {
		return err
	}
	d.title("A second plan finds nothing to do", "plan")
	if _, err := d.plan(demoLines); err != nil {
		return err
	}
	d.title("Somebody changes things behind its back", "")
	gone, done, err := d.meddle(first)
	if err != nil {
		return err
	}
	if done {
		if err := d.repair(); err != nil {
			return err
		}
	} else {
		d.tell("These manifests have nothing that could be changed or deleted alone, so this part of the story is left out.")
	}
	if err := d.prune(first, gone); err != nil {
		return err
	}
	d.title("And all is as the manifests say", "plan --detailed-exitcode")
	if plan, err = d.plan(demoLines); err != nil {
		return err
	}
	if len(plan.Steps) > 0 {
		return errors.New("the last plan should have had no changes")
	}
	d.say("")
	d.tell("That was all of it. To try it by hand: proxbox-sync sandbox, and in another terminal proxbox-sync plan DIR.")
	return nil
}

// repair shows what somebody changed, and undoes it.
func (d *demo) repair() error {
	d.title("The next plan shows the drift", "plan")
	plan, err := d.plan(demoLines)
	if err != nil {
		return err
	}
	d.title("Apply repairs it", "apply --auto-approve")
	_, err = d.apply(plan)
	return err
}

func (d *demo) say(text string) { _, _ = fmt.Fprintln(d.app.stdout, text) }

// tell writes a paragraph of the story.
func (d *demo) tell(text string) { _ = render.Paragraph(d.app.stdout, text, d.app.style()) }

// title begins a chapter, with the command that does the same outside the demo.
func (d *demo) title(text, command string) {
	d.chapter++
	if d.chapter > 1 {
		d.say("")
	}
	_ = render.Heading(d.app.stdout, fmt.Sprintf("%d. %s", d.chapter, text), d.app.style())
	if command != "" {
		d.say("$ proxbox-sync " + command)
	}
	d.say("")
}

// plan makes a plan and shows at most so many lines of it, the last one in any case.
func (d *demo) plan(most int) (*reconcile.Plan, error) {
	plan, list, err := reconcile.MakePlan(d.app.ctx, d.set, d.client, d.docs, d.options)
	if err := failed(list, err); err != nil {
		return nil, err
	}
	for i := range plan.Diagnostics {
		x := &plan.Diagnostics[i]
		x.Pos.File = strings.TrimPrefix(x.Pos.File, d.above)
		for j := range x.Related {
			x.Related[j].Pos.File = strings.TrimPrefix(x.Related[j].Pos.File, d.above)
		}
	}
	var b bytes.Buffer
	if err := d.app.showPlan(&b, plan, d.app.style()); err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	if left := len(lines) - most; left > 5 {
		for _, line := range lines[:most-1] {
			d.say(line)
		}
		d.say(fmt.Sprintf("… (%d lines more)", left))
		lines = lines[len(lines)-1:]
	}
	for _, line := range lines {
		d.say(line)
	}
	return plan, nil
}

// apply carries a plan out; anything but success ends the demo.
func (d *demo) apply(plan *reconcile.Plan) (*reconcile.Report, error) {
	if err := sealed(plan); err != nil {
		return nil, err
	}
	report := d.app.carryOut(d.client, plan, d.app.digest(plan, nil))
	code := codeOfReport(report)
	doc := render.NewReportDocument(report, d.app.record(plan), nil, int(code))
	if code != exitDone {
		_ = render.Write(d.app.stdout, "text", doc, d.app.style())
		return nil, said(code)
	}
	d.say(doc.Summary())
	return report, nil
}

// show lists what was made, of the kind that has most of it.
func (d *demo) show(report *reconcile.Report) error {
	counts := map[*schema.Kind]int{}
	var most *schema.Kind
	for _, s := range report.Steps {
		kind := s.Step.Change.Desired.Kind
		if counts[kind]++; ofPlugin(kind) && (most == nil || counts[kind] > counts[most]) {
			most = kind
		}
	}
	if most == nil {
		return nil
	}
	d.title("What is there now", "get "+most.Name)
	state, _, err := reconcile.List(d.app.ctx, d.set, d.client, reconcile.Query{Kind: most.Name})
	if err != nil {
		return err
	}
	objects := sorted(state.Objects[most.Name])
	return render.Table(d.app.stdout, most, objects[:min(len(objects), demoLines/2)], d.app.style())
}

// ofPlugin reports whether a kind is the plugin's rather than NetBox's own.
func ofPlugin(kind *schema.Kind) bool {
	return len(kind.Resource.Paths) > 0 && strings.HasPrefix(kind.Resource.Paths[0], "plugins/")
}
