package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFaults(t *testing.T) {
	html := "<html>502</html>"
	for _, x := range []struct {
		name   string
		fault  Fault
		status int // of the POST; 0: no whole answer
		stored bool
	}{
		{"an error of a proxy before the server", Fault{Method: "POST", Path: storage, Status: 502, Body: html}, 502, false},
		{"an answer lost behind a proxy", Fault{Method: "POST", Status: 504, Body: html, Act: true}, 504, true},
		{"a connection that breaks before the server acts", Fault{Path: proxbox + "*", Drop: true}, 0, false},
		{"a connection that breaks after it acted", Fault{Path: storage, Drop: true, Act: true}, 0, true},
		{"an answer cut short", Fault{Method: "POST", Truncate: 20}, 0, true},
		{"a slow answer", Fault{Delay: time.Millisecond}, 201, true},
		{"a fault for other requests", Fault{Method: "DELETE", Drop: true}, 201, true},
		{"a fault for a later request", Fault{Method: "POST", Nth: 2, Drop: true}, 201, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := newServer(t, Options{})
			c := newCluster(t, s, "prod")
			srv := httptest.NewServer(s)
			t.Cleanup(srv.Close)
			s.Inject(x.fault)
			status, err := post(t, srv.URL+storage, fmt.Sprintf(`{"cluster":%d,"name":"a"}`, c))
			if x.status == 0 {
				require.Error(t, err)
			} else {
				require.NoError(t, err)
				require.Equal(t, x.status, status)
			}
			require.EqualValues(t, map[bool]float64{true: 1}[x.stored], must(t, s, "GET", storage, nil)["count"])
		})
	}
}

func post(t *testing.T, url, body string) (int, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Token "+testToken)
	r.Header.Set("Content-Type", "application/json")
	r.GetBody = nil // the transport sends it once
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return resp.StatusCode, err
}

func TestAFaultHitsAsOftenAsItSays(t *testing.T) {
	s := newServer(t, Options{})
	s.Inject(Fault{Path: storage, Nth: 2, Times: 2, Status: 429, Header: map[string]string{"Retry-After": "1"}})
	var got []int
	for range 5 {
		got = append(got, do(t, s, "GET", storage, nil).Code)
	}
	require.Equal(t, []int{200, 429, 429, 200, 200}, got)
	s.Inject(Fault{Times: -1, Status: 503})
	for range 3 {
		require.Equal(t, 503, do(t, s, "GET", storage, nil).Code)
	}
	require.Equal(t, 429, s.Requests()[1].Status)
}

func TestADelayEndsWhenTheClientGivesUp(t *testing.T) {
	s := newServer(t, Options{})
	s.Inject(Fault{Delay: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", storage, nil)
	defer func() {
		err, _ := recover().(error)
		require.True(t, errors.Is(err, http.ErrAbortHandler))
	}()
	s.ServeHTTP(httptest.NewRecorder(), r)
}
