package gitlab

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// finds fails unless the doctor finds what is wrong, and says what to do. A
// mend of "" is for what is well.
func (r *hookRig) finds(what, mend string) {
	r.t.Helper()
	list, _ := r.ActiveRepositories(r.t.Context(), time.Time{})
	if list == nil {
		list = []builder.Repository{}
	}
	var all strings.Builder
	for _, f := range r.forge.Doctor(r.t.Context(), list) {
		found := strings.NewReplacer(r.URL, "GITLAB", r.receiver.URL, "OURS").Replace(f.What)
		if strings.Contains(found, what) {
			if (mend == "") != (f.Mend == "") || !strings.Contains(f.Mend, mend) {
				r.t.Errorf("%s: to mend it %q, want %q", found, f.Mend, mend)
			}
			return
		}
		all.WriteString(found + "\n\t" + f.Mend + "\n")
	}
	r.t.Errorf("no finding %q:\n%s", what, all.String())
}

// isWell fails where there is something to mend.
func (r *hookRig) isWell() {
	r.t.Helper()
	list, _ := r.ActiveRepositories(r.t.Context(), time.Time{})
	for _, f := range r.forge.Doctor(r.t.Context(), list) {
		if f.Mend != "" {
			r.t.Errorf("%s\n\t%s", f.What, f.Mend)
		}
	}
}

func TestDoctorWell(t *testing.T) {
	r, _ := installed(t)
	r.isWell()
	r.finds("GitLab 18.5.0-ee at GITLAB knows us as @project_", "")
	r.finds("with the scopes api", "")
	r.finds("the clocks agree", "")
	r.finds("acme/shop tells of what happens by a webhook", "")
}

func TestDoctorOfGroups(t *testing.T) {
	r := newHookRig(t)
	r.addProject("acme/platform/api")
	web := r.addProject("acme/web")
	r.as(r.groupToken("acme", gitlabtest.Owner))
	r.install("acme")
	r.isWell()
	r.finds("2 of 2 projects are well", "")
	web.AddHook(gitlabtest.HookOptions{URL: r.receiver.URL + "/hooks/gitlab"})
	r.finds("acme/web has several webhooks to us", "gitlab install acme/web")
	r.install("acme/web")
	r.isWell()
	r.DisableHook(r.GroupHooks("acme")[0].ID, 40)
	r.finds("GitLab has switched the webhook of acme off (disabled)", "gitlab install acme")
}

func TestDoctorFinds(t *testing.T) {
	const again = "run: registry-build gitlab install acme/shop"
	for name, test := range map[string]struct {
		spoil      func(r *hookRig, shop *gitlabtest.Project)
		what, mend string
	}{
		"no webhook": {func(r *hookRig, shop *gitlabtest.Project) {
			r.remove(shop)
		}, "acme/shop has no webhook to OURS/hooks/gitlab", again},
		"one to where we were before": {func(r *hookRig, shop *gitlabtest.Project) {
			r.remove(shop)
			shop.AddHook(gitlabtest.HookOptions{URL: "https://old.example.com/hooks/gitlab"})
		}, "acme/shop has no webhook to OURS/hooks/gitlab, but one to https://old.example.com/hooks/gitlab", again},
		"one without comments": {func(r *hookRig, shop *gitlabtest.Project) {
			r.remove(shop)
			shop.AddHook(gitlabtest.HookOptions{URL: r.receiver.URL + "/hooks/gitlab", Events: []string{"push_events", "tag_push_events"}})
		}, "the webhook of acme/shop does not tell of merge request events, does not tell of comments", again},
		"one that is off": {func(r *hookRig, shop *gitlabtest.Project) {
			r.DisableHook(shop.Hooks()[0].ID, 4)
		}, "GitLab has switched the webhook of acme/shop off (temporarily disabled)", again},
		"deliveries that failed": {func(r *hookRig, shop *gitlabtest.Project) {
			r.LoseDeliveries(1)
			r.push(shop, "a")
			r.heard()
		}, "1 of the last 2 deliveries of acme/shop did not arrive; the newest: push at ", "asks for them again by itself"},
		"not a member any more": {func(r *hookRig, shop *gitlabtest.Project) {
			shop.SetMember(r.me(), gitlabtest.NoAccess)
		}, "acme/shop is gone, or @", "make it a member"},
		"too little of a role": {func(r *hookRig, shop *gitlabtest.Project) {
			shop.SetMember(r.me(), gitlabtest.Reporter)
		}, " is Reporter of acme/shop: it cannot tell commits how they fare", "give it the role Maintainer"},
		"a role that sees no webhooks": {func(r *hookRig, shop *gitlabtest.Project) {
			shop.SetMember(r.me(), gitlabtest.Developer)
		}, "whether acme/shop has a webhook cannot be seen with the role Developer", "the role Maintainer"},
		"a clock that is wrong": {func(r *hookRig, _ *gitlabtest.Project) {
			r.forge.Now = func() time.Time { return r.clock.now().Add(time.Hour) }
		}, "this machine's clock and GitLab's are 1h0m", "NTP"},
		"nothing is installed": {func(r *hookRig, _ *gitlabtest.Project) {
			r.known = nil
		}, "no project is installed", "registry-build gitlab install GROUP"},
		"GitLab is in trouble": {func(r *hookRig, _ *gitlabtest.Project) {
			r.FailNext("GET /user", 9, gitlabtest.Refused(http.StatusInternalServerError, "broken"))
		}, "GitLab at GITLAB answers 500", "try again"},
		"GitLab is away": {func(r *hookRig, _ *gitlabtest.Project) {
			r.as("glpat-x", func(g *config.GitLab) { g.URL = "http://127.0.0.1:1" })
		}, "GitLab cannot be reached at http://127.0.0.1:1", "correct url, ca or proxy"},
		"a token that is none": {func(r *hookRig, _ *gitlabtest.Project) {
			r.as("glpat-x")
		}, "the token of GITLAB is not known there", "make a new one with the scope api"},
	} {
		t.Run(name, func(t *testing.T) {
			r, shop := installed(t)
			test.spoil(r, shop)
			r.finds(test.what, test.mend)
		})
	}
}

func (r *hookRig) remove(p *gitlabtest.Project) {
	r.t.Helper()
	at := place{scopeProject, int(p.ID()), p.FullPath()}
	if err := r.forge.removeHook(r.t.Context(), at, int(p.Hooks()[0].ID)); err != nil {
		r.t.Fatal(err)
	}
}

// me is the token's user.
func (r *hookRig) me() string {
	r.t.Helper()
	a, err := r.forge.Check(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return a.Username
}

func TestDoctorOfTokenThatExpires(t *testing.T) {
	r := newHookRig(t)
	shop := r.addProject("acme/shop")
	r.as(shop.CreateToken(gitlabtest.TokenOptions{Expires: time.Now().AddDate(0, 0, 5)}).Value)
	r.install("acme/shop")
	r.finds("the token expires on "+time.Now().AddDate(0, 0, 5).UTC().Format(time.DateOnly), "make a new one before")
}

func TestDoctorPolled(t *testing.T) {
	r := newHookRig(t)
	shop := r.addProject("acme/shop")
	r.as(shop.CreateToken(gitlabtest.TokenOptions{Level: gitlabtest.Developer}).Value, func(g *config.GitLab) { g.Events = config.ByPoll })
	r.install("acme/shop")
	r.finds("is Developer of acme/shop, and its branch main is protected: commits there get no status", "give it the role Maintainer")
	shop.Protect("main", false)
	r.isWell()
	r.finds("events are asked for every 5m0s, because events: poll is in the server file", "")
	r.finds("acme/shop lets us in", "")
}

// Where Redis is away nothing is said of projects.
func TestDoctorWithoutProjects(t *testing.T) {
	r, _ := installed(t)
	for _, f := range r.forge.Doctor(t.Context(), nil) {
		if f.Mend != "" || strings.Contains(f.What, "project is") {
			t.Errorf("%+v", f)
		}
	}
}
