package netbox

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// Checkup is what Check found out: data, of which render makes text.
type Checkup struct {
	Instance reconcile.Instance
	TLS      *TLS // nil over plain http
	Token    TokenCheck
	Kinds    []KindCheck // in the order of the kinds' names
	// Plan and Apply are the permissions that the token needs for all kinds that
	// the server has, as NetBox names them ("netbox_proxbox.view_proxmoxstorage").
	Plan, Apply []string
	Findings    []Finding
}

// TLS is the connection's protection.
type TLS struct {
	Version string // "TLS 1.3"
	Issuer  string
	Expires time.Time
}

// TokenCheck is what the server says of the token.
type TokenCheck struct {
	Version int    // 1 or 2
	User    string // "" where the server does not say
	// Sensitive says whether the token may do what the plugin guards beyond
	// permissions (approving connections); nil where the plugin does not say.
	Sensitive *bool
}

// KindCheck is what the token may do with one kind; nil is "the server does not
// tell".
type KindCheck struct {
	Kind                      string
	ObjectType                string
	Mode                      schema.Mode
	Path                      string // "" where the server does not have the kind
	View, Add, Change, Delete *bool
	Objects                   *int64 // that the token sees
	Err                       error  // why the kind could not be checked
}

// Level ranks a finding.
type Level string

// The levels.
const (
	LevelOK      Level = "ok"
	LevelNote    Level = "note"
	LevelWarning Level = "warning"
	LevelError   Level = "error"
)

// Finding is one line of a checkup.
type Finding struct {
	Level   Level
	Topic   string // "url", "tls", "token", "versions", "paths", "permissions", "secrets", "approval"
	Summary string
	Detail  string // what it means and what to do; may be empty
}

// Healthy reports whether no finding is an error.
func (r *Checkup) Healthy() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Level == LevelError })
}

func (r *Checkup) add(level Level, topic, summary, detail string) {
	r.Findings = append(r.Findings, Finding{level, topic, summary, detail})
}

// Check looks at server and token without changing anything, for the kinds
// named, or for all. What goes wrong is a finding, not an error.
func (c *Client) Check(ctx context.Context, kinds ...string) *Checkup {
	r := &Checkup{Token: TokenCheck{Version: 1}}
	if strings.HasPrefix(c.token(), "Bearer ") {
		r.Token.Version = 2
	}
	instance, err := c.Instance(ctx)
	r.Instance = instance
	r.Instance.URL = c.base.String() // also when it doesn't answer
	c.checkTLS(r)
	switch {
	case errors.Is(err, ErrToken):
		r.add(LevelOK, "url", c.base.String()+" answers", "")
		r.add(LevelError, "token", err.Error(), "make a new token in NetBox (Admin, API Tokens), or look whether a proxy removes the Authorization header")
		return r
	case err != nil:
		r.add(LevelError, "url", err.Error(), "")
		return r
	}
	r.add(LevelOK, "url", c.base.String()+" answers", "")
	c.checkToken(ctx, r)
	checkVersions(r)
	c.checkKinds(ctx, r, kinds)
	r.judge(c.asked(kinds))
	c.checkSecrets(ctx, r)
	return r
}

const certificateWarning = 30 * 24 * time.Hour

func (c *Client) checkTLS(r *Checkup) {
	if c.base.Scheme == "http" {
		level, detail := LevelWarning, "the token and every secret go over the network in the clear: use https"
		if loopback(c.base.Hostname()) {
			level, detail = LevelNote, "it stays on this machine"
		}
		r.add(level, "tls", "plain http", detail)
		return
	}
	state := c.tls.Load()
	if state == nil || len(state.PeerCertificates) == 0 {
		return
	}
	leaf := state.PeerCertificates[0]
	r.TLS = &TLS{Version: tls.VersionName(state.Version), Issuer: leaf.Issuer.String(), Expires: leaf.NotAfter}
	left := leaf.NotAfter.Sub(c.now())
	if left < certificateWarning {
		r.add(LevelWarning, "tls", fmt.Sprintf("the server's certificate expires on %s", leaf.NotAfter.UTC().Format(time.DateOnly)), "")
		return
	}
	r.add(LevelOK, "tls", r.TLS.Version+", certificate valid until "+leaf.NotAfter.UTC().Format(time.DateOnly), "")
}

func (c *Client) checkToken(ctx context.Context, r *Checkup) {
	var user struct {
		Username string `json:"username"`
	}
	summary := fmt.Sprintf("the v%d token is accepted", r.Token.Version)
	_, err := c.getJSON(ctx, call{path: "authentication-check"}, &user)
	switch {
	case err == nil:
		r.Token.User = user.Username
		r.add(LevelOK, "token", summary+", for user "+user.Username, "")
	case errors.Is(err, ErrToken):
		r.add(LevelError, "token", err.Error(), "")
	default: // older servers do not have the document
		r.add(LevelOK, "token", summary, "")
	}
}

func checkVersions(r *Checkup) {
	if r.Instance.NetBoxVersion == "" {
		r.add(LevelWarning, "versions", "the server does not tell its versions to this token", "")
		return
	}
	if r.Instance.PluginVersion == "" {
		r.add(LevelError, "versions", "NetBox "+r.Instance.NetBoxVersion+" without the netbox-proxbox plugin", "install netbox-proxbox on the server, or check the URL")
		return
	}
	r.add(LevelOK, "versions", "NetBox "+r.Instance.NetBoxVersion+", netbox-proxbox "+r.Instance.PluginVersion, "")
}

func (c *Client) checkKinds(ctx context.Context, r *Checkup, names []string) {
	for _, k := range c.kinds.Kinds() {
		if len(names) == 0 || slices.Contains(names, k.Name) {
			r.Kinds = append(r.Kinds, KindCheck{Kind: k.Name, ObjectType: k.Resource.ObjectType, Mode: k.Resource.Mode})
		}
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, c.parallelism)
	for i := range r.Kinds {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			defer reconcile.Recovered(&r.Kinds[i].Err)
			c.checkKind(ctx, &r.Kinds[i])
		})
	}
	wg.Wait()
}

func (c *Client) checkKind(ctx context.Context, check *KindCheck) {
	ability, err := c.Describe(ctx, check.Kind)
	if err != nil {
		check.Err = err
		return
	}
	check.Path, check.Add, check.Change, check.Delete = ability.Path, ability.Add, ability.Change, ability.Delete
	var list struct {
		Count *int64 `json:"count"`
	}
	_, err = c.getJSON(ctx, call{path: ability.Path, query: "fields=id&limit=1"}, &list)
	view := err == nil
	switch {
	case view:
		check.Objects = list.Count
	case !errors.Is(err, reconcile.ErrForbidden) || stops(err):
		check.Err = err
		return
	}
	check.View = &view
}

// asked tells whether plan has to work for a kind: those named, else those of the
// plugin. What is missing of others is worth a warning.
func (c *Client) asked(names []string) func(kind string) bool {
	return func(kind string) bool {
		if len(names) > 0 {
			return slices.Contains(names, kind)
		}
		paths := c.kinds.Kind(kind).Resource.Paths
		return len(paths) > 0 && strings.HasPrefix(paths[0], "plugins/")
	}
}

// judge draws the findings about paths and permissions from the kinds.
func (r *Checkup) judge(asked func(kind string) bool) {
	var missing, plan, apply []string
	planLevel := LevelWarning
	for i := range r.Kinds {
		k := &r.Kinds[i]
		switch {
		case errors.Is(k.Err, reconcile.ErrNoKind):
			missing = append(missing, k.Kind)
			continue
		case k.Err != nil && asked(k.Kind):
			r.add(LevelError, "permissions", k.Kind+": "+k.Err.Error(), "")
		case k.Err != nil:
			r.add(LevelWarning, "permissions", k.Kind+": "+k.Err.Error(), "")
		}
		for action, has := range k.needs() {
			name := k.permission(action)
			if action == "view" {
				r.Plan = append(r.Plan, name)
				plan = appendMissing(plan, name, has)
			} else {
				apply = appendMissing(apply, name, has)
			}
			r.Apply = append(r.Apply, name)
		}
		if k.View != nil && !*k.View && asked(k.Kind) {
			planLevel = LevelError
		}
	}
	slices.Sort(r.Apply)
	slices.Sort(apply)
	if len(missing) > 0 {
		r.add(LevelWarning, "paths", "this server does not have "+strings.Join(missing, ", "), "manifests of these kinds cannot be applied here")
	} else {
		r.add(LevelOK, "paths", fmt.Sprintf("the server has all %d kinds", len(r.Kinds)), "")
	}
	verdict := func(level Level, command string, missing []string, detail string) {
		if len(missing) == 0 {
			r.add(LevelOK, "permissions", command+": the token has what it needs, as far as the server tells", "")
			return
		}
		r.add(level, "permissions", command+": the token lacks "+strings.Join(missing, ", "), detail)
	}
	const scope = "doctor reads no manifests: it speaks of all kinds listed below; name kinds to ask about those alone"
	verdict(planLevel, "plan", plan, scope)
	verdict(LevelWarning, "apply", append(plan, apply...), scope+". A token without write access lacks all of them")
}

func appendMissing(list []string, name string, has *bool) []string {
	if has != nil && !*has {
		return append(list, name)
	}
	return list
}

// needs are the actions that apply needs of a kind, with what is known of them.
func (k *KindCheck) needs() map[string]*bool {
	switch k.Mode {
	case schema.Lookup:
		return map[string]*bool{"view": k.View}
	case schema.Singleton:
		return map[string]*bool{"view": k.View, "change": k.Change}
	}
	return map[string]*bool{"view": k.View, "add": k.Add, "change": k.Change}
}

func (k *KindCheck) permission(action string) string {
	return schema.Resource{ObjectType: k.ObjectType}.Permission(action)
}

// approvalVersion is the plugin that brought connection approval, redaction in
// the change log and write-only tokens and keys.
var approvalVersion = []int{0, 0, 29}

// checkSecrets says what this generation of the plugin does with secrets.
func (c *Client) checkSecrets(ctx context.Context, r *Checkup) {
	version, ok := versionNumbers(r.Instance.PluginVersion)
	switch {
	case !ok:
		return
	case slices.Compare(version, approvalVersion) < 0:
		r.add(LevelWarning, "secrets", "netbox-proxbox "+r.Instance.PluginVersion+" may show secrets",
			"versions before 0.0.29 show the token of FastAPI endpoints and the encryption key of the settings in plain text to those who may read them, and keep secrets readable in NetBox's change log: restrict who may view both")
		r.add(LevelNote, "secrets", "connections need no approval", "an endpoint's credentials are used as soon as they are stored")
		return
	}
	r.add(LevelOK, "secrets", "write-only on this version, and left out of the change log", "")
	r.add(LevelNote, "secrets", "connections need approval", "the credentials of a Proxmox or NetBox endpoint are used only after its connection was approved; any change of where it points to revokes that")
	c.checkApprovals(ctx, r)
	plugin := c.pluginRoot()
	if plugin == "" {
		return
	}
	var ready struct {
		Access *bool `json:"can_access_sensitive_data"`
	}
	if _, err := c.getJSON(ctx, call{method: http.MethodGet, path: plugin + "/sensitive-data-readiness"}, &ready); err != nil || ready.Access == nil {
		r.add(LevelNote, "secrets", "the server does not say whether the token has sensitive-data access", "approving connections and changing an enabled FastAPI endpoint need it")
		return
	}
	r.Token.Sensitive = ready.Access
	if *ready.Access {
		r.add(LevelOK, "secrets", "the token has sensitive-data access", "")
		return
	}
	r.add(LevelWarning, "secrets", "the token has no sensitive-data access", "approving connections and changing an enabled FastAPI endpoint need it: a superuser grants it in the plugin")
}

// pluginRoot is the root path of the plugin whose kinds these are.
func (c *Client) pluginRoot() string {
	for _, k := range c.kinds.Kinds() {
		for _, p := range k.Resource.Paths {
			if parts := strings.Split(p, "/"); len(parts) > 2 && parts[0] == "plugins" {
				return parts[0] + "/" + parts[1]
			}
		}
	}
	return ""
}

// versionNumbers are the first three numbers of a version.
func versionNumbers(version string) ([]int, bool) {
	var n [3]int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &n[0], &n[1], &n[2]); err != nil {
		return nil, false
	}
	return n[:], true
}
