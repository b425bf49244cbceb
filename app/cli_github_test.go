package app

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/handlers/forge/github"
)

// site is a data folder and a server file, as an operator has them.
type site struct {
	t   *testing.T
	dir *dataDir
	yml string
}

func newSite(t *testing.T, serverFile string) *site {
	t.Helper()
	dir, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, yml: filepath.Join(t.TempDir(), "server.yml")}
	if err := os.WriteFile(s.yml, []byte(serverFile), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// ran leaves what a server at the address leaves that has been stopped.
func (s *site) ran(address string) *site {
	if err := s.dir.publish("url", address+"\n"); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// runs takes the data folder as a server at the address does.
func (s *site) runs(address string) *site {
	s.ran(address)
	leave, err := s.dir.moveIn(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(leave)
	return s
}

func (s *site) identities() *identities {
	store, err := credential.Open(s.dir.path("credentials"), s.dir.path("credentials", "key.txt"))
	if err != nil {
		s.t.Fatal(err)
	}
	return &identities{store: store}
}

// types runs a command with the site's flags.
func (s *site) types(args ...string) (status int, out, err string) {
	var stdout, stderr bytes.Buffer
	status = Main(append(append([]string{"registry-build"}, args...), "--config", s.yml, "--data", s.dir.root), strings.NewReader(""), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

func TestGitHubSetup(t *testing.T) {
	keep := func(s *site) {
		if err := s.identities().keep(s.t.Context(), made); err != nil {
			s.t.Fatal(err)
		}
	}
	const stopped = "the server is not running, and it serves the page: start `registry-build up` (or serve) first"
	for name, test := range map[string]struct {
		file     string
		prepare  func(s *site)
		status   int
		out, err string
	}{
		"it never ran":                     {"", func(*site) {}, 1, "", stopped},
		"it never ran, and has an address": {"url: https://builds.example.com\n", func(*site) {}, 1, "", stopped},
		"it ran once":                      {"", func(s *site) { s.ran("https://builds.example.com") }, 1, "", stopped},
		"its address is this machine's":    {"", func(s *site) { s.runs("http://127.0.0.1:4001") }, 1, "", "GitHub cannot deliver to 127.0.0.1:4001, which only this network reaches. Give the server an address that the internet reaches"},
		"beside an Enterprise Server": {"forges: {github: {api: https://ghe.example.com/api/v3}}\n", func(s *site) { s.runs("http://10.0.0.1:4001") }, 0,
			"Open this within an hour and press the button:\n  http://10.0.0.1:4001/github/setup?key=", ""},
		"an address that is known": {"url: https://builds.example.com\n", func(s *site) { s.runs("https://builds.example.com") }, 0,
			"  https://builds.example.com/github/setup?key=", ""},
		"there is an app, stopped": {"", keep, 0,
			"There is a GitHub App already: registry-build-x\nInstall it on repositories: https://github.com/apps/registry-build-x/installations/new\n", ""},
		"there is one in the server file": {"forges: {github: {app: 9, key: \"${env:APP_KEY}\", secrets: [0123456789abcdef]}}\n",
			func(s *site) { s.t.Setenv("APP_KEY", testKey(s.t)) }, 0, "There is a GitHub App already: 9\n", ""},
		"what is kept is no app": {"", func(s *site) {
			keep(s)
			s.identities().set(s.t, githubApp, builder.KindToken, "no app at all")
		}, 1, "", "credential github-app: "},
		"the server file is wrong": {"forges: {github: {ap: 9}}\n", func(*site) {}, 1, "", `unknown key "ap"; did you mean "api"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, test.file)
			test.prepare(s)
			status, out, err := s.types("github", "setup")
			if status != test.status || !strings.Contains(out, test.out) || !strings.Contains(err, test.err) || (err == "") != (test.err == "") {
				t.Errorf("status %d\n%s\n%s\nwant %d, %q, %q", status, out, err, test.status, test.out, test.err)
			}
		})
	}
}

// The link that is printed opens the page of the server that runs there, and
// no other page.
func TestGitHubSetupLink(t *testing.T) {
	s := newSite(t, "url: https://builds.example.com\n").runs("https://builds.example.com")
	_, out, _ := s.types("github", "setup")
	link := regexp.MustCompile(`https://\S+`).FindString(out)
	secret, err := s.dir.secret(linksSecret)
	if err != nil {
		t.Fatal(err)
	}
	l := links{secret: secret, url: "https://builds.example.com", now: time.Now}
	if !l.mayOpen(httptest.NewRequest(http.MethodGet, link, nil)) {
		t.Errorf("%s does not open the page", link)
	}
	if l.mayOpen(httptest.NewRequest(http.MethodGet, strings.Replace(link, github.PathSetup, "/github/created", 1), nil)) {
		t.Errorf("the key of %s opens another page", link)
	}
}
