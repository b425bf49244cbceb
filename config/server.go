package config

import "time"

// Server is what the operator writes. Everything has a default but secrets.
type Server struct {
	Listen    string     // host:port; "" lets `up` choose once and keep it
	URL       string     // how people reach us, without a slash at the end; "" is made from Listen
	Data      string     // folder; "" is the user's data folder
	Redis     string     // redis://, rediss:// or unix:// address; "" runs a redis-server of our own
	BuildKit  []BuildKit // empty: buildkitd of our own
	Registry  Registry
	Tokens    []Token
	Git       Git
	GitHub    GitHub
	GitLab    []GitLab
	Policy    []Policy
	Limits    Limits
	Retention Retention
	Triggers  TriggerNet
	Operators []ServerTrigger // triggers.rules
	Clusters  []Cluster
	KeyFile   string // key of the encrypted credential store; "" is one in the data folder
	Timezone  string // IANA name for times in tags where the build file has none
}

// BuildKit is one outside builder.
type BuildKit struct {
	Address   string   // unix://, tcp:// or another scheme that buildctl knows
	Platforms []string // in normal form; empty: what the daemon says
	Lane      string   // trusted or fork
	Domains   []string // globs over trust domains (owners); empty: all of them
	TLS       TLS
}

// TLS names PEM files. The zero TLS is none.
type TLS struct {
	CA, Cert, Key string
	ServerName    string
}

// Registry says where images go and come from.
type Registry struct {
	Default      string              // host[:port][/prefix]; "" is the embedded registry
	Insecure     []string            // hosts that are spoken to over plain HTTP
	Mirrors      map[string][]string // registry host -> mirror hosts, tried in order
	DockerConfig string              // folder of a Docker config.json with logins; "" is none
}

// Scopes of a token.
const (
	ScopeGitRead      = "git:read"
	ScopeGitWrite     = "git:write"
	ScopeRegistryPull = "registry:pull"
	ScopeRegistryPush = "registry:push"
	ScopeAPI          = "api"
	ScopeNotify       = "registry:notify" // tell of pushes to another registry
)

// Token is a right to use the server. Only its hash is written down.
type Token struct {
	Name         string   // for logs; unique
	Hash         string   // sha256:<64 hexadecimal digits>, of the whole token
	Repositories []string // globs over owner/name (see MatchAny); never empty
	Scopes       []string // of the Scope constants; never empty
}

// Git is the git remote, the forge that is ours.
type Git struct {
	Create bool // a first push to a name that does not exist makes the repository
}

// Policy widens where repositories may push; without one each has
// <registry>/<owner>/<repo> and below.
type Policy struct {
	Repositories []string // globs over owner/name (see MatchAny)
	Images       []string // globs over image repositories, as build files name them
	Credentials  []string // globs over names of credentials that builds and triggers may use
	Workloads    []string // globs over CLUSTER/NAMESPACE/KIND/NAME, KIND as triggers write it
	Manifests    []string // globs over git repositories that triggers may write to: FORGE:owner/name or https://…
}

// ServerTrigger is a trigger of the operator's: it fires for every image
// repository that matches, whoever pushed.
type ServerTrigger struct {
	Images []string // globs over image repositories; those of the embedded registry have no host
	Trigger
}

// Cluster is a Kubernetes cluster that triggers may name.
type Cluster struct {
	Name       string
	Kubeconfig string // name of a credential; "" with InCluster
	Context    string // of the kubeconfig; "": its current one
	InCluster  bool   // the cluster that we run in ourselves
}

// Limits bound what runs at once and how long.
type Limits struct {
	Concurrency   int // builds at once
	PerRepository int // of which for one repository
	BuildTimeout  time.Duration
	MaxAttempts   int // of a build whose worker was lost
}

// Retention says how long records are kept after they have ended.
type Retention struct {
	Events time.Duration
	Builds time.Duration // with their statuses and trigger records
	Logs   time.Duration
}

// TriggerNet says what webhooks may reach.
type TriggerNet struct {
	AllowPrivate bool     // addresses of private networks and of this machine, too
	AllowHosts   []string // hosts (*.example.com: all below), addresses or networks that are allowed whatever they are
}

// day is what "d" stands for in durations.
const day = 24 * time.Hour

// DefaultServer is the server without a server file.
func DefaultServer() *Server {
	return &Server{
		Git:       Git{Create: true},
		GitHub:    defaultGitHub(),
		Limits:    Limits{Concurrency: 2, PerRepository: 2, BuildTimeout: time.Hour, MaxAttempts: 3},
		Retention: Retention{Events: 7 * day, Builds: 90 * day, Logs: 30 * day},
		Timezone:  "UTC",
	}
}
