package secrets

import (
	"fmt"
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Limits of a sops block. sops compiles the rule again for every key above
// every value, and tries every recipient.
const (
	maxKeys     = 100
	maxKeyBytes = 64 << 10
	// maxRecipient is more than the 1,959 characters of a post-quantum one.
	maxRecipient = 4096
	maxRule      = 1000     // instructions of the compiled rule
	maxRuleWork  = 64 << 20 // instructions, compiled for all values of a file
)

// The newest sops whose files this program knows: that of the library.
const (
	formatMajor = 3
	formatMinor = 13
)

// Info is what a sops file says of itself, without a key.
type Info struct {
	// Recipients are the public names of all keys: an age recipient, "pgp " and
	// a fingerprint, or the type of a key service and its address.
	Recipients       []string
	Keys             []Key
	KeyGroups        int // more than one: shares of the data key (Shamir)
	LastModified     time.Time
	Version          string // of the sops that wrote it
	MACOnlyEncrypted bool   // the MAC leaves the plain values out
	Rule             string // which values are encrypted ("encrypted_regex"), "" for all
}

// Key is one entry of the block, and where it stands.
type Key struct {
	ID           string // of an age or PGP key, in one spelling; "" for others
	Name         string // as in Recipients
	Line, Column int
}

// key is one entry of the block: a way to the data key.
type key struct {
	kind   string // "age", "pgp", "hc_vault", …
	fields map[string]string
}

// keyTypes are the key types of the block and the fields that an entry may have.
var keyTypes = map[string][]string{
	"age":      {"recipient", "enc"},
	"pgp":      {"fp", "created_at", "enc"},
	"kms":      {"arn", "role", "context", "created_at", "enc", "aws_profile"},
	"gcp_kms":  {"resource_id", "created_at", "enc"},
	"hckms":    {"key_id", "created_at", "enc"},
	"azure_kv": {"vault_url", "name", "version", "created_at", "enc"},
	"hc_vault": {"vault_address", "engine_path", "key_name", "created_at", "enc"},
}

var rules = []string{
	"unencrypted_suffix", "encrypted_suffix", "unencrypted_regex", "encrypted_regex",
	"unencrypted_comment_regex", "encrypted_comment_regex",
}

// block is a sops block, read strictly: sops itself ignores what it doesn't
// know, takes keys in any case and one entry for a list.
type block struct {
	info Info
	keys []key
	rule *regexp.Regexp
	mac  string
}

func readBlock(n *yaml.Node) (*block, *Error) {
	members, err := mapping(n, "its block")
	if err != nil {
		return nil, err
	}
	b := &block{}
	// The version first: a newer sops may have written anything else.
	if err := b.version(members["version"]); err != nil {
		return nil, err
	}
	for _, name := range sortedNames(members) {
		if err := b.member(name, members[name]); err != nil {
			return nil, err
		}
	}
	if b.info.KeyGroups == 0 {
		b.info.KeyGroups = 1
	}
	switch {
	case len(b.keys) == 0:
		return nil, unsafe("it names no keys")
	case len(b.keys) > maxKeys:
		return nil, unsafe("it names more than %d keys", maxKeys)
	case b.info.LastModified.IsZero():
		return nil, unsafe("lastmodified is missing")
	case b.mac == "":
		return nil, macMismatch()
	}
	for _, k := range b.keys {
		b.info.Recipients = append(b.info.Recipients, k.name())
	}
	return b, nil
}

var versionText = regexp.MustCompile(`^v?([0-9]{1,6})\.([0-9]{1,6})(\.[0-9]{1,6})?([-+][0-9A-Za-z.+-]{0,40})?$`)

func (b *block) version(n *yaml.Node) *Error {
	if n == nil || n.Kind != yaml.ScalarNode {
		return unsafe("version is missing")
	}
	m := versionText.FindStringSubmatch(n.Value)
	if m == nil {
		return unsafe("version is not a version")
	}
	major, _ := strconv.Atoi(m[1]) // digits only, as the pattern says
	minor, _ := strconv.Atoi(m[2])
	if major > formatMajor || major == formatMajor && minor > formatMinor {
		return &Error{
			Reason: NewerFormat, What: fmt.Sprintf("this file was written by sops %d.%d, newer than the %d.%d that this program knows", major, minor, formatMajor, formatMinor),
			Remedy: "Use a newer proxbox-sync, or write the file with the older sops.",
		}
	}
	b.info.Version = n.Value
	return nil
}

func (b *block) member(name string, n *yaml.Node) *Error {
	switch {
	case name == "version", name == "shamir_threshold":
		return scalar(n, name)
	case name == "lastmodified":
		t, err := time.Parse(time.RFC3339, n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			return unsafe("lastmodified is not a time")
		}
		b.info.LastModified = t.UTC()
	case name == "mac":
		if n.Kind != yaml.ScalarNode || n.Value != "" && cipherType(n.Value) != "str" {
			return unsafe("its mac is not one")
		}
		b.mac = n.Value
	case name == "mac_only_encrypted":
		if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
			return unsafe("mac_only_encrypted is neither true nor false")
		}
		b.info.MACOnlyEncrypted = n.Value == "true"
	case name == "key_groups":
		return b.groups(n)
	case slices.Contains(rules, name):
		return b.addRule(name, n)
	case keyTypes[name] != nil:
		return b.keyList(name, n)
	default:
		return unsafe("its block has a key that sops %d.%d does not know", formatMajor, formatMinor)
	}
	return nil
}

func (b *block) groups(n *yaml.Node) *Error {
	if null(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return unsafe("key_groups is not a list")
	}
	b.info.KeyGroups = len(n.Content)
	for _, group := range n.Content {
		members, err := mapping(group, "a key group")
		if err != nil {
			return err
		}
		for _, name := range sortedNames(members) {
			if keyTypes[name] == nil {
				return unsafe("a key group holds something that is no key")
			}
			if err := b.keyList(name, members[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *block) keyList(kind string, n *yaml.Node) *Error {
	if null(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return unsafe("%s is not a list", kind)
	}
	for _, item := range n.Content {
		members, err := mapping(item, "a key of "+kind)
		if err != nil {
			return err
		}
		k := key{kind: kind, fields: map[string]string{}}
		for name, value := range members {
			if !slices.Contains(keyTypes[kind], name) {
				return unsafe("a key of %s has a field that sops %d.%d does not know", kind, formatMajor, formatMinor)
			}
			if name == "context" && value.Kind == yaml.MappingNode {
				continue
			}
			if value.Kind != yaml.ScalarNode || len(value.Value) > maxKeyBytes {
				return unsafe("a field of a key of %s is not a text of reasonable size", kind)
			}
			k.fields[name] = value.Value
		}
		b.keys = append(b.keys, k)
		b.info.Keys = append(b.info.Keys, Key{ID: k.id(), Name: k.name(), Line: item.Line, Column: item.Column})
	}
	return nil
}

func (b *block) addRule(name string, n *yaml.Node) *Error {
	if err := scalar(n, name); err != nil || n.Value == "" {
		return err
	}
	if b.info.Rule != "" {
		return unsafe("it has two rules for what is encrypted")
	}
	b.info.Rule = name
	if !strings.HasSuffix(name, "_regex") {
		return nil
	}
	rule, err := regexp.Compile(n.Value)
	if err != nil {
		return unsafe("%s is not a regular expression", name)
	}
	b.rule = rule
	return nil
}

// checkRule estimates what the rule costs sops for a file with so many keys on
// the ways to its values.
func (b *block) checkRule(values, keysAbove, comments int) *Error {
	if b.rule == nil {
		return nil
	}
	parsed, err := syntax.Parse(b.rule.String(), syntax.Perl)
	if err != nil {
		return unsafe("%s is not a regular expression", b.info.Rule)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > maxRule {
		return unsafe("%s is too large", b.info.Rule)
	}
	times := keysAbove
	if strings.HasSuffix(b.info.Rule, "comment_regex") {
		times = (values + comments) * comments
	}
	if times > maxRuleWork/len(program.Inst) {
		return unsafe("%s would take too long on a file of this size", b.info.Rule)
	}
	return nil
}

// foreign returns the first key that is neither age nor PGP nor allowed, or
// that only a plugin could use.
func (b *block) foreign(allowed map[string]bool) *Error {
	for _, k := range b.keys {
		switch {
		case k.kind == "age" && pluginRecipient(k.fields["recipient"]):
			return &Error{
				Reason: PluginRecipient, What: "this file has a recipient of an age plugin",
				Remedy: "No plugin is run. Encrypt the file for age, post-quantum age or PGP keys only.",
			}
		case k.kind == "age", k.kind == "pgp", allowed[k.kind+"="+k.address()]:
		default:
			return &Error{
				Reason: ForeignKeyService, What: "this file asks for a key service that is not allowed: " + k.service(),
				Remedy: "Only age and PGP keys are used, since a file must not decide where this job's credentials go. " +
					"Encrypt it for age or PGP keys, or allow this very key by its type and address in the environment of the job.",
			}
		}
	}
	return nil
}

// has reports whether the file has a key of this type.
func (b *block) has(kind string) bool {
	return slices.ContainsFunc(b.keys, func(k key) bool { return k.kind == kind })
}

// pluginRecipient tells the recipients of plugins ("age1NAME1…") from those of
// age itself, in the way sops does.
func pluginRecipient(recipient string) bool {
	recipient = strings.ToLower(strings.TrimSpace(recipient))
	return strings.HasPrefix(recipient, "age1") && !strings.HasPrefix(recipient, "age1pq1") && strings.Count(recipient, "1") > 1
}

// address is the exact place of a key, in the notation of sops' command line.
func (k key) address() string {
	f := k.fields
	switch k.kind {
	case "kms":
		if f["aws_profile"] != "" {
			return "" // a profile chooses among the job's credentials: never allowed
		}
		if f["role"] != "" {
			return f["arn"] + "+" + f["role"]
		}
		return f["arn"]
	case "gcp_kms":
		return f["resource_id"]
	case "hckms":
		return f["key_id"]
	case "azure_kv":
		return f["vault_url"] + "/keys/" + f["name"] + "/" + f["version"]
	case "hc_vault":
		return f["vault_address"] + "/v1/" + f["engine_path"] + "/keys/" + f["key_name"]
	}
	return ""
}

var (
	hostText        = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]{1,255}$`)
	recipientText   = regexp.MustCompile(`^age1[0-9a-z]+$`)
	fingerprintText = regexp.MustCompile(`^[0-9A-Fa-f]{8,64}!?$`)
)

// service is the type of a key and, where it has one, the host of its address.
func (k key) service() string {
	u, err := url.Parse(k.fields["vault_address"] + k.fields["vault_url"])
	if err != nil || !hostText.MatchString(u.Host) {
		return k.kind
	}
	return k.kind + " at " + u.Host
}

// id tells age and PGP keys apart, "" for others.
func (k key) id() string {
	switch k.kind {
	case "age":
		return keyID(k.kind, k.fields["recipient"])
	case "pgp":
		return keyID(k.kind, k.fields["fp"])
	}
	return ""
}

// name is the public name of a key. The text is a stranger's: what doesn't look
// like a name is not shown.
func (k key) name() string {
	switch {
	case k.kind == "age" && len(k.fields["recipient"]) < maxRecipient && recipientText.MatchString(k.fields["recipient"]):
		return k.fields["recipient"]
	case k.kind == "age":
		kind, _, _ := strings.Cut(k.fields["recipient"], " ")
		if kind == "ssh-ed25519" || kind == "ssh-rsa" {
			return "age " + kind
		}
		return "age (malformed)"
	case k.kind == "pgp" && fingerprintText.MatchString(k.fields["fp"]):
		return "pgp " + k.fields["fp"]
	case k.kind == "pgp":
		return "pgp (malformed)"
	}
	return k.service()
}
