package sandbox

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

func readIP(_ *writer, _ *field, v any) (any, any) {
	s, _ := v.(string)
	if v == "" {
		return nil, []any{msgBlank}
	}
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil || a.Zone() != "" {
		return nil, []any{"Enter a valid IPv4 or IPv6 address."}
	}
	return a.Unmap().String(), nil
}

func readInterface(_ *writer, _ *field, v any) (any, any) {
	s, ok := v.(string)
	if !ok {
		return nil, []any{fmt.Sprintf("unexpected type <class '%s'> for addr arg", pyType(v))}
	}
	if s == "" {
		return nil, []any{msgBlank}
	}
	p, err := parseInterface(s)
	if err != nil {
		return nil, []any{"Invalid IP address format: " + s}
	}
	return p.String(), nil
}

// parseInterface reads an address with its mask; without one it is a host.
func parseInterface(s string) (netip.Prefix, error) {
	if host, mask, ok := strings.Cut(s, "/"); ok {
		if m := net.ParseIP(mask).To4(); m != nil {
			if ones, bits := net.IPMask(m).Size(); bits == 32 {
				s = fmt.Sprintf("%s/%d", host, ones)
			}
		}
		return netip.ParsePrefix(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("not an address")
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func readPrefix(_ *writer, _ *field, v any) (any, any) {
	p, err := parseInterface(strings.TrimSpace(pyStr(v)))
	if err != nil {
		return nil, []any{"Invalid IP prefix format: " + pyStr(v)}
	}
	if p != p.Masked() {
		return nil, []any{fmt.Sprintf("%s is not a valid prefix. Did you mean %s?", p, p.Masked())}
	}
	return p.String(), nil
}

func readObjectTypes(w *writer, _ *field, v any) (any, any) {
	list, ok := v.([]any)
	if !ok {
		return nil, []any{fmt.Sprintf(`Expected a list of items but got type "%s".`, pyType(v))}
	}
	out := []any{}
	for _, x := range list {
		s, _ := x.(string)
		if strings.Count(s, ".") != 1 {
			return nil, []any{"Invalid value. Specify a content type as '<app_label>.<model_name>'."}
		}
		if w.s.modelOfType(s) == nil {
			return nil, []any{"Invalid content type: " + s}
		}
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	return out, nil
}
