package sandbox

// noteDelete adds an entry to the change log, in which clients look up what
// became of an object that is gone. Creates and updates are not in it, and of
// what an object was like only its name: that suffices, and holds no secret.
func (w *writer) noteDelete(m *model, r *row) {
	log := w.s.changeLog
	if log == nil || !m.stamped("last_updated") {
		return // what has no such stamp has no change log either
	}
	before := newObject()
	if name, ok := r.values["name"].(string); ok {
		before.set("name", name)
	}
	user := ""
	if who := w.s.modelOfType("users.user"); who != nil && who.rows[1] != nil {
		user, _ = who.rows[1].values["username"].(string) // all tokens are its
	}
	entry := &row{id: log.next, values: map[string]any{"time": w.s.now(), "user_name": user, "action": "delete",
		"changed_object_type": m.ObjectType, "changed_object_id": r.id, "object_repr": fill(m.text, m, r),
		"message": w.message, "prechange_data": before}}
	log.next++
	w.s.insert(log, entry)
}
