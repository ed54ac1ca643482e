package schema

import "testing"

func TestEmbeddedKindsLoadAndCompile(t *testing.T) {
	if _, err := Load(files); err != nil {
		t.Fatal(err)
	}
	if len(Embedded().Kinds()) == 0 {
		t.Fatal("no kinds")
	}
}
