package reconcile_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

func TestParseNumber(t *testing.T) {
	for _, c := range []struct{ why, text, want string }{
		{"an integer stays", "42", "42"},
		{"a sign and zeros in front say nothing", "+007", "7"},
		{"negative zero is zero", "-0", "0"},
		{"zero with an exponent is zero", "0e999999", "0"},
		{"an integral float is an integer", "10.0", "10"},
		{"an exponent is worked out", "1.5e3", "1500"},
		{"an integer beyond 64 bits stays exact", "123456789012345678901234567890", "123456789012345678901234567890"},
		{"an integer beyond exact digits is a float", "1" + strings.Repeat("0", 50), "1e+50"},
		{"a fraction is the shortest text of its float", "0.10", "0.1"},
		{"a long fraction is the shortest text of its float", "0.1000000000000000055511151231257827", "0.1"},
		{"a fraction that rounds to an integer is one", "9007199254740993.5", "9007199254740994"},
		{"small numbers keep an exponent", "1e-7", "1e-07"},
		{"a bare point is fine as YAML writes it", ".5", "0.5"},
	} {
		t.Run(c.why, func(t *testing.T) {
			n, err := reconcile.ParseNumber(c.text)
			require.NoError(t, err)
			require.Equal(t, reconcile.Number(c.want), n)
		})
	}
	for _, c := range []struct {
		why, text string
		err       error
	}{
		{"an exponent that would fill the memory", "1e1000001", reconcile.ErrNumberTooLarge},
		{"an exponent with too many digits", "1e99999999999999999999", reconcile.ErrNumberTooLarge},
		{"too small to be told from zero", "1e-400", reconcile.ErrNumberTooLarge},
		{"beyond float64", "1e309", reconcile.ErrNumberTooLarge},
		{"a text too long", strings.Repeat("9", 600), reconcile.ErrNumberTooLarge},
		{"nothing", "", reconcile.ErrNotNumber},
		{"a sign alone", "-", reconcile.ErrNotNumber},
		{"two signs", "--1", reconcile.ErrNotNumber},
		{"no exponent behind the e", "1e", reconcile.ErrNotNumber},
		{"two signs in the exponent", "1e+-5", reconcile.ErrNotNumber},
		{"hexadecimal", "0x10", reconcile.ErrNotNumber},
		{"infinity", "Inf", reconcile.ErrNotNumber},
		{"digits of another script", "٣", reconcile.ErrNotNumber},
	} {
		t.Run("refuses "+c.why, func(t *testing.T) {
			_, err := reconcile.ParseNumber(c.text)
			require.ErrorIs(t, err, c.err)
		})
	}
}

func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{"0", "-1.50e+3", "1e400", ".", "1e-7", "00012", "9007199254740993.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := reconcile.ParseNumber(s)
		if err != nil {
			return
		}
		again, err := reconcile.ParseNumber(string(n))
		require.NoError(t, err)
		require.Equal(t, n, again, "canonical text must be stable")
		require.True(t, json.Valid([]byte(n)), "%q is no JSON", n)
		if len(n) < 40 && !strings.ContainsAny(string(n), ".e") && !strings.ContainsAny(s, "eE") {
			want, ok := new(big.Rat).SetString(s)
			got, _ := new(big.Rat).SetString(string(n))
			if ok && want.IsInt() {
				require.Zero(t, want.Cmp(got), "an integer must stay exact")
			}
		}
	})
}
