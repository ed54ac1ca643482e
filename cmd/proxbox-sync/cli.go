package main

import (
	"time"
)

// cli is the whole command line.
type cli struct {
	LogLevel  string `help:"Log at this level and above: ${enum}." enum:"debug,info,warn,error" default:"warn" group:"Logging"`
	LogFormat string `help:"Form of log records: ${enum}." enum:"text,json" default:"text" group:"Logging"`
	NoColor   bool   `help:"No colour, also on a terminal (NO_COLOR does the same)." group:"Logging"`

	Validate   validateCommand   `cmd:"" help:"Check manifests, without a server."`
	Lint       lintCommand       `cmd:"" help:"Show what is risky about manifests, without a server or a key."`
	Plan       planCommand       `cmd:"" help:"Show what apply would do."`
	Apply      applyCommand      `cmd:"" help:"Make the server as the manifests say."`
	Show       showCommand       `cmd:"" help:"Show a saved plan."`
	Restore    restoreCommand    `cmd:"" help:"Bring everything back from the manifests, or rehearse it."`
	Drift      driftCommand      `cmd:"" help:"Show what somebody changed on the server."`
	Export     exportCommand     `cmd:"" help:"Write what is live as manifests."`
	Init       initCommand       `cmd:"" help:"Make the custom field that records what is managed."`
	Get        getCommand        `cmd:"" help:"Show live objects."`
	Doctor     doctorCommand     `cmd:"" help:"Check URL, TLS, token and permissions."`
	Schema     schemaCommand     `cmd:"" help:"Print JSON Schemas, for editors and tools."`
	Explain    explainCommand    `cmd:"" help:"Explain a kind, one of its fields, or a risk rule."`
	Sandbox    sandboxCommand    `cmd:"" help:"Serve an in-memory NetBox to try things on."`
	Demo       demoCommand       `cmd:"" help:"Show plan, apply and drift, on a sandbox of its own."`
	Version    versionCommand    `cmd:"" help:"Say which version this is."`
	Completion completionCommand `cmd:"" help:"Print a completion script for a shell."`
}

// serverFlags say which server to talk to and how.
type serverFlags struct {
	URL            string        `help:"NetBox, for example https://netbox.example.net." placeholder:"URL" group:"Server"`
	TokenFile      string        `help:"File that holds the API token. The token itself comes from PROXBOX_SYNC_TOKEN or NETBOX_TOKEN, never from a flag." placeholder:"FILE" group:"Server"`
	CAFile         string        `name:"ca-file" help:"PEM file with the certificates to trust." placeholder:"FILE" group:"Server"`
	ClientCert     string        `help:"PEM file with a client certificate, for a proxy in front." placeholder:"FILE" group:"Server"`
	ClientKey      string        `help:"PEM file with its key, where it isn't in the same file." placeholder:"FILE" group:"Server"`
	Header         []string      `help:"Header for a proxy in front, as 'Name: value'; may be repeated." placeholder:"HEADER" sep:"none" group:"Server"`
	AllowHTTP      bool          `name:"allow-http" help:"Allow plain http to other hosts than this one." group:"Server"`
	AllowedOrigins originsFlag   `help:"Servers that may be talked to (scheme://host[:port],…); any other one is refused." placeholder:"ORIGIN" group:"Server"`
	BatchSize      int           `help:"Objects in one write request, at most." default:"100" group:"Server"`
	ReadLimit      int           `help:"MiB that a run takes in from the server, at most." default:"1024" placeholder:"MIB" group:"Server"`
	Parallelism    int           `help:"Write requests under way at the same time." default:"4" group:"Server"`
	Timeout        time.Duration `help:"Time for one request with its retries; three times that for kinds whose writes make NetBox call others." default:"60s" group:"Server"`
}

// manifestFlags say which manifests to read and how.
type manifestFlags struct {
	pathFlags
	NoDecrypt bool `help:"Don't decrypt: secrets stay sealed, which is enough to validate and plan." group:"Manifests"`
}

// pathFlags say which manifests to read.
type pathFlags struct {
	Paths                 []string `arg:"" optional:"" name:"path" help:"Files and folders of manifests, - for standard input. Default: those of the project file."`
	AllowKey              []string `help:"Key service beside age and PGP that a sops file may use, by its exact address; may be repeated." placeholder:"TYPE=ADDRESS" sep:"none" group:"Manifests"`
	AllowPlaintextSecrets bool     `help:"Accept secrets in plain text." group:"Manifests"`
}

// selectFlags narrow a plan.
type selectFlags struct {
	Select      []string    `help:"Only this kind, or this object; may be repeated." placeholder:"KIND[/KEY]" sep:"none" group:"Plan"`
	SendSecrets secretsFlag `help:"Send secrets also to objects that exist already: all of them, or with =KIND[/KEY][.FIELD] those named; may be repeated." group:"Plan"`
}

// ownerFlag is under which name objects are managed.
type ownerFlag struct {
	Owner string `help:"Name under which this repository manages objects." placeholder:"NAME" group:"Ownership"`
}

// policyFlags say what a run may do to what is there. From the project file
// they can only be tightened.
type policyFlags struct {
	Prune              *bool    `help:"Delete objects that this owner created and that no manifest has any more." negatable:"" group:"Ownership"`
	PruneAdopted       bool     `help:"Delete adopted ones as well." group:"Ownership"`
	NoAdopt            bool     `help:"Refuse live objects without a marker instead of adopting them." group:"Ownership"`
	TakeOwnership      bool     `help:"Take over objects that another owner manages." group:"Ownership"`
	MaxDeletes         *int     `help:"Allow so many deletes, with what they take along, also where a default forbids them." placeholder:"N" group:"Limits"`
	MaxDeletePercent   *int     `help:"Allow deletes of so many percent of a kind's owned objects, from 10 objects on (30)." placeholder:"N" group:"Limits"`
	MaxUpdates         *int     `help:"Allow so many objects to be changed." placeholder:"N" group:"Limits"`
	MaxUpdatePercent   *int     `help:"Allow so many percent of a kind's objects to be changed, from 10 objects on." placeholder:"N" group:"Limits"`
	AcceptSecrets      bool     `help:"Take secrets of unknown state for what the server has, without sending them." group:"Ownership"`
	AllowOlderSecrets  bool     `help:"Send secrets of an older file than what was applied." group:"Ownership"`
	ApproveConnections bool     `help:"Approve the connections whose target this run wrote, where the server wants that." group:"Ownership"`
	AllowRetarget      []string `help:"Allow that stored credentials of this object go somewhere else; may be repeated." placeholder:"KIND/KEY" sep:"none" group:"Ownership"`
}
