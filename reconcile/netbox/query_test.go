package netbox

import (
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/schema"
)

// "format" chooses the form of the answer, whatever fields the objects have.
func TestParametersOfEveryListAreNoFilters(t *testing.T) {
	for name, want := range map[string]bool{"volume_id": true, "format": false, "limit": false, "fields": false} {
		_, ok := filter(&schema.Field{Name: name, Class: schema.Text}, "pbs-vm")
		require.Equal(t, want, ok, name)
	}
}
