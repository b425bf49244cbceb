package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/gitlab"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// gitlabSite is an operator's machine with a server that runs, as far as
// webhooks and the store go, and a GitLab.
type gitlabSite struct {
	*site
	gitlab  *gitlabtest.Server
	records *store.Store
	url     string
}

// newGitLabSite has a server file with one GitLab; more are its other lines.
func newGitLabSite(t *testing.T, more string) *gitlabSite {
	t.Helper()
	g := &gitlabSite{gitlab: gitlabtest.New(t)}
	for _, path := range []string{"acme/shop", "acme/platform/api"} {
		if _, err := g.gitlab.AddProject(path, gitlabtest.ProjectOptions{Files: map[string]string{"Dockerfile": "FROM scratch\n"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.gitlab.SetGroupMember("acme", "builds", gitlabtest.Owner); err != nil {
		t.Fatal(err)
	}
	token := g.gitlab.PersonalToken("builds", gitlabtest.TokenOptions{Scopes: []string{"api"}})
	redis := storetest.Start(t)
	g.records = redis.Store(t, store.Options{})
	g.site = newSite(t, fmt.Sprintf("redis: %s\nforges:\n  gitlab:\n    - url: %s\n      name: lab\n      token: %s\n%s", redis.Address, g.gitlab.URL, token.Value, more))

	kept, err := credential.Open(g.dir.path("credentials"), g.dir.path("credentials", "key.txt"))
	if err != nil {
		t.Fatal(err)
	}
	lab, err := gitlab.New(gitlab.Options{Config: config.GitLab{Name: "lab", URL: g.gitlab.URL, Token: token.Value},
		Secrets: &hookSecrets{instance: "lab", store: kept}, Memory: noMemory{}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch err := lab.Verify(r.Header, body); {
		case r.URL.Path != "/hooks/lab":
			http.NotFound(w, r)
		case err != nil:
			http.Error(w, err.Error(), http.StatusUnauthorized)
		default:
			_, err := lab.Events(r.Header, body)
			if err != nil && !errors.Is(err, forge.ErrIgnored) {
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
		}
	}))
	t.Cleanup(server.Close)
	g.url = server.URL
	g.runs(server.URL)
	return g
}

// known are the projects that the server knows. What was installed is known
// when the dispatcher takes it up.
func (g *gitlabSite) known() (names []string) {
	g.t.Helper()
	for {
		ctx, done := context.WithTimeout(g.t.Context(), 200*time.Millisecond)
		lease, err := g.records.NextEvent(ctx, "test")
		done()
		if err != nil || lease == nil {
			break
		}
		var decision builder.Decision
		if lease.Event.Withdrawn {
			decision.StopAll = "removed"
		}
		if err := g.records.Decide(g.t.Context(), lease, decision); err != nil {
			g.t.Fatal(err)
		}
	}
	list, err := g.records.ActiveRepositories(g.t.Context(), time.Unix(0, 0))
	if err != nil {
		g.t.Fatal(err)
	}
	for _, repo := range list {
		names = append(names, repo.FullName())
	}
	slices.Sort(names)
	return names
}

// says runs a command that goes well.
func (g *gitlabSite) says(args ...string) string {
	g.t.Helper()
	status, out, err := g.types(args...)
	if status != 0 || err != "" {
		g.t.Fatalf("%q: status %d\n%s%s", args, status, out, err)
	}
	return strings.ReplaceAll(out, g.gitlab.URL, "GITLAB")
}

func (g *gitlabSite) project(path string) *gitlabtest.Project {
	g.t.Helper()
	p, err := g.gitlab.Project(path)
	if err != nil {
		g.t.Fatal(err)
	}
	return p
}

func TestGitLabInstall(t *testing.T) {
	g := newGitLabSite(t, "")
	const next = "What is pushed from now on is built where there is a .registry-build.yml; `registry-build validate` checks one.\n"
	if out := g.says("gitlab", "install", "acme/shop"); out != "acme/shop: webhook made and tried.\n"+next {
		t.Errorf("%s", out)
	}
	if diff := cmp.Diff([]string{"acme/shop"}, g.known()); diff != "" {
		t.Error(diff)
	}
	hooks := g.project("acme/shop").Hooks()
	if len(hooks) != 1 || hooks[0].URL != g.url+"/hooks/lab" {
		t.Fatalf("webhooks %+v", hooks)
	}
	if out := g.says("gitlab", "install", "acme/shop"); out != "acme/shop is installed already; nothing changed.\n" {
		t.Errorf("%s", out)
	}
	if now := g.project("acme/shop").Hooks()[0]; now.Token != hooks[0].Token {
		t.Errorf("the token was %s and is %s", hooks[0].Token, now.Token)
	}
	if out := g.says("gitlab", "list"); out != "lab  GITLAB  webhooks\n  acme/shop\n" {
		t.Errorf("%s", out)
	}
	g.doctorFinds("ok    acme/shop tells of what happens by a webhook", "")

	// The whole group, by its address.
	const group = `group acme: webhook made and tried.
1 webhook of projects and groups below removed: they would tell everything twice.
1 project of acme known now. Those that come later are known by their first push.
`
	if out := g.says("gitlab", "install", g.gitlab.URL+"/groups/acme/-/hooks"); out != group+next {
		t.Errorf("%s", out)
	}
	if diff := cmp.Diff([]string{"acme/platform/api", "acme/shop"}, g.known()); diff != "" {
		t.Error(diff)
	}
	g.doctorFinds("ok    2 of 2 projects are well", "")

	if out := g.says("gitlab", "uninstall", "acme"); out != "1 webhook of acme removed. 2 projects are known no more, and what was being built of them is cancelled.\n" {
		t.Errorf("%s", out)
	}
	if names := g.known(); len(names) != 0 || len(g.gitlab.GroupHooks("acme")) != 0 {
		t.Errorf("known %q, webhooks %+v", names, g.gitlab.GroupHooks("acme"))
	}
	if out := g.says("gitlab", "list"); out != "lab  GITLAB  webhooks\n  no project yet: registry-build gitlab install GROUP, or GROUP/PROJECT\n" {
		t.Errorf("%s", out)
	}
	g.doctorFinds("mend  no project is installed", "registry-build gitlab install GROUP")
}

func (g *gitlabSite) doctorFinds(finding, mend string) {
	g.t.Helper()
	_, out, err := g.types("doctor")
	if err != "" {
		g.t.Errorf("doctor: %s", err)
	}
	finds(g.t, out, finding, mend)
	if strings.Contains(out, "no GitHub App") {
		g.t.Errorf("a GitHub App is missed:\n%s", out)
	}
}

// What cannot be done is one sentence.
func TestGitLabInstallRefused(t *testing.T) {
	const other = "    - {url: \"https://gitlab.com\", token: glpat-x}\n"
	for name, test := range map[string]struct {
		more string
		args []string
		want string
	}{
		"several servers":      {other, []string{"acme/shop"}, "the server file has several GitLab servers; say which with --server lab or --server gitlab, or write the whole address"},
		"no such server":       {other, []string{"acme/shop", "--server", "labor"}, `the server file has no GitLab server "labor"; it has lab, gitlab`},
		"an address elsewhere": {other, []string{"https://git.example.com/acme/shop"}, "https://git.example.com/acme/shop is not at a GitLab server of the server file (GITLAB, https://gitlab.com)"},
		"nothing there":        {"", []string{"acme/shoop"}, "there is no project or group acme/shoop at GITLAB that @builds can see; write it as in its address, and make @builds a member with the role Maintainer (of a group: Owner)"},
		"no target":            {"", nil, "registry-build gitlab install needs GROUP or PROJECT"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGitLabSite(t, test.more)
			status, out, err := g.types(append([]string{"gitlab", "install"}, test.args...)...)
			if status == 0 || out != "" || !strings.Contains(strings.ReplaceAll(err, g.gitlab.URL, "GITLAB"), test.want) {
				t.Errorf("status %d, %q\n%s\nwant %s", status, out, err, test.want)
			}
		})
	}
}

func TestGitLabInstallOfNobody(t *testing.T) {
	redis := storetest.Start(t).Address
	for name, test := range map[string]struct {
		file string
		runs bool
		want string
	}{
		"no server in the file": {"", true, "server.yml names no GitLab server; write: forges: {gitlab: [{url:"},
		"it does not run":       {"forges: {gitlab: [{url: \"https://gitlab.com\", token: glpat-x}]}\n", false, "the server is not running, and it has to know of this: start `registry-build up` (or serve) first"},
		"Redis is away":         {"redis: redis://127.0.0.1:1/0\nforges: {gitlab: [{url: \"https://gitlab.com\", token: glpat-x}]}\n", true, "`registry-build doctor` tells what the server lacks"},
		"an unreadable CA":      {"redis: REDIS\nforges: {gitlab: [{url: \"https://gitlab.com\", token: glpat-x, ca: /nowhere/ca.pem}]}\n", true, "forges.gitlab gitlab: ca: there is no file /nowhere/ca.pem; write the path of a PEM file"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, strings.Replace(test.file, "REDIS", redis, 1))
			if test.runs {
				s.runs("https://builds.example.com")
			}
			for _, command := range []string{"install", "uninstall"} {
				status, out, err := s.types("gitlab", command, "acme/shop")
				if status != 1 || out != "" || !strings.Contains(err, test.want) {
					t.Errorf("%s: status %d, %q\n%s\nwant %s", command, status, out, err, test.want)
				}
			}
		})
	}
}

// Each of several servers is told by its name.
func TestDoctorOfGitLabServers(t *testing.T) {
	g := newGitLabSite(t, "    - {url: \"http://127.0.0.1:1\", name: away, token: glpat-x}\n    - {url: \"http://127.0.0.1:1\", name: odd, token: glpat-x, ca: /nowhere/ca.pem}\n")
	g.doctorFinds("ok    lab: GitLab 18.5.0-ee at "+g.gitlab.URL+" knows us as @builds", "")
	g.doctorFinds("mend  away: GitLab cannot be reached at http://127.0.0.1:1", "correct url, ca or proxy")
	g.doctorFinds("mend  forges.gitlab odd: ca: there is no file /nowhere/ca.pem", "correct it in the server file")
}

// Who forgets --config is told that.
func TestGitLabWithoutServerFile(t *testing.T) {
	for _, args := range [][]string{{"list"}, {"install", "acme/shop"}} {
		var out, err strings.Builder
		status := Main(append([]string{"registry-build", "gitlab"}, append(args, "--data", t.TempDir())...), nil, &out, &err)
		if status != 1 || out.String() != "" || !strings.Contains(err.String(), "no server file is given") || !strings.Contains(err.String(), "write --config FILE") {
			t.Errorf("gitlab %s: status %d\n%s%s", args, status, out.String(), err.String())
		}
	}
}
