package github

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// doctorRig is an app as `registry-build github setup` makes it, installed in
// acme, with a server of ours that takes deliveries.
type doctorRig struct {
	*App
	t       *testing.T
	gh      *githubtest.Server
	app     *githubtest.App
	inst    *githubtest.Installation
	address string
	down    atomic.Bool // ours
}

func newDoctorRig(t *testing.T, change func(*githubtest.AppOptions)) *doctorRig {
	t.Helper()
	r := &doctorRig{t: t, gh: githubtest.New(t)}
	ours := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if r.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(ours.Close)
	r.address = ours.URL
	m := ourManifest(t).Manifest
	o := githubtest.AppOptions{HookURL: ours.URL + "/hooks/github", Permissions: m.DefaultPermissions, Events: m.DefaultEvents}
	if change != nil {
		change(&o)
	}
	var err error
	if r.app, err = r.gh.AddApp(o); err != nil {
		t.Fatal(err)
	}
	r.gh.AddOrg("acme")
	if r.inst, err = r.app.Install("acme"); err != nil {
		t.Fatal(err)
	}
	if err := r.gh.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.App = New(Options{Identities: identityOf{ID: r.app.ID, Key: r.app.PrivateKeyPEM}, Memory: forgetest.NewMemory(), Config: config.GitHub{API: r.gh.API, URL: r.gh.URL}})
	return r
}

// patch changes the webhook's settings at GitHub.
func (r *doctorRig) patch(settings map[string]string) {
	r.t.Helper()
	client, err := r.appClient(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	req, err := client.NewRequest(http.MethodPatch, "app/hook/config", settings)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := client.Do(r.t.Context(), req, nil); err != nil {
		r.t.Fatal(err)
	}
}

func (r *doctorRig) look() []forge.Finding {
	return r.Doctor(r.t.Context(), ourManifest(r.t), r.address)
}

func TestDoctorFindsNothing(t *testing.T) {
	r := newDoctorRig(t, nil)
	found := r.look()
	var said []string
	for _, f := range found {
		if f.Mend != "" {
			t.Errorf("%s: %s", f.What, f.Mend)
		}
		said = append(said, f.What)
	}
	want := []string{
		fmt.Sprintf("GitHub knows the app registry-build (%d) by its key", r.app.ID), "the clocks agree", "the app has the permissions that it needs",
		"the app hears of the events that it needs", "the webhook delivers to " + r.address + "/hooks/github", "", "acme lets the app in",
	}
	if len(said) != len(want) || !strings.HasPrefix(said[5], "the only delivery so far arrived, at 20") {
		t.Fatalf("%d findings: %q", len(said), said)
	}
	said[5] = ""
	if !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
}

func TestDoctor(t *testing.T) {
	without := func(all map[string]string, name string) map[string]string {
		rest := maps.Clone(all)
		delete(rest, name)
		return rest
	}
	for name, test := range map[string]struct {
		app        func(*githubtest.AppOptions) // as it is made at GitHub
		change     func(r *doctorRig)           // after it was installed
		what, mend string
		ends       bool // nothing else can be told
	}{
		"no app": {change: func(r *doctorRig) { r.Identities = identityOf{} },
			what: "there is no GitHub App", mend: "registry-build github setup", ends: true},
		"a key that is none": {change: func(r *doctorRig) { r.Identities = identityOf{ID: r.app.ID, Key: "-----BEGIN NONSENSE-----"} },
			what: "key cannot be used", mend: "private key of the GitHub App", ends: true},
		"another app's key": {change: func(r *doctorRig) { r.Identities = identityOf{ID: r.app.ID, Key: newKey(r.t)} },
			what: "GitHub does not know app", mend: "make a new private key at", ends: true},
		"an app that is gone": {change: func(r *doctorRig) { r.Identities = identityOf{ID: 424242, Key: r.app.PrivateKeyPEM} },
			what: "GitHub does not know app 424242", mend: "make a new private key at", ends: true},
		"no way to GitHub": {change: func(r *doctorRig) { r.Config.API = closedPort(r.t) + "/api/v3" },
			what: "GitHub cannot be reached at http://127.0.0.1:", mend: "correct forges.github.api", ends: true},
		"GitHub is down": {change: func(r *doctorRig) { r.gh.FailNext("GET /app", 9, githubtest.BadGateway()) },
			what: "GitHub does not tell about the app", mend: "try again", ends: true},
		"a clock that is fast": {change: func(r *doctorRig) { r.Now = func() time.Time { return time.Now().Add(10 * time.Minute) } },
			what: "this machine's clock is 10m", mend: "NTP", ends: true},
		"a clock that is slow": {change: func(r *doctorRig) { r.Now = func() time.Time { return time.Now().Add(-2 * time.Minute) } },
			what: "this machine's clock is ", mend: "NTP", ends: true},
		"a permission is missing": {app: func(o *githubtest.AppOptions) {
			o.Permissions = without(o.Permissions, "checks")
			o.Events = []string{"push"}
		},
			what: "the app lacks checks: write", mend: "/organizations/acme/settings/apps/registry-build/permissions"},
		"a permission is too small": {app: func(o *githubtest.AppOptions) {
			o.Permissions = maps.Clone(o.Permissions)
			o.Permissions["statuses"] = "read"
		}, what: "the app lacks statuses: write", mend: "grant it at"},
		"a permission that go-github does not know": {app: func(o *githubtest.AppOptions) {
			o.Permissions = without(o.Permissions, "merge_queues")
			o.Events = []string{"push"}
		}, what: "the app lacks merge_queues: read", mend: "grant it at"},
		"an event is missing": {app: func(o *githubtest.AppOptions) {
			o.Events = slices.DeleteFunc(slices.Clone(o.Events), func(e string) bool { return e == "push" || e == "check_suite" })
		}, what: "the app does not hear of push, check_suite", mend: "subscribe to it at"},
		"a person's app": {app: func(o *githubtest.AppOptions) { o.Owner = "octocat"; o.Events = []string{"push"} },
			what: "does not hear of", mend: "/settings/apps/registry-build/permissions"},
		"deliveries go elsewhere": {change: func(r *doctorRig) { r.app.SetHook("https://old.example.com/hooks/github", "secret") },
			what: `the webhook delivers to "https://old.example.com/hooks/github"`, mend: "let it deliver to http://127.0.0.1:"},
		"deliveries go nowhere": {app: func(o *githubtest.AppOptions) { o.HookURL = "" },
			what: `the webhook delivers to ""`, mend: "/organizations/acme/settings/apps/registry-build"},
		"forms": {change: func(r *doctorRig) { r.HTTP = rewriting{`"json"`, `"form"`} },
			what: "the webhook delivers forms", mend: "application/json"},
		"a certificate that nobody checks": {app: func(o *githubtest.AppOptions) { o.HookURL = "" },
			change: func(r *doctorRig) {
				r.address = "https://builds.example.com"
				r.patch(map[string]string{"url": r.address + "/hooks/github", "insecure_ssl": "1"})
			}, what: "the webhook does not check our certificate", mend: "enable SSL verification"},
		"the same, as a number": {app: func(o *githubtest.AppOptions) { o.HookURL = "" },
			change: func(r *doctorRig) {
				r.address = "https://builds.example.com"
				r.patch(map[string]string{"url": r.address + "/hooks/github"})
				r.App = New(Options{Identities: r.Identities, Memory: r.Memory, Config: r.Config, HTTP: rewriting{`"insecure_ssl":"0"`, `"insecure_ssl":1`}})
			}, what: "the webhook does not check our certificate", mend: "enable SSL verification"},
		"settings that cannot be read": {change: func(r *doctorRig) { r.gh.FailNext("GET /app/hook/config", 9, githubtest.BadGateway()) },
			what: "the webhook's settings cannot be read", mend: "look at them at"},
		"lost deliveries": {change: func(r *doctorRig) {
			r.down.Store(true)
			r.inst.Suspend()
			r.inst.Unsuspend()
			if err := r.gh.Settle(r.t.Context()); err != nil {
				r.t.Fatal(err)
			}
		}, what: "2 of the last 3 deliveries did not arrive; the newest: installation at 20", mend: "the server asks for them again"},
		"deliveries that cannot be read": {change: func(r *doctorRig) { r.gh.FailNext("GET /app/hook/deliveries", 9, githubtest.BadGateway()) },
			what: "the webhook's deliveries cannot be read", mend: "look at them at"},
		"installed nowhere": {change: func(r *doctorRig) { r.inst.Uninstall() },
			what: "the app is installed nowhere", mend: "/apps/registry-build/installations/new"},
		"suspended": {change: func(r *doctorRig) { r.inst.Suspend() },
			what: "acme has suspended the installation", mend: "/organizations/acme/settings/installations/"},
		"permissions that nobody has accepted yet": {change: func(r *doctorRig) {
			r.inst.SetPermissions(without(without(r.app.Permissions, "issues"), "merge_queues"))
		}, what: "at acme the app lacks issues: write, merge_queues: read", mend: "an owner accepts the new permissions at"},
		"deployments were switched on": {change: func(r *doctorRig) { r.Config.Deployments = true },
			what: "the app lacks deployments: write", mend: "grant it at"},
		"installations that cannot be read": {change: func(r *doctorRig) { r.gh.FailNext("GET /app/installations", 9, githubtest.BadGateway()) },
			what: "the installations cannot be read", mend: "try again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newDoctorRig(t, test.app)
			if test.change != nil {
				test.change(r)
			}
			found := r.look()
			i := slices.IndexFunc(found, func(f forge.Finding) bool { return strings.Contains(f.What, test.what) })
			if i < 0 {
				t.Fatalf("no finding %q: %+v", test.what, found)
			}
			if !strings.Contains(found[i].Mend, test.mend) {
				t.Errorf("mend: %q; want %q in it", found[i].Mend, test.mend)
			}
			if test.ends != (len(found) == 1) {
				t.Errorf("%d findings: %+v", len(found), found)
			}
		})
	}
}

// Deliveries that arrived at a second attempt, and the ping of a new app,
// which comes before anybody knows its secret, are no trouble.
func TestDoctorForgivesDeliveries(t *testing.T) {
	r := newDoctorRig(t, nil)
	r.down.Store(true)
	r.inst.Suspend()
	if err := r.gh.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.down.Store(false)
	client := must(r.appClient(t.Context()))
	list, _, err := client.Apps.ListHookDeliveries(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := client.Apps.RedeliverHookDelivery(t.Context(), list[0].GetID()); err != nil && !strings.Contains(err.Error(), "job scheduled") {
		t.Fatal(err)
	}
	if err := r.gh.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.down.Store(true)
	if err := r.gh.Deliver(r.app, nil, nil, "ping", map[string]any{"zen": "x"}); err != nil {
		t.Fatal(err)
	}
	if err := r.gh.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.look() {
		if strings.Contains(f.What, "did not arrive") {
			t.Errorf("%+v", f)
		}
	}
}

// rewriting changes what GitHub answers.
type rewriting struct{ old, new string }

func (w rewriting) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(strings.NewReader(strings.ReplaceAll(string(body), w.old, w.new)))
	resp.ContentLength = -1
	return resp, err
}

// closedPort is an address at which nobody answers.
func closedPort(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(nil)
	s.Close()
	return s.URL
}
