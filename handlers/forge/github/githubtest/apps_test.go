package githubtest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

const manifest = `{
	"name": "Acme builds", "url": "https://builds.example.com", "redirect_url": "https://builds.example.com/done",
	"hook_attributes": {"url": %q, "active": true}, "setup_url": "https://builds.example.com/setup",
	"callback_urls": ["https://builds.example.com/callback"], "request_oauth_on_install": true, "public": false,
	"default_permissions": {"contents": "read", "checks": "write"}, "default_events": ["push", "check_run"]
}`

// browser posts a form and does not follow where it is sent.
func browser(t *testing.T, address string, form url.Values) (*http.Response, string) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res := must(client.PostForm(address, form))(t)
	defer func() { _ = res.Body.Close() }()
	return res, string(must(io.ReadAll(res.Body))(t))
}

func TestManifestFlow(t *testing.T) {
	s, hooks := githubtest.New(t), receive(t)
	res, body := browser(t, s.URL+"/organizations/acme/settings/apps/new?state=abc", url.Values{"manifest": {fmt.Sprintf(manifest, hooks.URL)}})
	if res.StatusCode != http.StatusFound {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	target := must(res.Location())(t)
	code := target.Query().Get("code")
	if code == "" || target.Query().Get("state") != "abc" || target.Host+target.Path != "builds.example.com/done" {
		t.Fatalf("redirected to %s", target)
	}
	client := must(github.NewClient(nil).WithEnterpriseURLs(s.API, s.API))(t)
	config, _, err := client.Apps.CompleteAppManifest(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	app := s.App(config.GetSlug())
	got := []any{config.GetID(), config.GetName(), config.GetPEM(), config.GetWebhookSecret(), config.GetClientID(), config.GetClientSecret(), config.GetOwner().GetLogin()}
	if diff := cmp.Diff([]any{app.ID, "Acme builds", app.PrivateKeyPEM, app.HookSecret, app.ClientID, app.ClientSecret, "acme"}, got); diff != "" {
		t.Error(diff)
	}
	if _, res, _ := client.Apps.CompleteAppManifest(t.Context(), code); res == nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("a code was taken twice: %v", res)
	}
	if d := hooks.wait(t, "ping"); github.ValidateSignature(d.signature, d.body, []byte(app.HookSecret)) != nil {
		t.Error("the ping is not signed with the app's secret")
	}
}

func TestManifestRefused(t *testing.T) {
	s := githubtest.New(t)
	for _, test := range []struct{ name, from, to, want string }{
		{"no JSON", `{`, `[`, "manifest"},
		{"misspelt key", `"default_events"`, `"default_event"`, "default_event"},
		{"no redirect", `"https://builds.example.com/done"`, `""`, "redirect_url"},
		{"long name", `"Acme builds"`, `"` + strings.Repeat("x", 35) + `"`, "too long"},
		{"event without permission", `"check_run"`, `"merge_group"`, "merge_queues:read"},
		{"event that needs no subscription", `"check_run"`, `"installation"`, "every app gets it"},
		{"unknown event", `"check_run"`, `"checkrun"`, "no event"},
		{"unknown permission", `"checks": "write"`, `"check": "write"`, "no permission"},
		{"unknown level", `"checks": "write"`, `"checks": "rw"`, `cannot be "rw"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(fmt.Sprintf(manifest, "https://builds.example.com/hook"), test.from, test.to, 1)
			res, body := browser(t, s.URL+"/settings/apps/new", url.Values{"manifest": {text}})
			if res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, test.want) {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		})
	}
}

// TestAuthorizationOnInstall goes the way of the person who installed the app.
func TestAuthorizationOnInstall(t *testing.T) {
	w := newWorld(t)
	must(w.AddRepo("acme/public", githubtest.RepoOptions{}))(t)
	w.repo.SetCollaborator("alice", "read")
	app := must(w.AddApp(githubtest.AppOptions{Name: "oauth", RequestOAuthOnInstall: true, CallbackURL: "https://builds.example.com/callback?x=1"}))(t)
	inst := must(app.Install("acme"))(t)
	exchange := func(code, secret string) map[string]string {
		t.Helper()
		req := must(http.NewRequestWithContext(w.ctx, http.MethodPost, w.URL+"/login/oauth/access_token",
			strings.NewReader(url.Values{"client_id": {app.ClientID}, "client_secret": {secret}, "code": {code}}.Encode())))(t)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Accept", "application/json")
		res := must(http.DefaultClient.Do(req))(t)
		defer func() { _ = res.Body.Close() }()
		out := map[string]string{}
		if err := json.NewDecoder(res.Body).Decode(&out); err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(res.StatusCode, err)
		}
		return out
	}
	target := must(url.Parse(inst.AfterInstall("alice")))(t)
	if got := target.Query().Get("installation_id"); got != fmt.Sprint(inst.ID) || target.Query().Get("x") != "1" {
		t.Errorf("sent to %s", target)
	}
	code := target.Query().Get("code")
	if got := exchange(code, "wrong")["error"]; got != "incorrect_client_credentials" {
		t.Errorf("wrong secret: %q", got)
	}
	token := exchange(code, app.ClientSecret)["access_token"]
	if got := exchange(code, app.ClientSecret)["error"]; got != "bad_verification_code" {
		t.Errorf("second time: %q", got)
	}
	person := must(github.NewClient(nil).WithAuthToken(token).WithEnterpriseURLs(w.API, w.API))(t)
	user, _, err := person.Users.Get(w.ctx, "")
	if err != nil || user.GetLogin() != "alice" {
		t.Errorf("user %q, %v", user.GetLogin(), err)
	}
	repos, _, err := person.Apps.ListUserRepos(w.ctx, inst.ID, nil)
	if err != nil || len(repos.Repositories) != 1 || repos.Repositories[0].GetID() != w.repo.ID() {
		t.Errorf("alice's repositories: %v, %v", repos, err)
	}
	if _, res, _ := person.Apps.ListUserRepos(w.ctx, w.inst.ID, nil); res == nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("another app's installation: %v", res)
	}
	if list, _, err := person.Apps.ListUserInstallations(w.ctx, nil); err != nil || len(list) != 1 {
		t.Errorf("installations: %v, %v", list, err)
	}
}

// TestInstallByBrowser installs and authorizes as a person does, with forms.
func TestInstallByBrowser(t *testing.T) {
	w := newWorld(t)
	app := must(w.AddApp(githubtest.AppOptions{
		Name: "web", HookURL: w.hooks.URL, SetupURL: "https://builds.example.com/setup", CallbackURL: "https://builds.example.com/callback",
	}))(t)
	page := w.URL + "/apps/web/installations/new?state=s%26t"
	res, body := browser(t, page, url.Values{"account": {"acme"}, "repository": {"acme/nothing"}})
	if res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, "no repository acme/nothing") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	res, body = browser(t, page, url.Values{"account": {"acme"}, "repository": {"acme/shop"}})
	if res.StatusCode != http.StatusFound {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	query := must(res.Location())(t).Query()
	if query.Get("setup_action") != "install" || query.Get("installation_id") == "" || query.Get("state") != "s&t" || query.Has("code") {
		t.Errorf("sent to %s", res.Header.Get("Location"))
	}
	w.hooks.wait(t, "installation")

	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, test := range []struct {
		name  string
		query url.Values
		want  int
	}{
		{"known", url.Values{"client_id": {app.ClientID}, "state": {"x"}, "login": {"alice"}}, http.StatusFound},
		{"unknown app", url.Values{"client_id": {"nobody"}}, http.StatusNotFound},
		{"elsewhere", url.Values{"client_id": {app.ClientID}, "redirect_uri": {"https://evil.example.com/"}}, http.StatusBadRequest},
	} {
		t.Run(test.name, func(t *testing.T) {
			res := must(client.Get(w.URL + "/login/oauth/authorize?" + test.query.Encode()))(t)
			_ = res.Body.Close()
			if res.StatusCode != test.want {
				t.Fatalf("%d", res.StatusCode)
			}
			if test.want == http.StatusFound && (must(res.Location())(t).Query().Get("code") == "" || must(res.Location())(t).Query().Get("state") != "x") {
				t.Errorf("sent to %s", res.Header.Get("Location"))
			}
		})
	}
}

// TestAssertions are JWTs that GitHub takes and those that it does not.
func TestAssertions(t *testing.T) {
	w := newWorld(t)
	key := must(jwt.ParseRSAPrivateKeyFromPEM([]byte(w.app.PrivateKeyPEM)))(t)
	wrong := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	now := time.Now()
	good := jwt.RegisteredClaims{Issuer: fmt.Sprint(w.app.ID), IssuedAt: jwt.NewNumericDate(now.Add(-time.Minute)), ExpiresAt: jwt.NewNumericDate(now.Add(9 * time.Minute))}
	with := func(change func(*jwt.RegisteredClaims)) jwt.RegisteredClaims {
		c := good
		change(&c)
		return c
	}
	for _, test := range []struct {
		name   string
		claims jwt.RegisteredClaims
		key    *rsa.PrivateKey
		status int
		want   string
	}{
		{"good", good, key, 200, ""},
		{"by client id", with(func(c *jwt.RegisteredClaims) { c.Issuer = w.app.ClientID }), key, 200, ""},
		{"another key", good, wrong, 401, "could not be decoded"},
		{"another app", with(func(c *jwt.RegisteredClaims) { c.Issuer = "1" }), key, 404, "Integration not found"},
		{"too long", with(func(c *jwt.RegisteredClaims) { c.ExpiresAt = jwt.NewNumericDate(now.Add(11 * time.Minute)) }), key, 401, "too far in the future"},
		{"expired", with(func(c *jwt.RegisteredClaims) { c.ExpiresAt = jwt.NewNumericDate(now.Add(-time.Second)) }), key, 401, "'exp'"},
		{"clock ahead", with(func(c *jwt.RegisteredClaims) { c.IssuedAt = jwt.NewNumericDate(now.Add(time.Minute)) }), key, 401, "'iat'"},
		{"never issued", with(func(c *jwt.RegisteredClaims) { c.IssuedAt = nil }), key, 401, "'iat'"},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := must(jwt.NewWithClaims(jwt.SigningMethodRS256, test.claims).SignedString(test.key))(t)
			client := must(github.NewClient(nil).WithAuthToken(token).WithEnterpriseURLs(w.API, w.API))(t)
			_, res, err := client.Apps.Get(w.ctx, "")
			if res == nil || res.StatusCode != test.status || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Error(err)
			}
		})
	}
}

// TestInstallationTokens are scoped, end after an hour and with the installation.
func TestInstallationTokens(t *testing.T) {
	c := &clock{at: time.Now()}
	w := newWorld(t, func(o *githubtest.Options) { o.Now = c.now })
	must(w.AddRepo("acme/second", githubtest.RepoOptions{Private: true, Files: map[string]string{"a": "a"}}))(t)
	elsewhere := must(w.AddRepo("other/repo", githubtest.RepoOptions{Private: true}))(t)
	app := w.asApp(t)
	for _, test := range []struct {
		name   string
		o      github.InstallationTokenOptions
		status int
	}{
		{"one repository", github.InstallationTokenOptions{RepositoryIDs: []int64{w.repo.ID()}}, 201},
		{"by name", github.InstallationTokenOptions{Repositories: []string{"shop"}}, 201},
		{"not in the installation", github.InstallationTokenOptions{RepositoryIDs: []int64{elsewhere.ID()}}, 422},
		{"not there", github.InstallationTokenOptions{RepositoryIDs: []int64{1}}, 422},
		{"not granted", github.InstallationTokenOptions{Permissions: &github.InstallationPermissions{Contents: github.String("write")}}, 422},
		{"less", github.InstallationTokenOptions{Permissions: &github.InstallationPermissions{Checks: github.String("read")}}, 201},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, res, err := app.Apps.CreateInstallationToken(w.ctx, w.inst.ID, &test.o)
			if res == nil || res.StatusCode != test.status {
				t.Error(err)
			}
		})
	}

	status := func(client *github.Client, repo string) int {
		t.Helper()
		_, res, err := client.Repositories.Get(w.ctx, "acme", repo)
		if res == nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	one := w.asInstallation(t, &github.InstallationTokenOptions{RepositoryIDs: []int64{w.repo.ID()}, Permissions: &github.InstallationPermissions{Checks: github.String("write")}})
	if got := []int{status(one, "shop"), status(one, "second")}; !cmp.Equal(got, []int{200, 404}) {
		t.Errorf("repositories of a token: %v", got)
	}
	_, res, _ := one.Repositories.CreateStatus(w.ctx, "acme", "shop", w.repo.Head(""), &github.RepoStatus{State: github.String("success")})
	if res.StatusCode != http.StatusForbidden || res.Header.Get("X-Accepted-GitHub-Permissions") != "statuses=write" {
		t.Errorf("a status without the permission: %d %v", res.StatusCode, res.Header)
	}
	all := w.asInstallation(t, &github.InstallationTokenOptions{})
	if err := w.inst.RemoveRepository("acme/second"); err != nil {
		t.Fatal(err)
	}
	if got := status(all, "second"); got != 404 {
		t.Errorf("a repository that was taken away: %d", got)
	}
	w.inst.Suspend()
	if got := status(all, "shop"); got != 403 {
		t.Errorf("suspended: %d", got)
	}
	w.inst.Unsuspend()
	c.add(time.Hour)
	if got := status(all, "shop"); got != 401 {
		t.Errorf("after an hour: %d", got)
	}
	c.add(-time.Hour)
	w.inst.Uninstall()
	if got := status(all, "shop"); got != 401 {
		t.Errorf("uninstalled: %d", got)
	}
}
