package render

import (
	"bytes"
	"encoding/json"

	"proxbox-sync/reconcile"
)

// LoosePlan reads a plan without the checks of ReadPlan, which a fuzzer would
// never get past.
func LoosePlan(data []byte) (*PlanDocument, error) {
	d := &PlanDocument{Record: &reconcile.Record{}}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return d, dec.Decode(d)
}
