package github

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// installedRig is a setupRig whose app is there already.
type installedRig struct {
	*setupRig
	app *githubtest.App
}

func newInstalledRig(t *testing.T) *installedRig {
	t.Helper()
	r := &installedRig{setupRig: newSetupRig(t)}
	var err error
	if r.app, err = r.gh.AddApp(githubtest.AppOptions{CallbackURL: r.URL() + pathInstalled, RequestOAuthOnInstall: true}); err != nil {
		t.Fatal(err)
	}
	r.kept.id = Identity{ID: r.app.ID, Slug: r.app.Slug, Key: r.app.PrivateKeyPEM, Secrets: []string{"secret"}, ClientID: r.app.ClientID, ClientSecret: r.app.ClientSecret}
	return r
}

// repo makes a repository that ada may write to.
func (r *installedRig) repo(name string, o githubtest.RepoOptions) *githubtest.Repo {
	r.t.Helper()
	repo, err := r.gh.AddRepo(name, o)
	if err != nil {
		r.t.Fatal(err)
	}
	repo.SetCollaborator("ada", "write")
	return repo
}

func (r *installedRig) install(account string) *githubtest.Installation {
	r.t.Helper()
	in, err := r.app.Install(account)
	if err != nil {
		r.t.Fatal(err)
	}
	return in
}

// rows are the repositories of the page with what was found in each: branch,
// Dockerfiles, build file.
func (p shown) rows() map[string][3]string {
	all := map[string][3]string{}
	for n := range p.root.Descendants() {
		if n.Data != "tr" || n.Parent.Data != "tbody" {
			continue
		}
		var cells []string
		for c := range n.ChildNodes() {
			if c.Data == "td" || c.Data == "th" {
				cells = append(cells, textOf(c))
			}
		}
		if len(cells) != 4 {
			p.t.Fatalf("a row of %d cells: %q", len(cells), cells)
		}
		all[cells[0]] = [3]string(cells[1:])
	}
	return all
}

func TestPageAfterTheInstallation(t *testing.T) {
	r := newInstalledRig(t)
	r.repo("acme/built", githubtest.RepoOptions{Private: true, Files: map[string]string{"Dockerfile": "FROM scratch\n", config.BuildFileName: "version: 1\n"}})
	r.repo("acme/shop", githubtest.RepoOptions{Private: true, Files: map[string]string{"Dockerfile": "FROM scratch\n", "services/api/Dockerfile": "FROM scratch\n"}})
	r.repo("acme/docs", githubtest.RepoOptions{Files: map[string]string{"README.md": "hello\n"}})
	r.repo("acme/new", githubtest.RepoOptions{})
	r.repo("acme/branched", githubtest.RepoOptions{DefaultBranch: "release/2.0#1%", Files: map[string]string{"Dockerfile": "FROM scratch\n"}})
	page := r.open(r.install("acme").AfterInstall("ada"))
	page.says(http.StatusOK, "5 repositories came in")
	want := map[string][3]string{
		"acme/built":    {"main", "Dockerfile", "is there"},
		"acme/shop":     {"main", "Dockerfile services/api/Dockerfile", "add one to acme/shop"},
		"acme/docs":     {"main", "none", "not needed yet"},
		"acme/new":      {"main", "empty so far", "not needed yet"},
		"acme/branched": {"release/2.0#1%", "Dockerfile", "add one to acme/branched"},
	}
	if diff := cmp.Diff(want, page.rows()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := page.links()["acme/shop"]; got != r.gh.URL+"/acme/shop" {
		t.Errorf("acme/shop leads to %s", got)
	}
	for name, at := range map[string]string{"acme/shop": "/acme/shop/new/main", "acme/branched": "/acme/branched/new/release/2.0%231%25"} {
		link, err := url.Parse(page.links()["add one to "+name])
		if err != nil {
			t.Fatal(err)
		}
		if link.EscapedPath() != at || "http://"+link.Host != r.gh.URL || link.Query().Get("filename") != config.BuildFileName {
			t.Errorf("%s: a new file at %s", name, link)
		}
		file, problems := config.ParseBuildFile(config.BuildFileName, []byte(link.Query().Get("value")))
		if len(problems) > 0 || len(file.Images) == 0 {
			t.Errorf("%s: the file that is filled in does not parse: %v", name, problems)
		}
	}
	for _, made := range r.gh.Requests("POST /app/installations/*/access_tokens") {
		if got := string(made.Body); !strings.Contains(got, `"permissions":{"contents":"read"}`) || !strings.Contains(got, `"repository_ids":[`) {
			t.Errorf("a token was asked with %s; want contents: read of one repository", got)
		}
	}
	for _, asked := range r.gh.Requests("") {
		if asked.Method != http.MethodGet && !strings.HasPrefix(asked.Path, "/app/") {
			t.Errorf("%s %s: looking changes nothing", asked.Method, asked.Path)
		}
	}
}

// Whoever comes sees what GitHub shows to them, whatever the address says.
func TestPageAfterTheInstallationShowsWhatIsTheirs(t *testing.T) {
	r := newInstalledRig(t)
	shop := r.repo("acme/shop", githubtest.RepoOptions{Private: true, Files: map[string]string{"Dockerfile": "FROM scratch\n"}})
	shop.SetCollaborator("bob", "read")
	r.repo("acme/payroll", githubtest.RepoOptions{Private: true, Files: map[string]string{"hidden/Dockerfile": "FROM scratch\n"}})
	r.repo("rival/plans", githubtest.RepoOptions{Private: true, Files: map[string]string{"hidden/Dockerfile": "FROM scratch\n"}})
	acme, rival := r.install("acme"), r.install("rival")
	foreign := func(in *githubtest.Installation, login string) string {
		u, err := url.Parse(acme.AfterInstall(login))
		if err != nil {
			t.Fatal(err)
		}
		return with(u, "installation_id", fmt.Sprint(in.ID))
	}

	r.gh.AddUser("eve")
	mine := r.open(acme.AfterInstall("bob"))
	mine.says(http.StatusOK, "1 repository came in", "acme/shop")
	mine.silentOn("payroll", "plans", "hidden")
	for name, link := range map[string]string{
		"an installation that one has no part in":           foreign(rival, "bob"),
		"somebody who has no part in any":                   acme.AfterInstall("eve"),
		"an installation that is not there":                 strings.Replace(foreign(rival, "bob"), fmt.Sprint(rival.ID), "999999", 1),
		"an installation's number that could be misread":    strings.Replace(foreign(rival, "bob"), fmt.Sprint(rival.ID), "1e9", 1),
		"a code that nobody gave":                           r.URL() + pathInstalled + fmt.Sprintf("?installation_id=%d&setup_action=install&code=made-up", acme.ID),
		"no code":                                           r.URL() + pathInstalled + fmt.Sprintf("?installation_id=%d&setup_action=install", acme.ID),
		"a negative installation, which would be no number": foreign(rival, "bob") + "&installation_id=-1",
	} {
		before := len(r.gh.Requests("POST /app/installations/*/access_tokens"))
		page := r.open(link)
		page.silentOn("payroll", "plans", "hidden", "acme/shop")
		if page.status >= 500 {
			t.Errorf("%s: %d", name, page.status)
		}
		if got := len(r.gh.Requests("POST /app/installations/*/access_tokens")); got != before {
			t.Errorf("%s: the app looked into repositories", name)
		}
	}
	r.open(foreign(rival, "bob")).says(http.StatusForbidden, "GitHub does not show you the repositories of this installation")
}

func TestPageAfterTheInstallationOnce(t *testing.T) {
	r := newInstalledRig(t)
	r.repo("acme/shop", githubtest.RepoOptions{Private: true})
	link := r.install("acme").AfterInstall("ada")
	r.open(link).says(http.StatusOK, "1 repository came in")
	again := r.open(link)
	again.says(http.StatusForbidden, "GitHub does not know this link any more", "it is installed all the same")
	again.silentOn("acme/shop")
}

func TestPageAfterTheInstallationOtherwise(t *testing.T) {
	for name, test := range map[string]struct {
		change func(r *installedRig)
		query  string
		status int
		says   []string
	}{
		"asked for": {nil, "?setup_action=request", http.StatusOK, []string{"Asked for", "An owner of the organization has to approve"}},
		"no app":    {func(r *installedRig) { r.kept.id = Identity{} }, "?installation_id=1&code=x", http.StatusNotFound, []string{"There is no GitHub App here yet", "registry-build github setup"}},
		"an app of the server file": {func(r *installedRig) { r.kept.id.ClientID, r.kept.id.ClientSecret = "", "" }, "?installation_id=1&code=x",
			http.StatusOK, []string{"Installed", "repositories with a .registry-build.yml are built"}},
		"GitHub is down": {func(r *installedRig) {
			r.gh.FailNext("GET /user/installations/*/repositories", 1, githubtest.BadGateway())
		}, "",
			http.StatusBadGateway, []string{"Try again in a moment"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newInstalledRig(t)
			r.repo("acme/shop", githubtest.RepoOptions{})
			link := r.URL() + pathInstalled + test.query
			if test.query == "" {
				link = r.install("acme").AfterInstall("ada")
			}
			if test.change != nil {
				test.change(r)
			}
			r.open(link).says(test.status, test.says...)
		})
	}
}

func TestPageAfterTheInstallationSaysWhatCannotBeRead(t *testing.T) {
	r := newInstalledRig(t)
	r.repo("acme/shop", githubtest.RepoOptions{Files: map[string]string{"Dockerfile": "FROM scratch\n"}})
	r.repo("acme/well", githubtest.RepoOptions{Files: map[string]string{"Dockerfile": "FROM scratch\n"}})
	r.gh.FailNext("GET /repos/acme/shop/git/trees/*", 5, githubtest.BadGateway())
	page := r.open(r.install("acme").AfterInstall("ada"))
	page.says(http.StatusOK)
	want := map[string][3]string{
		"acme/shop": {"main", "could not be read", "not known"},
		"acme/well": {"main", "Dockerfile", "add one to acme/well"},
	}
	if diff := cmp.Diff(want, page.rows()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPageAfterAnInstallationOnManyRepositories(t *testing.T) {
	r := newInstalledRig(t)
	for i := range maxInspected + 3 {
		r.repo(fmt.Sprintf("acme/r%03d", i), githubtest.RepoOptions{})
	}
	page := r.open(r.install("acme").AfterInstall("ada"))
	page.says(http.StatusOK, fmt.Sprintf("%d repositories came in", maxInspected+3))
	looked, only := 0, 0
	for _, row := range page.rows() {
		switch row[1] {
		case "empty so far":
			looked++
		case "not looked into":
			only++
		}
	}
	if looked != maxInspected || only != 3 {
		t.Errorf("%d looked into, %d only listed; want %d and 3: %v\n%s", looked, only, maxInspected, page.rows(), r.log)
	}
	list := []seen{{ID: 1, Name: "shop"}}
	if got := r.App.onboard(t.Context(), "1", list, 301).More; got != "And 300 more, which work the same." {
		t.Errorf("more: %q", got)
	}
}

// Branches and paths hold what HTML is made of; names at GitHub cannot, and
// are escaped all the same.
func TestPagesEscape(t *testing.T) {
	const hostile = `x"><script>alert(1)<`
	r := newInstalledRig(t)
	r.repo("acme/shop", githubtest.RepoOptions{DefaultBranch: `m"><b>bold`, Files: map[string]string{hostile + "/Dockerfile": "FROM scratch\n"}})
	after := r.open(r.install("acme").AfterInstall("ada"))
	after.says(http.StatusOK, hostile+"/Dockerfile", `m"><b>bold`)
	r.kept.id.Slug = hostile
	exists := r.open(PathSetup)
	named := onboarding{Total: 1, More: hostile, Repositories: []found{{Name: hostile, URL: "javascript:alert(1)", Branch: hostile, Dockerfiles: []string{hostile}, New: "javascript:alert(2)", Problem: hostile}}}
	recorder := httptest.NewRecorder()
	r.write(recorder, http.StatusOK, "installed", named)
	resp := recorder.Result()
	resp.Request = httptest.NewRequest(http.MethodGet, pathInstalled, nil)
	rendered := r.shown(resp, nil)
	for name, page := range map[string]shown{"after": after, "exists": exists, "made up": rendered} {
		for n := range page.root.Descendants() {
			if n.Data == "script" || n.Data == "b" || strings.HasPrefix(attribute(n, "href"), "javascript:") {
				t.Errorf("%s: what somebody called something is a %s:\n%s", name, n.Data, page.text)
			}
		}
	}
}

func TestPagesHeaders(t *testing.T) {
	r := newInstalledRig(t)
	for _, path := range []string{PathSetup, pathCreated, pathInstalled, pathInstalled + "?setup_action=request", "/github/x"} {
		header := r.open(path).header
		for name, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' " + r.gh.URL,
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s: %q, want %q", path, name, got, want)
			}
		}
	}
}

// Every page reads well without eyes: a title, one heading at the top, a label
// for every field, a text in every link and button.
func TestPagesAreAccessible(t *testing.T) {
	fresh, r := newSetupRig(t), newInstalledRig(t)
	r.repo("acme/shop", githubtest.RepoOptions{Files: map[string]string{"Dockerfile": "FROM scratch\n"}})
	in := r.install("acme")
	for name, page := range map[string]shown{
		"setup": fresh.open(PathSetup), "refused": fresh.open(PathSetup + "?organization=a+b"), "exists": r.open(PathSetup),
		"installed": r.open(in.AfterInstall("ada")), "not found": r.open("/github/elsewhere"),
	} {
		headings, labelled := 0, map[string]bool{}
		for n := range page.root.Descendants() {
			if n.Data == "label" {
				labelled[attribute(n, "for")] = true
			}
		}
		for n := range page.root.Descendants() {
			switch n.Data {
			case "h1":
				headings++
			case "html":
				if n.Type == html.ElementNode && attribute(n, "lang") != "en" {
					t.Errorf("%s: no language", name)
				}
			case "title", "a", "button", "h2", "th":
				if textOf(n) == "" {
					t.Errorf("%s: a %s without a text", name, n.Data)
				}
			case "input":
				if attribute(n, "type") != "hidden" && !labelled[attribute(n, "id")] {
					t.Errorf("%s: field %q has no label", name, attribute(n, "name"))
				}
			}
		}
		if headings != 1 {
			t.Errorf("%s: %d headings of the first rank", name, headings)
		}
	}
}
