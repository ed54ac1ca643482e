package sandbox

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// writer carries out one request's writes. What it does is undone as a whole
// when the request is refused.
type writer struct {
	s       *Server
	actor   *actor
	want    selection // fields= restricts what a write reads, not only what it answers
	message string
	changes []Change
}

// refusal is why an object can't be written: errors by field, or a lack of rights.
type refusal struct {
	status int
	errors *object
	denied string
}

func invalid(errs *object) *refusal { return &refusal{status: 400, errors: errs} }

func denied(text string) *refusal { return &refusal{status: 403, denied: text} }

// body is what the answer says for a single object.
func (r *refusal) body() any {
	if r.errors == nil {
		return detail(r.denied)
	}
	return r.errors
}

// create makes a row, or updates the one that the kind's upsert rule names.
func (w *writer) create(m *model, body *object) (*row, *refusal) {
	if r := w.upsertTarget(m, body); r != nil {
		return r, w.update(m, r, body, true)
	}
	values, refused := w.check(m, nil, body, false)
	if refused != nil {
		return nil, refused
	}
	t := w.s.now()
	r := &row{id: m.next, created: t, updated: t, values: values}
	m.next++
	w.s.insert(m, r)
	if !w.actor.may("add", m, r) {
		return nil, denied(msgDeniedObject)
	}
	w.record("create", m, r)
	return r, nil
}

// upsertTarget is the row that a POST updates on servers that do so.
func (w *writer) upsertTarget(m *model, body *object) *row {
	if len(m.Upsert) == 0 {
		return nil
	}
	wanted := map[string]any{}
	for _, name := range m.Upsert {
		v, given := body.get(name)
		stored, errs := w.parse(m.byName[name], v)
		if !given || errs != nil {
			return nil
		}
		wanted[name] = stored
	}
	u := m.upsertKey()
	key, ok := u.key(m, &row{values: wanted})
	if ids := u.rows[key]; ok && len(ids) > 0 {
		return m.rows[ids[0]]
	}
	return nil
}

// upsertKey is the unique constraint on the fields of the upsert rule.
func (m *model) upsertKey() *unique {
	i := slices.IndexFunc(m.uniques, func(u *unique) bool { return slices.Equal(u.Fields, m.Upsert) })
	if i < 0 {
		return nil
	}
	return m.uniques[i]
}

func (w *writer) update(m *model, r *row, body *object, partial bool) *refusal {
	values, refused := w.check(m, r, body, partial)
	if refused != nil {
		return refused
	}
	w.s.replace(m, r, values, w.s.now())
	if !w.actor.may("change", m, r) {
		return denied(msgDeniedObject)
	}
	w.record("update", m, r)
	return nil
}

func (w *writer) record(action string, m *model, r *row) {
	w.changes = append(w.changes, Change{Action: action, Kind: m.kind, ID: r.id, Message: w.message})
}

// check reads a body into the values that a row would have. old is nil for a
// create; partial is a PATCH, which requires nothing.
func (w *writer) check(m *model, old *row, body *object, partial bool) (map[string]any, *refusal) {
	values, errs := w.read(m, old, body, partial)
	if len(errs.names) > 0 {
		return nil, invalid(errs)
	}
	if errs := w.clean(m, old, values); len(errs.names) > 0 {
		return nil, invalid(errs)
	}
	r := &row{values: values}
	if old != nil {
		r.id = old.id
	}
	if refused := w.rules(m, old, r, body); refused != nil {
		return nil, refused
	}
	for _, u := range m.uniques {
		w.unique(m, u, r, errs)
	}
	if len(errs.names) > 0 {
		return nil, invalid(errs)
	}
	for _, f := range m.fields {
		if n, ok := values[f.name].(float64); ok && (math.IsNaN(n) || math.IsInf(n, 0)) {
			// The database can't keep it in the change log.
			return nil, &refusal{status: 500, errors: w.s.crashBody("DataError", "invalid input syntax for type json")}
		}
	}
	return values, nil
}

// read takes the body field by field.
func (w *writer) read(m *model, old *row, body *object, partial bool) (map[string]any, *object) {
	errs := newObject()
	values := map[string]any{}
	if old != nil {
		values = cloneMap(old.values)
	}
	for _, f := range m.fields {
		if old == nil {
			values[f.name] = f.storedDefault()
		}
		if f.ReadOnly || f.As == "computed" || !w.want.has(f.name) {
			continue
		}
		v, given := body.get(f.name)
		if f.As == "custom fields" {
			w.customFields(m, f, old, v, given, values, errs)
			continue
		}
		if !given {
			if f.Required && !partial {
				errs.set(f.name, []any{msgRequired})
			}
			continue
		}
		if f.KeepWhenBlank && old != nil && !filled(blankText(v)) {
			continue
		}
		stored, problem := w.parse(f, v)
		if problem == nil && f.Frozen != "" && old != nil && stored != values[f.name] {
			problem = []any{f.Frozen}
		}
		if problem != nil {
			errs.set(f.name, problem)
			continue
		}
		values[f.name] = stored
	}
	for _, name := range m.Elsewhere {
		if v, given := body.get(name); given && v != nil {
			_, problem := w.reference(&field{}, v)
			errs.set(name, problem)
		}
	}
	w.moveTags(m, old, body, values, errs)
	w.fieldUniques(m, old, values, errs)
	for _, f := range m.fields {
		if f.Generate && !filled(values[f.name]) && len(errs.names) == 0 {
			values[f.name] = w.s.generated()
		}
	}
	return values, errs
}

func blankText(v any) any {
	if s, ok := v.(string); ok {
		return strings.TrimSpace(s)
	}
	return v
}

// clean finds what the model refuses though the fields took it, among it
// required fields that fields= kept a create from reading.
func (w *writer) clean(m *model, old *row, values map[string]any) *object {
	errs := newObject()
	for _, f := range m.fields {
		unread := old == nil && f.Required && !w.want.has(f.name)
		v := values[f.name]
		switch {
		case v == nil && (f.NotNull || unread):
			errs.set(f.name, []any{"This field cannot be null."})
		case f.Check == "mask" && strings.HasSuffix(pyStr(v), "/0"):
			errs.set(f.name, []any{"Cannot create IP address with /0 mask."})
		case f.NotEmpty && isEmpty(v), unread && v == "":
			errs.set(f.name, []any{"This field cannot be blank."})
		}
	}
	return errs
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case *object:
		return len(v.names) == 0
	}
	return false
}

// moveTags applies add_tags and remove_tags, where the server has them.
func (w *writer) moveTags(m *model, old *row, body *object, values map[string]any, errs *object) {
	f := m.byName["tags"]
	if f == nil || f.As != "references" || !w.s.gen.Has.AddTags {
		return
	}
	if _, given := body.get("tags"); given {
		return
	}
	for _, member := range []string{"add_tags", "remove_tags"} {
		v, given := body.get(member)
		if !given {
			continue
		}
		if member == "remove_tags" && old == nil {
			errs.set(member, []any{`Cannot use "remove_tags" when creating a new object.`})
			continue
		}
		ids, problem := readReferences(w, f, v)
		if problem != nil {
			errs.set(member, problem)
			continue
		}
		now := slices.Clone(refIDs(values[f.name]))
		for _, id := range ids.([]int64) {
			now = slices.DeleteFunc(now, func(x int64) bool { return x == id })
			if member == "add_tags" {
				now = append(now, id)
			}
		}
		values[f.name] = now
	}
}

// fieldUniques reports the constraints that NetBox checks along with the fields.
func (w *writer) fieldUniques(m *model, old *row, values map[string]any, errs *object) {
	r := &row{values: values}
	if old != nil {
		r.id = old.id
	}
	for _, u := range m.uniques {
		if u.On != "" && len(u.Fields) == 1 && len(u.Where) == 0 {
			if _, bad := errs.get(u.On); !bad {
				w.unique(m, u, r, errs)
			}
		}
	}
}

// unique adds the constraint's message when another row has its values.
func (w *writer) unique(m *model, u *unique, r *row, errs *object) {
	key, ok := u.key(m, r)
	if !ok {
		return
	}
	for _, id := range u.rows[key] {
		if id == r.id && r.id != 0 {
			continue
		}
		if u.Exempt != nil && holdAll(m, r, u.Exempt) && holdAll(m, m.rows[id], u.Exempt) {
			continue
		}
		on := u.On
		if on == "" {
			on = "__all__"
		}
		text, _ := u.message.fill(m, m.rows[id])
		list, _ := errs.values[on].([]any)
		errs.set(on, append(list, text))
		return
	}
}

// delete takes a row and what hangs on it. It does nothing when rows are in the
// way, or a rule forbids it.
func (w *writer) delete(m *model, r *row) (protected []found, forbidden string) {
	for _, x := range m.Rules {
		if x.On == "delete" && holdAll(m, r, x.If) {
			return nil, x.Errors["detail"]
		}
	}
	d := &deletion{gone: map[*row]bool{}}
	d.collect(m, r)
	// What goes along doesn't stand in the way.
	d.protected = slices.DeleteFunc(d.protected, func(x found) bool { return d.gone[x.r] })
	if len(d.protected) > 0 {
		return d.protected, ""
	}
	for _, x := range d.order {
		w.record("delete", x.m, x.r)
		w.noteDelete(x.m, x.r)
	}
	w.s.drop(d)
	return nil, ""
}

func protectedText(list []found) string {
	names := make([]string, len(list))
	for i, x := range list {
		names[i] = fmt.Sprintf("%s (%d)", fill(x.m.text, x.m, x.r), x.r.id)
	}
	return fmt.Sprintf("Unable to delete object. %d dependent objects were found: %s", len(list), strings.Join(names, ", "))
}

// Change is one write that the server carried out, as its change log has it.
type Change struct {
	Action  string // "create", "update" or "delete"
	Kind    string
	ID      int64
	Message string // changelog_message
	Request string // X-Request-ID
	Time    time.Time
}
