package config

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// setFullEnv sets what testdata/server/ok/full.yml takes from the environment
// and returns the key of its GitHub App.
func setFullEnv(t *testing.T) (appKey string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	appKey = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	t.Setenv("TEST_APP_KEY", appKey)
	t.Setenv("TEST_SECRET", "It's a Secret to Everybody")
	t.Setenv("TEST_GITLAB_TOKEN", "glpat-first")
	t.Setenv("TEST_PASSWORD", "pa$$:word")
	t.Setenv("TEST_HOME", "/home/build")
	t.Setenv("TEST_COUNT", "8")
	t.Setenv("TEST_TAG", "latest;stable")
	return appKey
}

func TestServerFull(t *testing.T) {
	appKey := setFullEnv(t)
	const name = "testdata/server/ok/full.yml"
	got, ds := ParseServer(name, read(t, name))
	if len(ds) > 0 {
		t.Fatal(ds.Error())
	}
	want := &Server{
		Listen: "127.0.0.1:8080",
		URL:    "https://build.example.com",
		Data:   "/var/lib/registry-build",
		Redis:  "redis://:pa$$:word@redis.example.com:6379/0",
		BuildKit: []BuildKit{
			{
				Address: "tcp://buildkit-1:1234", Platforms: []string{"linux/amd64", "linux/arm64"}, Lane: "trusted", Domains: []string{"acme", "team-*"},
				TLS: TLS{CA: "/tls/ca.pem", Cert: "/tls/cert.pem", Key: "/tls/key.pem", ServerName: "buildkit.example.com"},
			},
			{Address: "unix:///run/buildkit/fork.sock", Lane: "fork"},
		},
		Registry: Registry{
			Default:      "registry.example.com/builds",
			Insecure:     []string{"registry.lan:5000", "localhost"},
			Mirrors:      map[string][]string{"docker.io": {"mirror.example.com", "mirror.lan:5000/hub"}},
			DockerConfig: "/home/build/.docker",
		},
		Tokens: []Token{{
			Name:         "ci",
			Hash:         strings.TrimSpace(string(read(t, "testdata/server/ok/hash.txt"))),
			Repositories: []string{"acme/*"},
			Scopes:       []string{ScopeGitRead, ScopeGitWrite, ScopeRegistryPull, ScopeRegistryPush, ScopeAPI, ScopeNotify},
		}},
		Git: Git{Create: false},
		GitHub: GitHub{
			App: 12345, Key: appKey, Secrets: []string{"It's a Secret to Everybody", "another-webhook-secret"},
			API: "https://github.example.com/api/v3", URL: "https://github.example.com",
			Show: ShowChecks, PullRequests: PullMerge, Bots: []string{"renovate[bot]", "dependabot"}, Deployments: true, GitOps: true,
		},
		GitLab: []GitLab{
			{Name: "gitlab", URL: "https://gitlab.com", Token: "glpat-first", Events: ByWebhook},
			{
				Name: "lab", URL: "https://git.example.com/gitlab", Token: "glpat-second", Secrets: []string{"It's a Secret to Everybody", "another-webhook-secret"},
				CA: "/etc/registry-build/lab.pem", Proxy: "socks5://proxy.example.com:1080", Events: ByPoll,
				Bots: []string{"renovate-bot"}, Onboard: true, GitOps: true,
			},
		},
		KeyFile: "/etc/registry-build/key",
		Policy: []Policy{
			{
				Repositories: []string{"acme/*"}, Images: []string{"registry.example.com/shared/*"}, Credentials: []string{"npm-token", "acme-*"},
				Workloads: []string{"prod/shop/deployment/api", "dev/*"}, Manifests: []string{"github:acme/deploy", "https://git.example.com/acme/*"},
			},
			{Repositories: []string{"acme/shop"}, Credentials: []string{"smtp"}},
		},
		Limits:    Limits{Concurrency: 8, PerRepository: 2, BuildTimeout: 90 * time.Minute, MaxAttempts: 5},
		Retention: Retention{Events: 7 * 24 * time.Hour, Builds: 36 * time.Hour, Logs: 36 * time.Hour},
		Triggers:  TriggerNet{AllowPrivate: true, AllowHosts: []string{"hooks.lan", "*.example.com", "10.0.0.0/8", "::1"}},
		Operators: fullOperators(t),
		Clusters:  []Cluster{{Name: "prod", Kubeconfig: "prod-kubeconfig", Context: "admin@prod"}, {Name: "here", InCluster: true}},
		Timezone:  "Europe/Berlin",
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(Position{})); diff != "" {
		t.Error(diff)
	}
}

// fullOperators are the triggers of testdata/server/ok/full.yml.
func fullOperators(t *testing.T) []ServerTrigger {
	t.Helper()
	tags, err := ParseTagSelector("latest;stable")
	if err != nil {
		t.Fatal(err)
	}
	pushed := []Outcome{OnPushed}
	return []ServerTrigger{
		{Images: []string{"acme/*"}, Trigger: Trigger{
			Name: "server.audit", Tags: tags, On: []Outcome{OnPushed, OnFailed}, Environment: "production", Operator: true,
			Webhook: &Webhook{URL: "https://audit.example.com/hook", Credential: "audit-secret", Format: FormatCloudEvents},
		}},
		{Images: []string{"acme/shop"}, Trigger: Trigger{
			Name: "server.roll-out", On: pushed, Operator: true,
			Kubernetes: &Kubernetes{Cluster: "prod", Namespace: "shop", Kind: Deployment, Name: "shop"},
		}},
		{Images: []string{"acme/shop"}, Trigger: Trigger{
			Name: "server.manifests", On: pushed, Operator: true,
			GitOps: &GitOps{Repository: "github:acme/deploy", File: "shop/values.yaml", Helm: "image"},
		}},
		{Images: []string{"*"}, Trigger: Trigger{
			Name: "server.mail", On: []Outcome{OnFailed}, Operator: true,
			Chat: &Chat{Credential: "smtp", To: []string{"ops@example.com"}},
		}},
	}
}

func TestServerDefaults(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "comment": "# nothing\n", "part": "limits: {maxAttempts: 3}"} {
		t.Run(name, func(t *testing.T) {
			got, ds := ParseServer("server.yml", []byte(text))
			if len(ds) > 0 {
				t.Fatal(ds.Error())
			}
			if diff := cmp.Diff(DefaultServer(), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// An app that was made on the setup page is in the store, not in the file.
func TestServerGitHub(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_APP_KEY", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	usual := DefaultServer().GitHub
	for _, tt := range []struct {
		name, text string
		change     func(*GitHub)
	}{
		{"without an app", "forges: {github: {suggest: false}}", func(g *GitHub) { g.Suggest = false }},
		{"the website of a server is where its API is", "forges: {github: {api: https://ghe.example.com/api/v3}}", func(g *GitHub) {
			g.API, g.URL = "https://ghe.example.com/api/v3", "https://ghe.example.com"
		}},
		{"with a port", "forges: {github: {api: http://127.0.0.1:4001}}", func(g *GitHub) {
			g.API, g.URL = "http://127.0.0.1:4001", "http://127.0.0.1:4001"
		}},
		{"said twice", "forges: {github: {api: https://api.github.com}}", func(*GitHub) {}},
		{"a website of its own", "forges: {github: {url: https://www.example.com}}", func(g *GitHub) { g.URL = "https://www.example.com" }},
		{"both ways to show", "forges: {github: {show: both, pullRequests: head, deployments: false}}", func(*GitHub) {}},
		{"a key of the other kind", `forges: {github: {app: 7, key: "${env:TEST_APP_KEY}", secrets: [0123456789abcdef]}}`, func(g *GitHub) {
			g.App, g.Key, g.Secrets = 7, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})), []string{"0123456789abcdef"}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, ds := ParseServer("server.yml", []byte(tt.text))
			if len(ds) > 0 {
				t.Fatal(ds.Error())
			}
			want := usual
			tt.change(&want)
			if diff := cmp.Diff(want, s.GitHub); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestShow(t *testing.T) {
	for show, want := range map[Show][2]bool{ShowBoth: {true, true}, ShowChecks: {true, false}, ShowStatuses: {false, true}} {
		if got := [2]bool{show.Checks(), show.Statuses()}; got != want {
			t.Errorf("%s: checks and statuses %v", show, got)
		}
	}
}

func TestReplaceReferences(t *testing.T) {
	t.Setenv("TEST_A", "${env:TEST_B}")
	t.Setenv("TEST_EMPTY", "")
	for s, want := range map[string]string{
		"x-${env:TEST_A}-y":  "x-${env:TEST_B}-y", // what comes in is not expanded again
		"$${env:TEST_A}":     "${env:TEST_A}",
		"$HOME $$ $":         "$HOME $ $",
		"a${env:TEST_EMPTY}": "a",
	} {
		if got, err := replaceReferences(s, "."); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", s, got, err, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{"7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "90m": 90 * time.Minute} {
		if got, err := parseDuration(s); err != nil || got != want {
			t.Errorf("%s: got %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "7", "d", "1d-1h", "1d24h", "123456d", "1.5d", "1w"} {
		if got, err := parseDuration(s); err == nil {
			t.Errorf("%q is accepted as %s", s, got)
		}
	}
}

// A relative path of a server's authorities starts where the file is, as that
// of ${file:…} does.
func TestServerAuthorities(t *testing.T) {
	for written, want := range map[string]string{"lab.pem": "/etc/rb/lab.pem", "../tls/lab.pem": "/etc/tls/lab.pem", "/tls/lab.pem": "/tls/lab.pem"} {
		s, problems := ParseServer("/etc/rb/server.yml", []byte("forges: {gitlab: [{url: \"https://git.example.com\", token: glpat-x, ca: "+written+"}]}\n"))
		if len(problems) > 0 || s.GitLab[0].CA != want {
			t.Errorf("ca: %s is read as %+v, %v; want %s", written, s, problems, want)
		}
	}
}
