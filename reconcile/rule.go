package reconcile

import (
	"cmp"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// Rule is a risk rule: something that a manifest may say, and that somebody
// should have meant.
type Rule struct {
	Code     string // stable, lower-case words joined by hyphens
	Kind     string // the kind that it is about, "" for one about files or any kind
	Severity Severity
	Message  string // what is risky, in one line
	Why      string // why, and what to do
}

// The rules that the schema of a kind can't express. A code is shared with
// whoever finds it: those about files are found where files are read.
var (
	DatabaseID = Rule{Code: "database-id", Severity: Warning,
		Message: "a reference by database id",
		Why: "Ids differ between servers and after a restore: the same manifest may refer to something else there. " +
			"Refer to the object by its key."}
	MACOnlyEncrypted = Rule{Code: "mac-only-encrypted", Severity: Warning,
		Message: "mac_only_encrypted: the plain values of this file are not protected against change",
		Why: "Whoever may write to the repository can then move a secret under the key of another object without a trace. " +
			"Set mac_only_encrypted to false in .sops.yaml and write the file anew, unless this is meant."}
	RecipientExtra = Rule{Code: "recipient-extra", Severity: Warning,
		Message: "this sops file can be opened by a key that .sops.yaml does not name",
		Why: "Somebody who is not meant to read these secrets can: a colleague who left, or a key that was slipped in. Run sops updatekeys on " +
			"the file, and change the secrets: whoever had them has them still. If the key belongs there, name it in .sops.yaml."}
	RecipientMissing = Rule{Code: "recipient-missing", Severity: Warning,
		Message: "this sops file can't be opened by a key that .sops.yaml names",
		Why: "Somebody who is meant to edit or apply these secrets can't, which shows when it is needed most. " +
			"Run sops updatekeys on the file."}
	NoCreationRule = Rule{Code: "no-creation-rule", Severity: Info,
		Message: "no creation rule of .sops.yaml is for this sops file",
		Why: "sops takes the recipients of a file from the first creation rule whose path_regex matches. Without one nothing says who " +
			"is meant to open it. Add a rule, or rename the file."}
	SopsConfig = Rule{Code: "sops-config", Severity: Warning,
		Message: ".sops.yaml can't be read, so that recipients are not checked",
		Why: "The recipients of sops files are compared with the creation rules of the next .sops.yaml above them. " +
			"Mend the file, or remove it when it isn't used."}
)

// SecretUnfilled is about a secret that nobody has filled in yet.
var SecretUnfilled = Rule{Code: "secret-todo", Severity: Warning,
	Message: "a secret that is yet to be filled in",
	Why: "It is not in Git: after a disaster it would be missing. Put it in with sops edit, or take the line away where the object has no such secret. " +
		"A skeleton (*.secrets.yaml.todo) is encrypted with sops once it is filled in, and loses the .todo of its name."}

// ownRules are those above.
var ownRules = []Rule{SecretUnfilled, DatabaseID, MACOnlyEncrypted, RecipientExtra, RecipientMissing, NoCreationRule, SopsConfig}

// Rules returns all risk rules, by code and kind: the hub's and those of the
// kinds' schemas.
func Rules(set *schema.Set) []Rule {
	out := slices.Clone(ownRules)
	for _, k := range set.Kinds() {
		for _, l := range k.Lint {
			out = append(out, kindRule(k, l))
		}
	}
	slices.SortFunc(out, func(a, b Rule) int { return cmp.Or(strings.Compare(a.Code, b.Code), strings.Compare(a.Kind, b.Kind)) })
	return out
}

func kindRule(k *schema.Kind, l schema.Lint) Rule {
	return Rule{Code: l.Code, Kind: k.Name, Severity: Severity(l.Severity), Message: l.Message, Why: l.Description}
}

// RuleCodes returns the codes of all rules, sorted.
func RuleCodes(set *schema.Set) []string {
	var codes []string
	for _, r := range Rules(set) {
		codes = append(codes, r.Code)
	}
	return slices.Compact(codes)
}

// Finding is a place where the rule applies. Its message may be made more exact.
func (r Rule) Finding(pos Position) Diagnostic {
	return Diagnostic{Severity: r.Severity, Trouble: Risk, Code: r.Code, Pos: pos, Object: r.Kind, Summary: r.Message,
		Detail: r.Why + " (rule " + r.Code + ")"}
}
