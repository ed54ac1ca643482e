package reconcile

// Drifted is one managed object that somebody changed on the server.
type Drifted struct {
	Change *Change
	// Fields are the changed ones among Change.Fields: those with the label Drift
	// or Both, and with RenamedOutside the ones of the key.
	Fields []FieldChange
}

// DriftReport is what changed on the server behind the manifests' back, as far
// as the markers tell.
type DriftReport struct {
	Instance Instance
	Owner    string
	Objects  []Drifted
	// Copied are live objects that carry another object's marker.
	Copied []Orphan
	// Missing are objects of the manifests that the server does not have. A
	// marker goes with its object: nothing tells one that was deleted there from
	// one that was never applied, so they are no drift.
	Missing []*Object
	// Unmanaged counts objects that differ and that no marker of this owner is
	// on: they were never applied.
	Unmanaged int
	// Others and Unread are the plan's Unmanaged and Unread.
	Others      map[string]int
	Unread      map[string]string
	Diagnostics Diagnostics
}

// Any reports whether something changed.
func (r *DriftReport) Any() bool { return len(r.Objects)+len(r.Copied) > 0 }

// DriftOf reduces a plan to what the server changed. What policy says of
// applying the plan is left out, and so is what the manifests risk.
func DriftOf(p *Plan) *DriftReport {
	r := &DriftReport{Instance: p.Instance, Owner: p.Owner, Others: p.Unmanaged, Unread: p.Unread}
	for _, s := range p.Steps {
		c := s.Change
		switch {
		case s.Link || c.Action == Delete || c.Action == Mark:
			continue
		case c.Action == Create:
			r.Missing = append(r.Missing, c.Desired)
			continue
		}
		d := Drifted{Change: c}
		foreign := len(c.Fields) > 0
		for _, fc := range c.Fields {
			if fc.Label == Drift || fc.Label == Both {
				d.Fields = append(d.Fields, fc)
			}
			foreign = foreign && (fc.Label == Adoption || fc.Label == "")
		}
		switch {
		case len(d.Fields) > 0 || c.RenamedOutside:
			r.Objects = append(r.Objects, d)
		case foreign:
			r.Unmanaged++
		}
	}
	for _, x := range p.Orphans {
		if x.Copied {
			r.Copied = append(r.Copied, x)
		}
	}
	for _, d := range p.Diagnostics {
		if d.Trouble != Policy && d.Trouble != Risk {
			r.Diagnostics = append(r.Diagnostics, d)
		}
	}
	return r
}
