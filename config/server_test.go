package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestServerFull(t *testing.T) {
	t.Setenv("TEST_PASSWORD", "pa$$:word")
	t.Setenv("TEST_HOME", "/home/build")
	t.Setenv("TEST_COUNT", "8")
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
			Scopes:       []string{ScopeGitRead, ScopeGitWrite, ScopeRegistryPull, ScopeRegistryPush, ScopeAPI},
		}},
		Git:       Git{Create: false},
		KeyFile:   "/etc/registry-build/key",
		Policy:    []Policy{{Repositories: []string{"acme/*"}, Images: []string{"registry.example.com/shared/*"}}},
		Limits:    Limits{Concurrency: 8, PerRepository: 2, BuildTimeout: 90 * time.Minute, MaxAttempts: 5},
		Retention: Retention{Events: 7 * 24 * time.Hour, Builds: 36 * time.Hour, Logs: 36 * time.Hour},
		Triggers:  TriggerNet{AllowPrivate: true, AllowHosts: []string{"hooks.lan", "*.example.com", "10.0.0.0/8", "::1"}},
		Timezone:  "Europe/Berlin",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
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
