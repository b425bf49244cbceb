package github

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

const createButton = "Create the GitHub App"

func TestManifestFlow(t *testing.T) {
	for name, test := range map[string]struct{ query, ownerType string }{
		"the operator's own": {"", "User"},
		"an organization's":  {"?organization=acme", "Organization"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newSetupRig(t)
			r.gh.AddOrg("acme")
			page := r.open(PathSetup + test.query)
			page.says(http.StatusOK, "contents: read the pushed commit", "statuses: write the commit statuses", r.URL()+"/hooks/github")
			done := r.press(page, createButton)
			done.says(http.StatusOK, "The GitHub App is set up", r.kept.id.Slug)
			if done.url.Path != pathCreated {
				t.Errorf("GitHub led to %s", done.url)
			}
			app := r.gh.App(r.kept.id.Slug)
			if app == nil {
				t.Fatalf("no app %q at GitHub", r.kept.id.Slug)
			}
			want := Identity{ID: app.ID, Slug: app.Slug, Key: app.PrivateKeyPEM, Secrets: []string{app.HookSecret}, ClientID: app.ClientID, ClientSecret: app.ClientSecret}
			if diff := cmp.Diff(want, r.kept.id); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(r.Manifest.Manifest.DefaultPermissions, app.Permissions); diff != "" {
				t.Errorf("permissions (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(r.Manifest.Manifest.DefaultEvents, app.Events); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if app.HookURL != r.URL()+"/hooks/github" || app.CallbackURL != r.URL()+pathInstalled || !app.RequestOAuthOnInstall {
				t.Errorf("delivers to %s, calls back at %s", app.HookURL, app.CallbackURL)
			}
			client, err := r.App.appClient(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var is registered
			if _, err := read(t.Context(), client, "app", &is); err != nil || is.ID != app.ID || is.Owner.Type != test.ownerType {
				t.Errorf("the kept key opens app %d of a %s: %v; want %d of a %s", is.ID, is.Owner.Type, err, app.ID, test.ownerType)
			}
			if got := done.links()["Install it on repositories"]; got != r.gh.URL+"/apps/"+app.Slug+"/installations/new" {
				t.Errorf("installs at %q", got)
			}
			for _, secret := range []string{app.HookSecret, app.ClientSecret, "PRIVATE KEY"} {
				done.silentOn(secret)
				if strings.Contains(r.log.String(), secret) {
					t.Errorf("the log holds %q", secret)
				}
			}
			r.open(done.url.String()).says(http.StatusOK, "The GitHub App is set up") // loaded again
			r.open(PathSetup).says(http.StatusOK, "The GitHub App is set up")
			if got := len(r.gh.Requests("POST /app-manifests/*/conversions")); got != 1 {
				t.Errorf("%d conversions, want 1", got)
			}
		})
	}
}

func TestManifestAsksForDeploymentsWhereTheyAreOn(t *testing.T) {
	r := newSetupRig(t)
	r.App.Config.Deployments = true
	page := r.open(PathSetup)
	page.says(http.StatusOK, "deployments: write only where")
	r.press(page, createButton)
	if got := r.gh.App(r.kept.id.Slug).Permissions["deployments"]; got != "write" {
		t.Errorf("deployments: %q, want write", got)
	}
	if _, asked := r.Manifest.Manifest.DefaultPermissions["deployments"]; asked {
		t.Error("the manifest itself was changed")
	}
}

// created is where GitHub leads after the button was pressed, not opened.
func (r *setupRig) pressed() (created *url.URL) {
	r.t.Helper()
	stop := errors.New("far enough")
	client := http.Client{CheckRedirect: func(req *http.Request, _ []*http.Request) error { created = req.URL; return stop }}
	page := r.open(PathSetup)
	form := page.form(createButton)
	values := url.Values{}
	for input := range form.Descendants() {
		if attribute(input, "name") != "" {
			values.Set(attribute(input, "name"), attribute(input, "value"))
		}
	}
	resp, err := client.PostForm(attribute(form, "action"), values)
	if !errors.Is(err, stop) {
		r.t.Fatal(err)
	}
	resp.Body.Close()
	return created
}

func with(u *url.URL, name, value string) string {
	changed, q := *u, u.Query()
	q.Set(name, value)
	changed.RawQuery = q.Encode()
	return changed.String()
}

func TestManifestFlowWithALinkThatIsNotGood(t *testing.T) {
	for name, test := range map[string]struct {
		link func(r *setupRig) string
		says string
	}{
		"a state that somebody made up": {func(r *setupRig) string { return with(r.pressed(), "state", "forged") }, "not good any more"},
		"no state":                      {func(r *setupRig) string { return with(r.pressed(), "state", "") }, "not good any more"},
		"no code":                       {func(r *setupRig) string { return with(r.pressed(), "code", "") }, "not good any more"},
		"nothing at all":                {func(r *setupRig) string { return pathCreated }, "not good any more"},
		"an hour later": {func(r *setupRig) string {
			link := r.pressed()
			r.memory.pass(time.Hour + time.Second)
			return link.String()
		}, "not good any more"},
		"a code that GitHub does not know":    {func(r *setupRig) string { return with(r.pressed(), "code", "made-up") }, "does not know this code"},
		"a code that would be another's path": {func(r *setupRig) string { return with(r.pressed(), "code", "../x/y") }, "does not know this code"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newSetupRig(t)
			page := r.open(test.link(r))
			page.says(http.StatusForbidden, test.says, "registry-build github setup")
			if r.kept.id.ID != 0 {
				t.Errorf("app %d is kept", r.kept.id.ID)
			}
			r.gh.Violations() // codes that nobody gave are not as GitHub writes them
		})
	}
}

// Whoever finds a state in somebody's history cannot bring a code of their own.
func TestManifestFlowTakesTheFirstCode(t *testing.T) {
	r := newSetupRig(t)
	first, second := r.pressed(), r.pressed()
	r.gh.FailNext("POST /app-manifests/*/conversions", 1, githubtest.BadGateway())
	r.open(first.String()).says(http.StatusBadGateway, "Try again in a moment")
	r.open(with(first, "code", second.Query().Get("code"))).says(http.StatusForbidden, "not good any more")
	r.open(first.String()).says(http.StatusOK, "The GitHub App is set up")
}

func TestManifestFlowIsTriedAgain(t *testing.T) {
	for name, test := range map[string]struct{ fail, mend func(r *setupRig) }{
		"GitHub is down":     {func(r *setupRig) { r.gh.FailNext("POST /app-manifests/*/conversions", 1, githubtest.BadGateway()) }, nil},
		"no connection":      {func(r *setupRig) { r.gh.FailNext("POST /app-manifests/*/conversions", 1, githubtest.Dropped()) }, nil},
		"our memory is away": {func(r *setupRig) { r.memory.err = errors.New("away") }, func(r *setupRig) { r.memory.err = nil }},
		"GitHub limits anyone": {func(r *setupRig) {
			r.gh.FailNext("POST /app-manifests/*/conversions", 1, githubtest.SecondaryLimit(time.Minute))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newSetupRig(t)
			link := r.pressed()
			test.fail(r)
			r.open(link.String()).says(http.StatusBadGateway, "Try again in a moment")
			if test.mend != nil {
				test.mend(r)
			}
			r.open(link.String()).says(http.StatusOK, "The GitHub App is set up")
			if code := link.Query().Get("code"); strings.Contains(r.log.String(), code) {
				t.Errorf("the log holds the code, which was still good:\n%s", r.log)
			}
		})
	}
}

func TestManifestFlowWhenNothingCanBeKept(t *testing.T) {
	r := newSetupRig(t)
	link := r.pressed()
	r.kept.broken = errors.New("the disk is full")
	r.open(link.String()).says(http.StatusBadGateway, "the operator's log has the cause")
	if !strings.Contains(r.log.String(), "the disk is full") {
		t.Errorf("the log does not tell:\n%s", r.log)
	}
	r.kept.broken = nil
	r.open(link.String()).says(http.StatusForbidden, "Begin again", "/settings/apps")
}

func TestManifestFlowPageLoadedTwiceAtOnce(t *testing.T) {
	r := newSetupRig(t)
	link := r.pressed().String()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			resp, err := http.Get(link)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode >= 500 {
				t.Errorf("answered %d", resp.StatusCode)
			}
		})
	}
	all.Wait()
	if r.kept.id.ID == 0 {
		t.Error("no app is kept")
	}
}

func TestSetupPageForNobody(t *testing.T) {
	r := newSetupRig(t)
	r.shut = true
	page := r.open(PathSetup)
	page.says(http.StatusUnauthorized, "A token is needed")
	if got := page.header.Get("WWW-Authenticate"); got != `Basic realm="registry-build", charset="UTF-8"` {
		t.Errorf("challenge %q", got)
	}
	if len(r.memory.facts) != 0 {
		t.Error("a state was opened")
	}
	r.open("/github/elsewhere").says(http.StatusNotFound, PathSetup)
}

func TestSetupPageRefusesNamesOfNoOrganization(t *testing.T) {
	r := newSetupRig(t)
	for _, name := range []string{"acme/shop", "../acme", "-acme", "a b", "<b>acme</b>", "ac..me", strings.Repeat("a", 40), "acme\n"} {
		page := r.open(PathSetup + "?" + url.Values{"organization": {name}}.Encode())
		page.says(http.StatusBadRequest, "No such organization", "go back")
		page.silentOn("<b>", "<form")
	}
	page := r.open(PathSetup + "?key=k&organization=acme")
	if got := attribute(page.form(createButton), "action"); !strings.HasPrefix(got, r.gh.URL+"/organizations/acme/settings/apps/new?state=") {
		t.Errorf("goes to %q", got)
	}
	// Who asks for another organization still has the right to the page.
	for input := range page.form("Change").Descendants() {
		if attribute(input, "name") == "key" && attribute(input, "value") != "k" {
			t.Errorf("the key became %q", attribute(input, "value"))
		}
	}
}

func TestSetupPageWithoutAPublicAddress(t *testing.T) {
	r := newSetupRig(t)
	r.App.Config.API, r.App.Config.URL = "https://api.github.com", "https://github.com"
	page := r.open(PathSetup)
	page.says(http.StatusOK, "GitHub cannot deliver to 127.0.0.1:", "url: https://")
	page.silentOn("<form method=\"post\"", "name=\"manifest\"")
}

func TestReachable(t *testing.T) {
	const gone = "GitHub cannot deliver to "
	for name, test := range map[string]struct{ api, address, want string }{
		"a name":                       {"https://api.github.com", "https://builds.example.com", ""},
		"a name and a port":            {"https://api.github.com", "https://builds.example.com:8443", ""},
		"a public address":             {"https://api.github.com", "https://93.184.216.34", ""},
		"a public address of IPv6":     {"https://api.github.com", "https://[2606:2800:220:1::1]", ""},
		"a name that looks like arpa":  {"https://api.github.com", "https://arpa.example.com", ""},
		"this machine":                 {"https://api.github.com", "http://localhost:4001", gone + "localhost:4001"},
		"this machine by address":      {"https://api.github.com", "http://127.0.0.1:4001", gone + "127.0.0.1:4001"},
		"this machine by IPv6":         {"https://api.github.com", "http://[::1]:4001", gone + "[::1]:4001"},
		"IPv4 within IPv6":             {"https://api.github.com", "http://[::ffff:10.0.0.1]:80", gone + "[::ffff:10.0.0.1]:80"},
		"a private network":            {"https://api.github.com", "http://192.168.1.5", gone + "192.168.1.5:80"},
		"a private network, TLS":       {"https://api.github.com", "https://10.1.2.3", gone + "10.1.2.3:443"},
		"link-local":                   {"https://api.github.com", "http://169.254.1.1", gone + "169.254.1.1:80"},
		"behind a carrier's NAT":       {"https://api.github.com", "http://100.64.0.7", gone + "100.64.0.7:80"},
		"any address":                  {"https://api.github.com", "http://0.0.0.0:80", gone + "0.0.0.0:80"},
		"a name of this network":       {"https://api.github.com", "http://builds:8080", gone + "builds:8080"},
		"a name that mDNS knows":       {"https://api.github.com", "http://builds.LOCAL", gone + "builds.LOCAL:80"},
		"an internal name":             {"https://api.github.com", "https://builds.corp.internal", gone + "builds.corp.internal:443"},
		"a name at home":               {"https://api.github.com", "https://builds.home.arpa", gone + "builds.home.arpa:443"},
		"a root's dot":                 {"https://api.github.com", "https://localhost.", gone + "localhost.:443"},
		"no address":                   {"https://api.github.com", "", "the server has no address; write url: https://"},
		"a path":                       {"https://api.github.com", "/builds", "the server has no address; write url: https://"},
		"beside an Enterprise Server":  {"https://ghe.example.com/api/v3", "http://builds:8080", ""},
		"beside one, on this machine":  {"http://127.0.0.1:4001/api/v3", "http://127.0.0.1:4000", ""},
		"beside one, without any name": {"https://ghe.example.com/api/v3", "", "the server has no address"},
	} {
		a := New(Options{})
		a.Config.API = test.api
		got := a.Reachable(test.address)
		if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: %q, want %q…", name, got, test.want)
		}
		if strings.HasPrefix(got, gone) && !strings.Contains(got, "url: https://builds.example.com") {
			t.Errorf("%s: %q does not say what to write", name, got)
		}
	}
}
