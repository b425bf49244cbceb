package config

import "time"

// BuildFile is one .registry-build.yml, checked and with its defaults filled
// in, except those that only an event can give (names and repositories).
type BuildFile struct {
	Images    []Image // at least one
	Automatic bool    // false: only commands, the API and the console build
	Timezone  string  // IANA name for times in tags; "" takes the server's
}

// Image is one entry of images.
type Image struct {
	Name       string   // "" until an event names the repository; never "" where there are several images
	Repository string   // [host[:port]/]path; "" takes the policy's default
	Context    string   // slash-separated, clean, relative to the repository root; "." is the root
	Dockerfile string   // relative to the repository root, clean
	Target     string   // "" is the Dockerfile's last stage
	Platforms  []string // in normal form; empty: the builder's own
	Args       []Arg
	Secrets    []Secret
	SSH        []SSH
	Cache      bool
	Paths      Paths // of which one must have changed; empty: any file
	Match      Match
	Rules      []Rule // never empty: every branch and every tag where none are written
	Triggers   []Trigger
	Pos        Position
}

// Arg is one build argument. Order is the file's: an argument may use those
// before it.
type Arg struct {
	Name  string
	Value Template
	Pos   Position
}

// Match says how many of an image's rules may build for one event.
type Match string

const (
	MatchFirst Match = "first"
	MatchAll   Match = "all"
)

// Rule says which events build an image, and what differs for them. Exactly
// one of Branch, Tag, Ref and PullRequest is set. A nil or empty override
// takes the image's value.
type Rule struct {
	Branch      *Pattern // over the short name
	Tag         *Pattern // over the short name
	Ref         *Pattern // over the whole ref
	PullRequest bool

	Tags       []Template // empty: ${refName}-${commit}, and no tag for a pull request
	Args       []Arg      // over the image's: see MergeArgs
	Platforms  []string
	Target     *string
	Context    *string
	Dockerfile *string
	Cache      *bool
	Automatic  *bool
	Pos        Position // of the image, for a rule that was not written
}

// Secret lets RUN steps mount a credential: a value under ID, or the two
// halves of an API key under the two names that the person chose.
type Secret struct {
	Credential        string   `json:"credential"`
	ID                string   `json:"id,omitempty"` // "": the pair form
	SecretIDVariable  string   `json:"secretIdVariable,omitempty"`
	SecretKeyVariable string   `json:"secretKeyVariable,omitempty"`
	Pos               Position `json:"-"`
}

// SSH lets RUN steps use a private key by an agent, without reading it.
type SSH struct {
	ID         string   `json:"id"` // "default" where none is written
	Credential string   `json:"credential"`
	Pos        Position `json:"-"`
}

// Trigger is what happens after an image's tags were put. It does one thing.
type Trigger struct {
	Name       string      `json:"name"`
	Tags       TagSelector `json:"tags"`
	On         []Outcome   `json:"on"` // never empty
	Webhook    *Webhook    `json:"webhook,omitempty"`
	Kubernetes *Kubernetes `json:"kubernetes,omitempty"`
	GitOps     *GitOps     `json:"gitops,omitempty"`
	Chat       *Chat       `json:"chat,omitempty"`
	// Operator: it is the server file's, so policy is not asked. Its Name is
	// OperatorTrigger before the one that was written, which no build file's
	// trigger can have.
	Operator bool `json:"operator,omitempty"`
	// Environment is what the trigger rolls out to, where the forge shows
	// deployments; "" shows none.
	Environment string   `json:"environment,omitempty"`
	Pos         Position `json:"-"`
}

// Credential names what the trigger opens when it fires, "" where it needs
// nothing. (A cluster's kubeconfig is the operator's to open.)
func (t Trigger) Credential() string {
	switch {
	case t.Webhook != nil:
		return t.Webhook.Credential
	case t.GitOps != nil:
		return t.GitOps.Credential
	case t.Chat != nil:
		return t.Chat.Credential
	}
	return ""
}

// Outcome is what a trigger listens for.
type Outcome string

const (
	OnPushed    Outcome = "pushed"
	OnFailed    Outcome = "failed"
	OnRecovered Outcome = "recovered"
)

// OperatorTrigger begins the names of the server file's triggers.
const OperatorTrigger = "server."

// Webhook is an HTTP POST of the build, signed with a signing secret.
type Webhook struct {
	URL        string        `json:"url"`
	Credential string        `json:"credential,omitempty"`
	Format     WebhookFormat `json:"format,omitempty"` // "": FormatNative
}

// WebhookFormat is what the body of a webhook looks like.
type WebhookFormat string

const (
	FormatNative      WebhookFormat = "registry-build"
	FormatCloudEvents WebhookFormat = "cloudevents"
	FormatDockerHub   WebhookFormat = "dockerhub"
)

// Kubernetes sets the image of one container of one workload, and watches the
// rollout.
type Kubernetes struct {
	Cluster   string        `json:"cluster"` // name in the server file
	Namespace string        `json:"namespace"`
	Kind      WorkloadKind  `json:"kind"`
	Name      string        `json:"name"`
	Container string        `json:"container,omitempty"` // "": the only one that there is
	Rollback  bool          `json:"rollback,omitempty"`  // put the image before back where the rollout fails
	Timeout   time.Duration `json:"timeout,omitempty"`   // of the rollout; 0: DefaultRollout
}

// DefaultRollout is how long a rollout may take where the trigger does not say.
const DefaultRollout = 10 * time.Minute

// WorkloadKind is a kind of workload as the trigger's key is written.
type WorkloadKind string

const (
	Deployment  WorkloadKind = "deployment"
	StatefulSet WorkloadKind = "statefulSet"
	DaemonSet   WorkloadKind = "daemonSet"
	CronJob     WorkloadKind = "cronJob"
)

// GitOps writes the digest into a file of a git repository. Exactly one of
// Kustomize, Helm and Path says where.
type GitOps struct {
	Repository  string `json:"repository"`          // owner/name at the same forge, FORGE:owner/name, or https://…
	Branch      string `json:"branch,omitempty"`    // "": the repository's default branch
	File        string `json:"file"`                // relative to the repository root, clean
	Kustomize   string `json:"kustomize,omitempty"` // name of an entry of images:
	Helm        string `json:"helm,omitempty"`      // path to a mapping with repository, tag or digest
	Path        string `json:"path,omitempty"`      // path to a text: spec.containers[0].image
	PullRequest bool   `json:"pullRequest,omitempty"`
	Credential  string `json:"credential,omitempty"` // token or password; "": the forge's own right
}

// Chat is a short message to people.
type Chat struct {
	Credential string   `json:"credential"`   // a chat robot
	To         []string `json:"to,omitempty"` // e-mail addresses
}

// Position is a place in a file, both counted from 1, columns in characters.
type Position struct {
	Line int `json:"line"`
	Col  int `json:"col"`
}
