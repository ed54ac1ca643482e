package reconcile

import (
	"fmt"
	"slices"
)

// gone lists the documents whose object the server does not show. Of a kind that
// is known to be seen in part there are none: its object may be one of the rest.
func (e *exporting) gone() {
	for _, kind := range sortedKeys(e.documents.Objects) {
		if !e.scope[kind] {
			continue
		}
		var gone []*Object
		for _, d := range e.documents.Objects[kind] {
			if d.Peer == nil && d.Key != "" && !d.Doc.Meta.Absent && !d.Doc.Meta.Release && len(d.Kind.Resource.Key) > 0 && e.chosen(d) {
				gone = append(gone, d)
			}
		}
		if len(gone) == 0 || e.out.Unread[kind] != "" {
			continue
		}
		if why := e.partly(kind, gone); why != "" {
			e.out.Unread[kind] = why
			continue
		}
		e.out.Gone = append(e.out.Gone, gone...)
	}
}

func (e *exporting) chosen(d *Object) bool {
	return len(e.o.Select) == 0 || slices.ContainsFunc(e.o.Select, func(s Selection) bool {
		return s.Kind == d.Kind.Name && (s.Key == "" || s.Key == d.Display())
	})
}

// partly says why a document of a kind may be of an object that is there all the
// same: one was seen that can't be told by its key or was left out, or what the
// document is named by could not be read.
func (e *exporting) partly(kind string, gone []*Object) string {
	for _, o := range e.live.Objects[kind] {
		if o.Peer == nil && (e.left[kind][o.Row] || hiddenKey(o, 0)) {
			return o.Label() + " is there and could not be exported: which document is its can't be told"
		}
	}
	for _, d := range gone {
		if target := e.unseen(d, 0); target != nil {
			return fmt.Sprintf("a document refers to %s, and of %s not all could be read", target, target.Kind.Name)
		}
	}
	return ""
}

// hiddenKey reports whether a live object's key leads to what the token may not view.
func hiddenKey(o *Object, depth int) bool {
	return slices.ContainsFunc(o.Kind.Resource.Key, func(name string) bool {
		ref, ok := o.Fields[name].(Ref)
		return ok && (ref.Target == nil || depth < maxKeyDepth && hiddenKey(ref.Target, depth+1))
	})
}

// unseen is what a document's key leads to and was not seen, nil where that would
// have been seen.
func (e *exporting) unseen(d *Object, depth int) *Object {
	if depth > maxKeyDepth {
		return nil
	}
	for _, name := range d.Kind.Resource.Key {
		ref, ok := d.Fields[name].(Ref)
		if !ok || ref.Target == nil || ref.Target.liveRow() != 0 {
			continue
		}
		kind := ref.Target.Kind.Name
		if e.live.Unread[kind] != "" || e.out.Unread[kind] != "" {
			return ref.Target
		}
		if found := e.unseen(ref.Target, depth+1); found != nil {
			return found
		}
	}
	return nil
}
