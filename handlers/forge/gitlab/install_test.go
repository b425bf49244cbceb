package gitlab

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

func hookURLs(list []gitlabtest.HookState) (urls []string) {
	for _, h := range list {
		urls = append(urls, h.URL)
	}
	return urls
}

func TestInstallProject(t *testing.T) {
	r := newHookRig(t)
	shop := r.addProject("acme/platform/shop")
	shop.AddHook(gitlabtest.HookOptions{URL: "http://127.0.0.1:1/hook"})
	r.as(shop.CreateToken(gitlabtest.TokenOptions{Level: gitlabtest.Maintainer}).Value)

	said, changed := r.install("acme/platform/shop")
	if said != "acme/platform/shop: webhook made and tried.\n" || !changed {
		t.Errorf("said %q, changed %v", said, changed)
	}
	hooks := shop.Hooks()
	if len(hooks) != 2 {
		t.Fatalf("webhooks %q", hookURLs(hooks))
	}
	ours := hooks[1]
	want := hookToken("the secret of our webhooks", "gitlab", scope{Kind: scopeProject, ID: int(shop.ID())})
	if ours.Token != want || ours.URL != r.receiver.URL+"/hooks/gitlab" || ours.VerifyTLS || ours.Name != "registry-build" {
		t.Errorf("webhook %+v, want the token %s", ours, want)
	}
	if diff := cmp.Diff([]string{"merge_requests_events", "note_events", "push_events", "tag_push_events"}, ours.Events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	events, tried := r.heard()
	if len(events) != 0 || tried != 1 {
		t.Errorf("the trial made the events %v, and %d deliveries that start nothing", events, tried)
	}
	if len(r.appended) != 1 || r.appended[0].Kind != builder.Installation || r.appended[0].Repository != shopOf(r, shop) || r.appended[0].Withdrawn {
		t.Fatalf("told the server %+v", r.appended)
	}

	// A push is heard by the very webhook.
	head := r.push(shop, "README.md")
	if events, _ := r.heard(); len(events) != 1 || events[0].Kind != builder.BranchPushed || events[0].Commit != head {
		t.Errorf("events %+v", events)
	}

	// Twice is once.
	said, changed = r.install("acme/platform/shop")
	if said != "acme/platform/shop is installed already; nothing changed.\n" || changed || len(r.appended) != 1 || len(r.Requests("POST /projects/*/hooks/*/test/*")) != 1 {
		t.Errorf("said %q, changed %v, told the server %d times", said, changed, len(r.appended))
	}
	if diff := cmp.Diff(ours, shop.Hooks()[1]); diff != "" {
		t.Errorf("webhook (-before +after):\n%s", diff)
	}

	// What is not ours stays.
	if said := r.uninstall("acme/platform/shop"); said != "1 webhook of acme/platform/shop removed. 1 project is known no more, and what was being built of it is cancelled.\n" {
		t.Errorf("said %q", said)
	}
	if diff := cmp.Diff([]string{"http://127.0.0.1:1/hook"}, hookURLs(shop.Hooks())); diff != "" {
		t.Error(diff)
	}
	if last := r.appended[len(r.appended)-1]; !last.Withdrawn || last.Repository.Key() != "gitlab:"+shopOf(r, shop).ID || len(r.names()) != 0 {
		t.Errorf("told the server %+v", last)
	}
	if said := r.uninstall("acme/platform/shop"); said != "acme/platform/shop is not installed; nothing changed.\n" {
		t.Errorf("said %q", said)
	}

	// And once more from the beginning: it is another installation.
	r.install("acme/platform/shop")
	if diff := cmp.Diff([]string{"acme/platform/shop"}, r.names()); diff != "" {
		t.Error(diff)
	}
}

func shopOf(r *hookRig, p *gitlabtest.Project) builder.Repository {
	r.t.Helper()
	repo, err := r.forge.Find(r.t.Context(), p.FullPath())
	if err != nil {
		r.t.Fatal(err)
	}
	return repo
}

func TestInstallMends(t *testing.T) {
	r := newHookRig(t)
	shop := r.addProject("acme/shop")
	r.as(shop.CreateToken(gitlabtest.TokenOptions{}).Value)
	r.install("acme/shop")
	url := r.receiver.URL + "/hooks/gitlab"

	t.Run("a webhook that was changed", func(t *testing.T) {
		shop.AddHook(gitlabtest.HookOptions{URL: url, Token: "somebody's"}) // a second one, too
		if err := r.forge.call(t.Context(), http.MethodPut, "projects/"+shopOf(r, shop).ID+"/hooks/"+idOf(shop.Hooks()[0]),
			map[string]any{"url": url, "token": "typed", "note_events": false, "push_events_branch_filter": "main"}, nil); err != nil {
			t.Fatal(err)
		}
		said, _ := r.install("acme/shop")
		if said != `acme/shop: the webhook was mended (it does not tell of comments, tells only of branches like "main").`+"\n" {
			t.Errorf("said %q", said)
		}
		hooks := shop.Hooks()
		if len(hooks) != 1 || hooks[0].Token == "typed" || hooks[0].BranchFilter != "" || len(hooks[0].Events) != 4 {
			t.Errorf("webhooks %+v", hooks)
		}
	})
	t.Run("a webhook that GitLab switched off", func(t *testing.T) {
		for _, failures := range []int{4, 40} {
			r.DisableHook(shop.Hooks()[0].ID, failures)
			said, _ := r.install("acme/shop")
			if said != "acme/shop: the webhook, which GitLab had switched off, was tried and is on again.\n" {
				t.Errorf("said %q", said)
			}
			if h := shop.Hooks()[0]; h.AlertStatus != "executable" || strings.HasPrefix(h.Token, probePrefix) {
				t.Errorf("webhook %+v", h)
			}
		}
	})
	t.Run("one that stays off", func(t *testing.T) {
		r.DisableHook(shop.Hooks()[0].ID, 40)
		r.answers(http.StatusBadGateway)
		defer r.answers(0)
		_, err := r.installer().Install(t.Context(), "acme/shop")
		const want = "GitLab has switched the webhook of acme/shop off: GitLab delivered to URL and was answered 502 Bad Gateway: the proxy is asleep; see whether the address (url: in the server file) leads to this server, through the proxy that stands in front of it"
		if err == nil || strings.ReplaceAll(err.Error(), url, "URL") != want {
			t.Errorf("error %v", err)
		}
		if h := shop.Hooks()[0]; strings.HasPrefix(h.Token, probePrefix) {
			t.Errorf("the webhook was left with the token of the trial")
		}
	})
	t.Run("a server that has forgotten all", func(t *testing.T) {
		r.install("acme/shop")
		r.appended, r.known = nil, map[string]builder.Repository{}
		said, changed := r.install("acme/shop")
		if said != "acme/shop: the webhook was there, and the project is known now.\n" || !changed {
			t.Errorf("said %q", said)
		}
	})
}

func TestInstallUndelivered(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(r *hookRig)
		want    string
	}{
		"nobody answers": {func(r *hookRig) { r.LoseDeliveries(1) },
			"GitLab could not deliver to URL: Failed to open TCP connection (Connection refused) (the webhook was removed again); let GitLab reach the address: name, firewall, proxy; or let us ask instead: events: poll in the server file"},
		"a proxy answers": {func(r *hookRig) { r.answers(http.StatusServiceUnavailable) },
			"GitLab delivered to URL and was answered 503 Service Unavailable: the proxy is asleep (the webhook was removed again); see whether the address (url: in the server file) leads to this server, through the proxy that stands in front of it"},
		"the server was started without this GitLab": {func(r *hookRig) {
			r.FailNext("POST /projects/*/hooks/*/test/*", 1, gitlabtest.Refused(http.StatusUnprocessableEntity, map[string]any{"message": `{"error":"no forge \"gitlab\" is configured here"}`}))
		}, `GitLab could not deliver to URL: {"error":"no forge \"gitlab\" is configured here"} (the webhook was removed again); start the server again: it was started with a server file that does not name this GitLab server`},
		"somebody asks for a login": {func(r *hookRig) { r.answers(http.StatusForbidden) },
			"GitLab delivered to URL and was answered 403 Forbidden: the proxy is asleep (the webhook was removed again); see whether the address leads to this server and not to another registry-build, and what stands in front of it: nothing there may ask for a login"},
		"GitLab keeps to its network": {func(r *hookRig) {
			r.FailNext("POST /projects/*/hooks", 1, gitlabtest.Refused(http.StatusUnprocessableEntity, map[string]any{"error": "Invalid url given"}))
		}, "GitLab takes no webhook to URL: Invalid url given; an administrator of GitLab allows it under Admin > Settings > Network > Outbound requests (the address of registry-build in the list of allowed ones); or let us ask instead: events: poll in the server file"},
		"GitLab does not trust us": {func(r *hookRig) {
			r.FailNext("POST /projects/*/hooks/*/test/*", 1, gitlabtest.Refused(http.StatusUnprocessableEntity, map[string]any{"message": "SSL_connect returned=1 errno=0 state=error: certificate verify failed (self-signed certificate)"}))
		}, "GitLab could not deliver to URL: SSL_connect returned=1 errno=0 state=error: certificate verify failed (self-signed certificate) (the webhook was removed again); GitLab does not trust our certificate: take one of a public authority, or have GitLab's administrator add yours to its trusted ones; or let us ask instead: events: poll in the server file"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newHookRig(t)
			shop := r.addProject("acme/shop")
			r.as(shop.CreateToken(gitlabtest.TokenOptions{}).Value)
			test.prepare(r)
			changed, err := r.installer().Install(t.Context(), "acme/shop")
			if err == nil || changed || strings.ReplaceAll(err.Error(), r.receiver.URL+"/hooks/gitlab", "URL") != test.want {
				t.Errorf("error %v\nwant  %s", err, test.want)
			}
			if len(shop.Hooks()) != 0 || len(r.appended) != 0 {
				t.Errorf("webhooks %q, told %v", hookURLs(shop.Hooks()), r.appended)
			}
		})
	}
}

// What GitLab cannot try is made all the same, and that is said.
func TestInstallUntried(t *testing.T) {
	for name, test := range map[string]struct {
		failure gitlabtest.Failure
		want    string
	}{
		"an empty project": {gitlabtest.Refused(http.StatusUnprocessableEntity, map[string]any{"message": "Ensure the project has at least one commit."}),
			"acme/shop: webhook made, and not tried: GitLab has nothing to try it with: the project has at least one commit first.\n"},
		"an old server": {gitlabtest.Refused(http.StatusNotFound, map[string]any{"error": "404 Not Found"}), "acme/shop: webhook made, and not tried: GitLab before 16.11 makes no test deliveries by its API.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newHookRig(t)
			shop := r.addProject("acme/shop")
			r.as(shop.CreateToken(gitlabtest.TokenOptions{}).Value)
			r.FailNext("POST /projects/*/hooks/*/test/*", 1, test.failure)
			said, _ := r.install("acme/shop")
			if said != test.want {
				t.Errorf("said %q\nwant %q", said, test.want)
			}
			if h := shop.Hooks(); len(h) != 1 || strings.HasPrefix(h[0].Token, probePrefix) {
				t.Errorf("webhooks %+v", h)
			}
		})
	}
}

// A short limit is waited for, and one that stays leaves the webhook untried.
func TestInstallWithinTheLimit(t *testing.T) {
	const waiting = "  (GitLab takes no more calls for now; going on in 2s)\n"
	for name, test := range map[string]struct {
		refusals int
		want     string
	}{
		"a short one":    {1, "acme/shop: webhook made and tried.\n"},
		"one that stays": {2, waiting + "acme/shop: webhook made, and not tried: GitLab allows no more trials for now.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newHookRig(t)
			shop := r.addProject("acme/shop")
			r.as(shop.CreateToken(gitlabtest.TokenOptions{}).Value)
			r.FailNext("POST /projects/*/hooks/*/test/*", test.refusals, gitlabtest.TooManyRequests(2*time.Second))
			said, _ := r.install("acme/shop")
			if said != waiting+test.want {
				t.Errorf("said %q", said)
			}
			if h := shop.Hooks(); len(h) != 1 || strings.HasPrefix(h[0].Token, probePrefix) {
				t.Errorf("webhooks %+v", h)
			}
		})
	}
}

func TestInstallGroup(t *testing.T) {
	r := newHookRig(t)
	api, web := r.addProject("acme/platform/api"), r.addProject("acme/web")
	r.addProject("other/web")
	r.as(r.groupToken("acme", gitlabtest.Owner))
	r.install("acme/web") // it had its own before
	if _, err := r.AddGroupHook("acme/platform", gitlabtest.HookOptions{URL: r.receiver.URL + "/hooks/gitlab"}); err != nil {
		t.Fatal(err)
	}

	said, _ := r.install("acme")
	const want = `group acme: webhook made and tried.
2 webhooks of projects and groups below removed: they would tell everything twice.
1 project of acme known now. Those that come later are known by their first push.
`
	if said != want {
		t.Errorf("said %s", said)
	}
	if len(web.Hooks()) != 0 || len(r.GroupHooks("acme/platform")) != 0 || len(r.GroupHooks("acme")) != 1 {
		t.Errorf("webhooks %q, %q, %q", hookURLs(web.Hooks()), hookURLs(r.GroupHooks("acme/platform")), hookURLs(r.GroupHooks("acme")))
	}
	if diff := cmp.Diff([]string{"acme/platform/api", "acme/web"}, r.names()); diff != "" {
		t.Error(diff)
	}
	r.push(api, "README.md")
	if events, _ := r.heard(); len(events) != 1 || events[0].Repository.FullName() != "acme/platform/api" {
		t.Errorf("events %+v", events)
	}
	if said, changed := r.install("acme"); changed || said != "acme is installed already, with 2 projects; nothing changed.\n" {
		t.Errorf("said %q", said)
	}
	for _, below := range []string{"acme/web", "acme/platform"} {
		said, changed := r.install(below)
		if changed || said != below+" needs no webhook of its own: that of the group acme tells of it.\n" {
			t.Errorf("said %q", said)
		}
	}
	if said := r.uninstall("acme/web"); !strings.HasPrefix(said, "The webhook of the group acme tells of acme/web, too, so it stays installed; ") || len(r.names()) != 2 {
		t.Errorf("said %q", said)
	}
	if said := r.uninstall("acme"); said != "1 webhook of acme removed. 2 projects are known no more, and what was being built of them is cancelled.\n" || len(r.names()) != 0 {
		t.Errorf("said %q, %q are known", said, r.names())
	}
}

func (r *hookRig) groupToken(path string, level gitlabtest.Level) string {
	r.t.Helper()
	token, err := r.GroupToken(path, gitlabtest.TokenOptions{Level: level})
	if err != nil {
		r.t.Fatal(err)
	}
	return token.Value
}

// Where GitLab has no webhooks of groups, or they are not ours to make, each
// project gets one.
func TestInstallGroupOneByOne(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*gitlabtest.Options)
		level  gitlabtest.Level
		why    string
	}{
		"without a licence": {func(o *gitlabtest.Options) { o.Free = true }, gitlabtest.Owner, "has no webhooks of groups (they come with Premium)"},
		"Community Edition": {func(o *gitlabtest.Options) { o.Version = "17.5.0-ce" }, gitlabtest.Maintainer, "is Maintainer of acme, and webhooks of groups are their owners'"},
		"not the owner":     {func(*gitlabtest.Options) {}, gitlabtest.Maintainer, "is Maintainer of acme, and webhooks of groups are their owners'"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newHookRig(t, test.change)
			api, web := r.addProject("acme/platform/api"), r.addProject("acme/web")
			r.as(r.groupToken("acme", test.level))
			said, _ := r.install("acme")
			const each = `, so each of the 2 projects gets its own:
  1/2 acme/platform/api: webhook made and tried
  2/2 acme/web: webhook made and tried
Projects that come later are not known: run this again for them.
`
			if !strings.HasSuffix(said, test.why+each) {
				t.Errorf("said %s", said)
			}
			if len(api.Hooks()) != 1 || len(web.Hooks()) != 1 || len(r.names()) != 2 {
				t.Errorf("webhooks %d and %d; known %q", len(api.Hooks()), len(web.Hooks()), r.names())
			}
			r.addProject("acme/new")
			said, _ = r.install("acme")
			if !strings.Contains(said, "  3/3 acme/new: webhook made and tried\n") || strings.Contains(said, "acme/web:") {
				t.Errorf("said %s", said)
			}
			said, changed := r.install("acme")
			if changed || !strings.Contains(said, "all of them are installed already; nothing changed") {
				t.Errorf("said %s", said)
			}
			r.uninstall("acme")
			if len(api.Hooks()) != 0 || len(web.Hooks()) != 0 || len(r.names()) != 0 {
				t.Errorf("webhooks %d and %d; known %q", len(api.Hooks()), len(web.Hooks()), r.names())
			}
		})
	}
}

func TestInstallRefused(t *testing.T) {
	for name, test := range map[string]struct {
		name string
		as   func(r *hookRig, shop *gitlabtest.Project) string
		more func(*config.GitLab)
		want string
	}{
		"only a developer": {"acme/shop", func(_ *hookRig, p *gitlabtest.Project) string {
			return p.CreateToken(gitlabtest.TokenOptions{Level: gitlabtest.Developer}).Value
		}, nil, " is Developer of acme/shop and needs the role Maintainer to make webhooks; give it that at URL/acme/shop/-/project_members, or put another's token into the server file"},
		"only a developer of the group": {"acme", func(r *hookRig, _ *gitlabtest.Project) string {
			return r.groupToken("acme", gitlabtest.Developer)
		}, nil, " is Developer of acme and needs the role Owner (Maintainer is enough where GitLab has no webhooks of groups) to make webhooks; give it that at URL/groups/acme/-/group_members"},
		"nothing of that name": {"acme/shoop", func(_ *hookRig, p *gitlabtest.Project) string {
			return p.CreateToken(gitlabtest.TokenOptions{}).Value
		}, nil, "there is no project or group acme/shoop at URL that @"},
		"no path": {"acme shop!", func(_ *hookRig, p *gitlabtest.Project) string {
			return p.CreateToken(gitlabtest.TokenOptions{}).Value
		}, nil, "there is no project or group acme shop! at URL that @"},
		"a token that may only read": {"acme/shop", func(_ *hookRig, p *gitlabtest.Project) string {
			return p.CreateToken(gitlabtest.TokenOptions{Scopes: []string{"read_api"}}).Value
		}, nil, "the token of URL has read_api; it needs api; make a token with the scope api"},
		"asked, and only a guest": {"acme/shop", func(_ *hookRig, p *gitlabtest.Project) string {
			return p.CreateToken(gitlabtest.TokenOptions{Level: gitlabtest.Reporter}).Value
		}, func(g *config.GitLab) { g.Events = config.ByPoll }, " is Reporter of acme/shop and needs the role Developer"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newHookRig(t)
			shop := r.addProject("acme/shop")
			if test.more == nil {
				test.more = func(*config.GitLab) {}
			}
			r.as(test.as(r, shop), test.more)
			changed, err := r.installer().Install(t.Context(), test.name)
			if err == nil || changed || !strings.Contains(strings.ReplaceAll(err.Error(), r.URL, "URL"), test.want) {
				t.Errorf("error %v\nwant  %s", err, test.want)
			}
			if len(shop.Hooks()) != 0 || len(r.appended) != 0 {
				t.Errorf("webhooks %q, told %v", hookURLs(shop.Hooks()), r.appended)
			}
		})
	}
}

// Where we ask for events a project has to be known, and no webhook is made.
func TestInstallPolled(t *testing.T) {
	r := newHookRig(t)
	shop := r.addProject("acme/shop")
	r.addProject("acme/platform/api")
	r.as(r.groupToken("acme", gitlabtest.Developer), func(g *config.GitLab) { g.Events = config.ByPoll })
	if said, _ := r.install("acme/shop"); said != "1 project of acme/shop known now; no webhook is made, because events: poll has us ask for what happens.\n" {
		t.Errorf("said %q", said)
	}
	if said, _ := r.install("acme"); said != "1 project of acme known now; no webhook is made, because events: poll has us ask for what happens.\nProjects that come later are not known: run this again for them.\n" {
		t.Errorf("said %q", said)
	}
	if said, changed := r.install("acme"); changed || said != "acme is known already; nothing changed.\n" {
		t.Errorf("said %q", said)
	}
	// Straight after uninstalling, when the server has not got round to it.
	known := shopOf(r, shop)
	r.uninstall("acme/shop")
	r.mu.Lock()
	r.known[known.Key()] = known
	r.mu.Unlock()
	r.install("acme/shop")
	if last := r.appended[len(r.appended)-1]; last.Withdrawn || last.Repository.Key() != known.Key() {
		t.Errorf("the server heard last that %s is out", last.Repository.FullName())
	}
	if len(shop.Hooks())+len(r.GroupHooks("acme")) != 0 || len(r.names()) != 2 {
		t.Errorf("webhooks %d, known %q", len(shop.Hooks()), r.names())
	}
	r.uninstall("acme")
	if len(r.names()) != 0 {
		t.Errorf("known %q", r.names())
	}
}

// A limit between the trial and the real token leaves a webhook that tells
// nothing; it is noted, and mended later.
func TestInstallInterrupted(t *testing.T) {
	r := newHookRig(t)
	shop := r.addProject("acme/shop")
	r.as(shop.CreateToken(gitlabtest.TokenOptions{}).Value)
	// The trial's token is put, then nothing more is taken.
	r.FailNext("POST /projects/*/hooks/*/test/*", 1, gitlabtest.Dropped())
	_, err := r.installer().Install(t.Context(), "acme/shop")
	if err == nil || errors.As(err, new(*undelivered)) {
		t.Fatalf("error %v", err)
	}
	if h := shop.Hooks(); len(h) != 1 || strings.HasPrefix(h[0].Token, probePrefix) {
		t.Errorf("webhooks %+v", h)
	}
}

func TestReachable(t *testing.T) {
	for name, test := range map[string]struct {
		ours, theirs string
		reach        bool
	}{
		"both public":                         {"https://builds.example.com", "https://gitlab.com", true},
		"both on one machine":                 {"http://127.0.0.1:5080", "http://localhost:8080", true},
		"ours on this machine":                {"http://127.0.0.1:5080", "https://git.acme.internal", false},
		"ours by a name of this machine":      {"http://localhost:5080", "https://gitlab.com", false},
		"ours in the network, theirs too":     {"http://10.0.0.5:5080", "https://git.acme.internal", true},
		"ours in the network, and gitlab.com": {"http://10.0.0.5:5080", "https://gitlab.com", false},
		"a short name, and gitlab.com":        {"http://builds:5080", "https://gitlab.com", false},
		"no address":                          {"", "https://gitlab.com", false},
	} {
		t.Run(name, func(t *testing.T) {
			address := test.ours
			if address != "" {
				address += "/hooks/gitlab"
			}
			f := &Forge{Options: Options{Config: config.GitLab{URL: test.theirs}, HookURL: func() string { return address }}}
			why := f.Reachable()
			if (why == "") != test.reach || why != "" && !strings.Contains(why, "url: https://") {
				t.Errorf("%q", why)
			}
		})
	}
}
