package render

import "proxbox-sync/reconcile"

// take is what a delete takes along.
type take struct {
	What    string   `json:"what"`
	Objects []string `json:"objects,omitempty"`
	Count   *int     `json:"count"` // null where it could not be counted
}

type orphan struct {
	Kind    string `json:"kind"`
	Key     string `json:"key"`
	ID      int64  `json:"id,omitempty"`
	Origin  string `json:"origin"`
	Protect bool   `json:"protect"`
	Deleted bool   `json:"deleted"`
	Why     string `json:"why,omitempty"`
}

type secretState struct {
	Kind   string `json:"kind"`
	Key    string `json:"key"`
	Field  string `json:"field"`
	Status string `json:"status"`
	Why    string `json:"why,omitempty"`
	Sent   bool   `json:"sent"`
}

func takeData(t reconcile.Taken) take {
	out := take{What: t.What, Objects: t.Objects}
	if !t.Unknown {
		n := max(t.Count, len(t.Objects))
		out.Count = &n
	}
	return out
}

func orphanData(list []reconcile.Orphan) []orphan {
	var out []orphan
	for _, x := range list {
		out = append(out, orphan{Kind: x.Object.Kind.Name, Key: x.Object.Display(), ID: int64(x.Object.Row),
			Origin: string(x.Origin), Protect: x.Protect, Deleted: x.Deleted, Why: x.Why})
	}
	return out
}

func secretData(list []reconcile.SecretState) []secretState {
	var out []secretState
	for _, s := range list {
		out = append(out, secretState{Kind: s.Object.Kind.Name, Key: s.Object.Display(), Field: s.Field,
			Status: s.Status, Why: s.Why, Sent: s.Sent})
	}
	return out
}
