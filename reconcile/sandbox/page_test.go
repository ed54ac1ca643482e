package sandbox

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// rows makes n storage rows in bulk.
func rows(t testing.TB, s *Server, cluster int64, n int) {
	for from := 0; from < n; from += 1000 {
		var b strings.Builder
		for i := from; i < min(from+1000, n); i++ {
			fmt.Fprintf(&b, `,{"cluster":%d,"name":"s%05d","content":"images"}`, cluster, i)
		}
		status, body := as(s, testToken, "POST", storage, "["+b.String()[1:]+"]")
		require.Equal(t, http.StatusCreated, status, body)
	}
}

func TestPages(t *testing.T) {
	s := newServer(t, Options{MaxPage: 100})
	rows(t, s, newCluster(t, s, "prod"), 120)
	const at = "http://netbox.example" + storage
	for _, x := range []struct {
		name, query    string
		rows           int
		next, previous any
	}{
		{"50 rows when nothing is asked", "", 50, at + "?limit=50&offset=50", nil},
		{"a limit of 0 is the maximum", "limit=0", 100, at + "?limit=100&offset=100", nil},
		{"more than the maximum is the maximum", "limit=5000", 100, at + "?limit=100&offset=100", nil},
		{"a limit that is no number is ignored", "limit=x", 50, at + "?limit=50&offset=50", nil},
		{"the last page is short", "limit=100&offset=100", 20, nil, at + "?limit=100"},
		{"the previous page of one in the middle", "limit=10&offset=30", 10, at + "?limit=10&offset=40", at + "?limit=10&offset=20"},
		{"beyond the end", "limit=10&offset=500", 0, nil, at + "?limit=10&offset=490"},
		{"a cursor goes on after its last row", "start=0&limit=100", 100, at + "?limit=100&start=101", nil},
		{"a cursor ends", "start=101&limit=100", 20, nil, nil},
		{"other parameters stay", "limit=10&name__ic=S0&fields=id", 10, at + "?fields=id&limit=10&name__ic=S0&offset=10", nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			page := must(t, s, "GET", storage+"?"+x.query, nil)
			require.Len(t, page["results"], x.rows)
			require.Empty(t, cmp.Diff([]any{x.next, x.previous}, []any{page["next"], page["previous"]}))
			if strings.HasPrefix(x.query, "start") {
				require.Nil(t, page["count"])
			} else {
				require.EqualValues(t, 120, page["count"])
			}
		})
	}
	for query, want := range map[string]string{
		"start=x":               "Invalid 'start' parameter: must be a non-negative integer.",
		"start=0&offset=1":      "'start' and 'offset' are mutually exclusive.",
		"start=0&ordering=name": "Ordering cannot be specified in conjunction with cursor-based pagination.",
	} {
		w := do(t, s, "GET", storage+"?"+query, nil)
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Equal(t, fmt.Sprintf("[%q]", want), w.Body.String())
	}
}

func TestPathsOfCascadesAreThereAndEmpty(t *testing.T) {
	s := newServer(t, Options{})
	for _, path := range []string{"dcim/interfaces", "plugins/proxbox/firewall/rules", "plugins/proxbox/vm-cloudinit"} {
		require.EqualValues(t, 0, must(t, s, "GET", "/api/"+path+"/?virtual_machine_id=1", nil)["count"], path)
	}
}

// BenchmarkListing reads 10,000 rows in pages of 1,000, a few fields of each.
func BenchmarkListing(b *testing.B) {
	s, err := New(Options{Token: testToken})
	require.NoError(b, err)
	header := map[string]string{"Authorization": "Token " + testToken, "Content-Type": "application/json"}
	send(s, "POST", "/api/virtualization/cluster-types/", []byte(`{"name":"t","slug":"t"}`), header)
	require.Equal(b, http.StatusCreated, send(s, "POST", clusters, []byte(`{"name":"c","type":1}`), header).Code)
	rows(b, s, 1, 10_000)
	for _, query := range []string{"fields=id,name,cluster,custom_fields,last_updated", "omit=none"} {
		b.Run(query, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for offset := 0; offset < 10_000; offset += 1000 {
					r := httptest.NewRequest("GET", fmt.Sprintf("%s?limit=1000&offset=%d&ordering=id&%s", storage, offset, query), nil)
					r.Header.Set("Authorization", "Token "+testToken)
					s.ServeHTTP(httptest.NewRecorder(), r)
				}
			}
		})
	}
}
