package manifest

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"proxbox-sync/reconcile"
)

// problem is what is wrong with a scalar. It never holds the scalar's text.
type problem struct{ code, summary, detail string }

var (
	decimal = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	leading = regexp.MustCompile(`^[-+]?0[0-9]`)
	oddBase = regexp.MustCompile(`^[-+]?0[xX][0-9a-fA-F_]+$|^[-+]?0[oO][0-7_]+$|^[-+]?0[bB][01_]+$`)
	grouped = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9_]+)?$`)
	// Dates and clock times are text here; YAML 1.1 reads dates as times, and 12:30 as 750.
	timestamp   = regexp.MustCompile(`^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?$`)
	sexagesimal = regexp.MustCompile(`^[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?$`)
	infinite    = regexp.MustCompile(`^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$`)
)

// switches are the words that are text here and in YAML 1.2, and were booleans
// in YAML 1.1: who writes them may mean either.
var switches = map[string]bool{}

func init() {
	for _, word := range []string{"y", "n", "yes", "no", "on", "off"} {
		switches[word], switches[strings.ToUpper(word)] = true, true
		switches[strings.ToUpper(word[:1])+word[1:]] = true
	}
}

// scalar decides what a scalar means. plain is the text of an unquoted number,
// date, clock time or switch word, for the messages of later type errors. With a
// problem the value is one of the type that was probably meant: the rest of the
// document can still be checked, and nothing is said twice.
func scalar(n *yaml.Node) (value any, plain string, wrong *problem) {
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		value = n.Value
	} else if n.Tag != "!!str" || n.Style&yaml.TaggedStyle == 0 {
		value, plain, wrong = resolve(n.Value)
	} else {
		value = n.Value
	}
	if wrong == nil && n.Style&yaml.TaggedStyle != 0 && !tagFits(n.Tag, value) {
		wrong = &problem{"wrong-tag", "a value that is not what its tag says", "Remove the tag."}
	}
	if text, ok := value.(string); ok && wrong == nil && strings.ContainsRune(text, 0) {
		wrong = &problem{"nul-byte", "a NUL character in a text", ""}
	}
	return value, plain, wrong
}

// resolve reads an unquoted scalar: the core schema of YAML 1.2, without the
// forms that another version of YAML reads as another value.
func resolve(text string) (value any, plain string, wrong *problem) {
	switch text {
	case "", "~", "null", "Null", "NULL":
		return nil, "", nil
	case "true", "True", "TRUE":
		return true, "", nil
	case "false", "False", "FALSE":
		return false, "", nil
	}
	if switches[text] {
		return text, text, nil
	}
	if strings.IndexByte("-+.0123456789", text[0]) < 0 {
		return text, "", nil
	}
	switch {
	case infinite.MatchString(text):
		return someNumber, text, &problem{"not-finite", "a number that is not finite", "If text is meant, put it in quotes."}
	case oddBase.MatchString(text), leading.MatchString(text) && grouped.MatchString(text),
		strings.Contains(text, "_") && grouped.MatchString(text):
		return likelyNumber(text), text, &problem{"ambiguous-number", "a number that different programs read differently",
			"If text is meant, put it in quotes; if a number is meant, write it in decimal, without leading zeros and underscores."}
	case decimal.MatchString(text):
		number, err := reconcile.ParseNumber(text)
		if errors.Is(err, reconcile.ErrNumberTooLarge) {
			return someNumber, text, &problem{"number-too-large", "a number that is too large or too small", "If text is meant, put it in quotes."}
		}
		if err == nil {
			return number, text, nil
		}
	}
	if timestamp.MatchString(text) || sexagesimal.MatchString(text) {
		return text, text, nil
	}
	return text, "", nil
}

// someNumber stands for a number that has been reported and can't be kept.
const someNumber = reconcile.Number("1")

// likelyNumber is a reading of a number that programs read differently. It has
// been reported: what matters is that it is a number.
func likelyNumber(text string) reconcile.Number {
	text = strings.ReplaceAll(text, "_", "")
	if n, err := reconcile.ParseNumber(text); err == nil {
		return n
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return reconcile.Number(strconv.FormatInt(n, 10))
	}
	return someNumber
}

// tagFits reports whether a value is what an explicit tag says. Tags that have no
// meaning were reported already.
func tagFits(tag string, value any) bool {
	if !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!null"}, tag) {
		return true
	}
	switch value := value.(type) {
	case nil:
		return tag == "!!null"
	case bool:
		return tag == "!!bool"
	case reconcile.Number:
		return tag == "!!float" || tag == "!!int" && !strings.ContainsAny(string(value), ".e")
	}
	return tag == "!!str"
}
