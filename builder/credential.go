package builder

import (
	"context"
	"fmt"
	"log/slog"
)

// CredentialKind says what a credential is for, and so what may use it.
type CredentialKind string

const (
	KindPassword      CredentialKind = "password"       // a user name and a password
	KindToken         CredentialKind = "token"          // an opaque value, for a service that asks for one
	KindAPIKey        CredentialKind = "api-key"        // a cloud's pair of secretId and secretKey
	KindSSHKey        CredentialKind = "ssh-key"        // a private key without a passphrase
	KindRegistryLogin CredentialKind = "registry-login" // a user name and a password at one registry
	KindKubeconfig    CredentialKind = "kubeconfig"     // the way into a cluster
	KindSigningSecret CredentialKind = "signing-secret" // the HMAC key of a webhook
	KindChatRobot     CredentialKind = "chat-robot"     // where a chat or a mail server takes messages
)

// Names of the fields that a credential's value is made of. A kind of one
// field has FieldValue.
const (
	FieldValue     = "value"
	FieldUsername  = "username"
	FieldPassword  = "password"
	FieldSecretID  = "secretId"
	FieldSecretKey = "secretKey"
	FieldRegistry  = "registry" // host[:port][/prefix]
	FieldService   = "service"  // of a chat robot: slack, dingtalk, wecom, feishu, email
	FieldURL       = "url"      // of a chat robot's webhook
	FieldSecret    = "secret"   // that signs a chat robot's messages
	FieldServer    = "server"   // of e-mail: host:port
	FieldFrom      = "from"     // of e-mail
)

// Credential is one that was opened. Printing it shows no value.
type Credential struct {
	Name    string
	Kind    CredentialKind
	Version string // another one for every value that was ever set under the name; never made from the value
	Fields  map[string]string
}

// Value is the value of a kind that has one field only.
func (c Credential) Value() string { return c.Fields[FieldValue] }

// Format hides the values from fmt.
func (c Credential) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%s %s (hidden)", c.Kind, c.Name) }

// LogValue hides them from slog.
func (c Credential) LogValue() slog.Value {
	return slog.StringValue(string(c.Kind) + " " + c.Name + " (hidden)")
}

// MarshalText hides them from encoders.
func (c Credential) MarshalText() ([]byte, error) {
	return []byte(string(c.Kind) + " " + c.Name + " (hidden)"), nil
}

// Vault opens credentials for those whom the operator's policy lets.
type Vault interface {
	// Open returns the credential and notes the use. ErrNotFound where there
	// is none and ErrDenied where policy does not let them, both wrapped in a
	// sentence for the person who named it, which says what to write.
	Open(ctx context.Context, name string, by Use) (Credential, error)
	// Logins returns the registry logins that policy lets them use.
	Logins(ctx context.Context, by Use) ([]Credential, error)
}

// Use is who uses a credential, and for what.
type Use struct {
	Names    []string // what a policy may call the source repository: Build.Names
	Operator bool     // the server file names the credential: policy is not asked
	Lane     Lane     // ForkLane may use none
	For      string   // "build of acme/shop", "trigger prod of acme/shop"; `credentials list` shows it
}
