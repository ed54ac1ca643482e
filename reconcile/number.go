package reconcile

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Limits of a number's text. They keep a hostile exponent from costing memory
// or time anywhere behind ParseNumber.
const (
	maxNumberText   = 512
	maxExactDigits  = 40 // integers up to here are kept exactly
	maxNumberDigits = 6  // digits of an exponent that are looked at
)

// Errors of ParseNumber.
var (
	ErrNotNumber      = errors.New("not a decimal number")
	ErrNumberTooLarge = errors.New("number is too large or too small")
)

// ParseNumber reads a decimal number as JSON or YAML write it: an optional
// sign, digits, an optional fraction and exponent.
func ParseNumber(text string) (Number, error) {
	if len(text) > maxNumberText {
		return "", ErrNumberTooLarge
	}
	negative, digits, exponent, err := splitDecimal(text)
	if err != nil {
		return "", err
	}
	digits = strings.TrimLeft(digits, "0")
	trimmed := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(trimmed)
	if trimmed == "" {
		return "0", nil
	}
	sign := ""
	if negative {
		sign = "-"
	}
	if exponent >= 0 && len(trimmed)+exponent <= maxExactDigits {
		return Number(sign + trimmed + strings.Repeat("0", exponent)), nil
	}
	f, err := strconv.ParseFloat(sign+trimmed+"e"+strconv.Itoa(exponent), 64)
	if err != nil || f == 0 {
		return "", ErrNumberTooLarge
	}
	if f == math.Trunc(f) && math.Abs(f) < 1e21 {
		return Number(strconv.FormatFloat(f, 'f', 0, 64)), nil
	}
	// Read again it would be an integer of few enough digits, which are all written.
	if long := strconv.FormatFloat(math.Abs(f), 'f', -1, 64); f == math.Trunc(f) && len(long) <= maxExactDigits {
		return Number(sign + long), nil
	}
	return Number(strconv.FormatFloat(f, 'g', -1, 64)), nil
}

// splitDecimal cuts a number into its sign, its digits without the point, and
// the power of ten that they are to be multiplied by.
func splitDecimal(text string) (negative bool, digits string, exponent int, err error) {
	rest := text
	switch {
	case strings.HasPrefix(rest, "-"):
		negative, rest = true, rest[1:]
	case strings.HasPrefix(rest, "+"):
		rest = rest[1:]
	}
	mantissa := rest
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		mantissa = rest[:i]
		if exponent, err = parseExponent(rest[i+1:]); err != nil {
			return false, "", 0, err
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits = whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return false, "", 0, ErrNotNumber
	}
	return negative, digits, exponent - len(fraction), nil
}

func parseExponent(text string) (int, error) {
	unsigned := strings.TrimLeft(strings.TrimPrefix(strings.TrimPrefix(text, "-"), "+"), "0")
	if strings.Trim(unsigned, "0123456789") != "" || strings.Trim(text, "+-") == "" {
		return 0, ErrNotNumber
	}
	if len(unsigned) > maxNumberDigits {
		return 0, ErrNumberTooLarge
	}
	e, err := strconv.Atoi(text)
	if err != nil {
		return 0, ErrNotNumber
	}
	return e, nil
}

// MarshalJSON writes the number as a JSON number.
func (n Number) MarshalJSON() ([]byte, error) { return []byte(n), nil }
