package schema

import (
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Our own formats, beside JSON Schema's date-time.
const (
	formatAddress   = "ip-address"   // an IP address without mask
	formatInterface = "ip-interface" // an IP address with mask, host bits allowed
	formatPrefix    = "ip-prefix"    // an IP network: host bits are zero
)

const draft = "https://json-schema.org/draft/2020-12/schema"

func kindURL(name string) string { return "urn:proxbox-sync:v1:" + name }

// registerFormats makes the formats known to the validator, whose registry is
// global to the process; this package is its only user. date-time is replaced,
// since the server takes a date alone as its midnight, and so do we.
var registerFormats = sync.OnceFunc(func() {
	text := func(ok func(string) bool) func(any) bool {
		return func(v any) bool {
			s, isText := v.(string)
			return !isText || ok(strings.TrimSpace(s))
		}
	}
	jsonschema.Formats[formatAddress] = text(isAddress)
	jsonschema.Formats[formatInterface] = text(isInterface)
	jsonschema.Formats[formatPrefix] = text(isPrefix)
	jsonschema.Formats["date-time"] = text(isTime)
})

func isAddress(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == ""
}

func isInterface(s string) bool {
	_, err := netip.ParsePrefix(s)
	return err == nil
}

func isPrefix(s string) bool {
	p, err := netip.ParsePrefix(s)
	return err == nil && p.Masked() == p
}

// timeForm bounds what time.Parse would be laxer about.
var timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d))?$`)

// isTime accepts RFC 3339 times with a zone, and dates.
func isTime(s string) bool {
	if !timeForm.MatchString(s) || strings.HasPrefix(s, "0000") {
		return false
	}
	if len(s) == len(time.DateOnly) {
		_, err := time.Parse(time.DateOnly, s)
		return err == nil
	}
	_, err := time.Parse(time.RFC3339Nano, s)
	return err == nil
}
