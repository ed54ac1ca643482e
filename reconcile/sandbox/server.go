package sandbox

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"proxbox-sync/schema"
)

// Options configure a Server.
type Options struct {
	// Generation names the server generation, see Generations; empty is
	// DefaultGeneration.
	Generation string
	// Token is a superuser's API token, v1 or v2. It is required.
	Token string
	// Kinds are the kinds served; nil is schema.Embedded.
	Kinds *schema.Set
	// Clock tells the time; nil is time.Now. Times that are shown are later with
	// each write, even where the clock stands still.
	Clock func() time.Time
	// Prefix is the sub-path that NetBox lies under ("/netbox"), empty for none.
	Prefix string
	// Backends says that the services which a write makes NetBox call answer it; by
	// default there are none.
	Backends bool
	// MaxPage is MAX_PAGE_SIZE: no page has more rows; 0 is 1,000.
	MaxPage int
}

// Server is an in-memory NetBox. It is an http.Handler, safe for concurrent use.
type Server struct {
	mu      sync.Mutex
	gen     *generation
	models  []*model
	byPath  map[string]*model
	stubs   map[string]bool // list paths that exist and are empty
	roots   map[string]raw  // API root documents, with {base} for scheme, host and sub-path
	prefix  string
	maxPage int
	// backends is Options.Backends.
	backends bool
	clock    func() time.Time
	last     time.Time
	tokens   map[[32]byte]*actor
	version  int64 // counts changes of the store
	undo     undoLog

	keyFields   []*field // those with GenerateForSecrets
	customModel *model
	changeLog   *model
	attached    map[*model][]customField
	attachedAt  int64

	changes []Change
	pending []Change // of the request that is being answered
	log     []Request
	faults  []*plannedFault
}

// New makes a server with the objects that a fresh one of its generation has.
func New(o Options) (*Server, error) {
	gen, err := findGeneration(o.Generation)
	if err != nil {
		return nil, err
	}
	if o.Token == "" {
		return nil, errors.New("a sandbox needs a token")
	}
	set := o.Kinds
	if set == nil {
		set = schema.Embedded()
	}
	models, err := buildModels(set, gen)
	if err != nil {
		return nil, fmt.Errorf("server generation %s: %w", gen.Name, err)
	}
	s := &Server{gen: gen, models: models, byPath: map[string]*model{}, prefix: strings.TrimSuffix(o.Prefix, "/"),
		maxPage: o.MaxPage, backends: o.Backends, clock: o.Clock, tokens: map[[32]byte]*actor{}, attachedAt: -1}
	if s.maxPage <= 0 {
		s.maxPage = 1000
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	for _, m := range models {
		s.byPath[m.path] = m
		switch m.Role {
		case "custom fields":
			s.customModel = m
		case "change log":
			s.changeLog = m
		}
		for _, f := range m.fields {
			if f.GenerateForSecrets && m.singleton {
				s.keyFields = append(s.keyFields, f)
			}
		}
	}
	s.buildRoots(set)
	if err := s.AddToken(TokenSpec{Token: o.Token, Write: true, Superuser: true}); err != nil {
		return nil, err
	}
	return s, s.seed()
}

// seed makes the objects of a fresh server.
func (s *Server) seed() error {
	w := &writer{s: s, actor: &actor{write: true, superuser: true}}
	for _, d := range s.gen.Seed {
		i := slices.IndexFunc(s.models, func(m *model) bool { return m.kind == d.Kind })
		if i < 0 {
			continue
		}
		body, err := parseJSON(d.Values)
		if err != nil {
			return fmt.Errorf("server generation %s: seed of %s: %w", s.gen.Name, d.Kind, err)
		}
		if _, refused := w.create(s.models[i], body.(*object)); refused != nil {
			return fmt.Errorf("server generation %s: seed of %s: %s", s.gen.Name, d.Kind, appendJSON(nil, refused.body()))
		}
	}
	if s.gen.Has.SettingsRow {
		for _, m := range s.models {
			if m.singleton {
				s.theRow(m)
			}
		}
	}
	s.undo.steps, s.pending = nil, nil
	return nil
}

// theRow is a singleton's row, made when it isn't there.
func (s *Server) theRow(m *model) *row {
	if r := m.rows[1]; r != nil {
		return r
	}
	t := s.now()
	r := &row{id: 1, created: t, updated: t, values: map[string]any{}}
	for _, f := range m.fields {
		if r.values[f.name] = f.storedDefault(); f.As == "custom fields" {
			r.values[f.name] = newObject()
		}
	}
	s.insert(m, r)
	return r
}

func (s *Server) modelOfType(objectType string) *model {
	for _, m := range s.models {
		if m.ObjectType == objectType {
			return m
		}
	}
	return nil
}

// generated is what the server makes up for a token of its own.
func (s *Server) generated() string {
	b := make([]byte, 48)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// call is one request being answered.
type call struct {
	req    *http.Request
	path   string // as requested, sub-path included
	rel    string // below /api/, without slashes at the ends
	query  url.Values
	actor  *actor
	show   *shower
	body   []byte
	id     string
	change string // changelog_message
}

// ServeHTTP answers a request. Faults that break the connection do so by
// panicking with http.ErrAbortHandler, as net/http servers expect it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	c := &call{req: r, path: r.URL.Path, query: r.URL.Query(), body: body, id: requestID(),
		show: &shower{s: s, base: baseOf(r) + s.prefix}}
	fault := s.planFault(r)
	if fault != nil && !fault.before(w, r, s, c.id) {
		s.note(c, fault.Status)
		return
	}
	var a answer
	switch {
	case err != nil:
		a = fail(http.StatusBadRequest, "Unreadable request.")
	case len(body) > maxBody:
		a = fail(http.StatusRequestEntityTooLarge, "Request body exceeded the limit.")
	default:
		a = s.answer(c)
	}
	s.note(c, a.status)
	if fault != nil {
		fault.after(w, r, s, c.id, a)
		return
	}
	a.send(w, s, c.id)
}

// Limits of a request's body, in bytes: what is read at all, and Django's
// DATA_UPLOAD_MAX_MEMORY_SIZE.
const (
	maxBody   = 64 << 20
	maxUpload = 2_621_440
)

func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func baseOf(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// answer acts under the lock and keeps what was done only if the request was
// not refused.
func (s *Server) answer(c *call) answer {
	if a, tooLarge := requestLineTooLarge(c.req); tooLarge {
		return a
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.route(c)
	if a.status >= http.StatusBadRequest {
		s.undo.rollback()
	} else {
		s.changes = append(s.changes, s.pending...)
	}
	s.undo.steps, s.pending = nil, nil
	return a
}

// Changes returns the writes carried out so far, oldest first.
func (s *Server) Changes() []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.changes)
}

// PlainSecret returns the plain text of a stored write-only field, so that tests
// can prove that a secret arrived. ok is false where there is no such object or
// field.
func (s *Server) PlainSecret(kind string, id int64, field string) (plain string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.models {
		if r := m.rows[id]; m.kind == kind && r != nil {
			if v, ok := r.values[field].(secret); ok {
				return v.reveal(), true
			}
		}
	}
	return "", false
}
