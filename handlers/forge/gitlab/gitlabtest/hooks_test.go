package gitlabtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

func (w *world) push(t *testing.T, branch string) string {
	t.Helper()
	sha := must(w.project.Push(gitlabtest.Push{User: "alice", Branch: branch, Files: map[string]string{"n": fmt.Sprint(len(w.Deliveries()))}}))(t)
	w.settle(t)
	return sha
}

// TestHookAPI makes, reads, changes and removes webhooks as a maintainer.
func TestHookAPI(t *testing.T) {
	w := newWorld(t)
	alice := w.as(t, w.AddUser("alice")).Projects
	id := w.project.ID()
	hook, _, err := alice.AddProjectHook(id, &gitlab.AddProjectHookOptions{
		URL: gitlab.Ptr(w.hooks.URL), Token: gitlab.Ptr(secret), PushEvents: gitlab.Ptr(true), TagPushEvents: gitlab.Ptr(true),
		MergeRequestsEvents: gitlab.Ptr(true), NoteEvents: gitlab.Ptr(true), EnableSSLVerification: gitlab.Ptr(false), PushEventsBranchFilter: gitlab.Ptr("release/*"),
		Name: gitlab.Ptr("registry-build"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if hook.URL != w.hooks.URL || hook.AlertStatus != "executable" || hook.Name != "registry-build" || hook.EnableSSLVerification || !hook.NoteEvents || hook.ProjectID != id {
		t.Errorf("%+v", hook)
	}
	w.push(t, "main")
	w.push(t, "release/1/2")
	if events, _ := w.hooks.take(); len(events) != 1 {
		t.Errorf("the filter let through %d", len(events))
	}
	got, _, err := alice.EditProjectHook(id, hook.ID, &gitlab.EditProjectHookOptions{URL: gitlab.Ptr(w.hooks.URL), PushEventsBranchFilter: gitlab.Ptr("")})
	if err != nil || !got.NoteEvents || w.project.Hooks()[0].Token != secret {
		t.Errorf("%+v %v", w.project.Hooks(), err)
	}
	if _, _, err = alice.EditProjectHook(id, hook.ID, &gitlab.EditProjectHookOptions{URL: gitlab.Ptr(w.hooks.URL + "/other")}); err != nil || w.project.Hooks()[0].Token != "" {
		t.Errorf("another url kept the token: %v", err)
	}
	if _, res, _ := alice.AddProjectHook(id, &gitlab.AddProjectHookOptions{URL: gitlab.Ptr("ftp://x")}); status(res) != 422 {
		t.Errorf("an ftp address: %d", status(res))
	}
	w.project.SetMember("dev", gitlabtest.Developer)
	for _, test := range []struct {
		name, token string
		want        int
	}{
		{"developer", w.AddUser("dev"), 403},
		{"stranger", w.AddUser("stranger"), 404},
		{"read_api", w.project.CreateToken(gitlabtest.TokenOptions{Scopes: []string{"read_api"}}).Value, 403},
		{"nobody", "", 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, res, _ := w.as(t, test.token).Projects.AddProjectHook(id, &gitlab.AddProjectHookOptions{URL: gitlab.Ptr(w.hooks.URL)}); status(res) != test.want {
				t.Errorf("answered %d, not %d", status(res), test.want)
			}
		})
	}
	if _, err := alice.DeleteProjectHook(id, hook.ID); err != nil || len(w.project.Hooks()) != 0 {
		t.Errorf("%+v %v", w.project.Hooks(), err)
	}
	if _, res, _ := alice.GetProjectHook(id, hook.ID); status(res) != 404 {
		t.Errorf("a deleted webhook answers %d", status(res))
	}
}

// TestGroupHooks hear of all projects below, where the edition has them.
func TestGroupHooks(t *testing.T) {
	add := func(t *testing.T, w *world, username string) (*gitlab.GroupHook, *gitlab.Response, error) {
		must(0, w.SetGroupMember("acme", "owner", gitlabtest.Owner))(t)
		must(0, w.SetGroupMember("acme", "maintainer", gitlabtest.Maintainer))(t)
		return w.as(t, w.AddUser(username)).Groups.AddGroupHook("acme", &gitlab.AddGroupHookOptions{URL: gitlab.Ptr(w.hooks.URL), Token: gitlab.Ptr(secret)})
	}
	t.Run("owner", func(t *testing.T) {
		w := newWorld(t)
		hook, _, err := add(t, w, "owner")
		if err != nil || hook.GroupID == 0 {
			t.Fatalf("%+v %v", hook, err)
		}
		w.push(t, "main")
		if events, _ := w.hooks.take(); len(events) != 1 {
			t.Errorf("%d came", len(events))
		}
		res, err := w.as(t, w.AddUser("owner")).Groups.TriggerTestGroupHook("acme", hook.ID, gitlab.GroupHookTriggerPush)
		if err != nil || status(res) != 201 {
			t.Errorf("test: %d %v", status(res), err)
		}
	})
	for _, test := range []struct {
		name, username string
		change         func(*gitlabtest.Options)
		want           int
	}{
		{"maintainer", "maintainer", func(*gitlabtest.Options) {}, 403},
		{"without a licence", "owner", func(o *gitlabtest.Options) { o.Free = true }, 403},
		{"community edition", "owner", func(o *gitlabtest.Options) { o.Version = "18.5.0-ce" }, 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, res, _ := add(t, newWorld(t, test.change), test.username); status(res) != test.want {
				t.Errorf("answered %d, not %d", status(res), test.want)
			}
		})
	}
}

// TestDisabling is the rule by which webhooks that fail are switched off.
func TestDisabling(t *testing.T) {
	w := newWorld(t)
	id := w.project.AddHook(gitlabtest.HookOptions{URL: w.hooks.URL, Token: secret})
	state := func() gitlabtest.HookState { return w.project.Hooks()[0] }
	w.hooks.answer(http.StatusInternalServerError)
	for n := range 3 {
		w.push(t, "main")
		if s := state(); s.AlertStatus != "executable" || s.Failures != n+1 {
			t.Fatalf("after %d: %+v", n+1, s)
		}
	}
	for i, wait := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		w.push(t, "main")
		if s := state(); s.AlertStatus != "temporarily_disabled" || s.DisabledUntil.Sub(w.clock.now()) != wait {
			t.Fatalf("failure %d: %+v, off for %v", i+4, s, s.DisabledUntil.Sub(w.clock.now()))
		}
		before := len(w.Deliveries())
		w.push(t, "main")
		if got := len(w.Deliveries()) - before; got != 0 {
			t.Fatalf("%d were delivered to a webhook that is off", got)
		}
		w.clock.add(wait + time.Second)
	}
	if s := state(); s.AlertStatus != "executable" {
		t.Errorf("after the wait: %+v", s)
	}
	w.hooks.answer(http.StatusOK)
	w.push(t, "main")
	if s := state(); s.Failures != 0 {
		t.Errorf("a success left %d failures", s.Failures)
	}
	w.DisableHook(id, 40)
	w.clock.add(48 * time.Hour)
	if s := state(); s.AlertStatus != "disabled" {
		t.Errorf("after 40: %+v", s)
	}
	alice := w.as(t, w.AddUser("alice")).Projects
	w.hooks.answer(http.StatusTeapot)
	res, err := alice.TriggerTestProjectHook(w.project.ID(), id, gitlab.ProjectHookEventPush)
	if status(res) != 422 || !strings.Contains(err.Error(), "answered I'm a teapot") || state().AlertStatus != "disabled" {
		t.Errorf("failing test: %d %v, %+v", status(res), err, state())
	}
	w.hooks.answer(http.StatusNoContent)
	if _, err := alice.TriggerTestProjectHook(w.project.ID(), id, gitlab.ProjectHookEventPush); err != nil || state().AlertStatus != "executable" {
		t.Errorf("good test: %v, %+v", err, state())
	}
}

// TestTestDelivery is what a person gets who tests a webhook.
func TestTestDelivery(t *testing.T) {
	w := newWorld(t)
	empty := must(w.AddProject("acme/empty", gitlabtest.ProjectOptions{}))(t)
	empty.SetMember("alice", gitlabtest.Maintainer)
	dead := receive(t)
	dead.Close()
	for _, test := range []struct {
		name    string
		project *gitlabtest.Project
		url     string
		trigger gitlab.ProjectHookEvent
		want    int
		message string
	}{
		{"push", w.project, w.hooks.URL, gitlab.ProjectHookEventPush, 201, ""},
		{"tag push", w.project, w.hooks.URL, gitlab.ProjectHookEventTagPush, 201, ""},
		{"no merge requests", w.project, w.hooks.URL, gitlab.ProjectHookEventMergeRequests, 422, "Ensure the project has merge requests."},
		{"no notes", w.project, w.hooks.URL, gitlab.ProjectHookEventNote, 422, "Ensure the project has notes."},
		{"not ours", w.project, w.hooks.URL, gitlab.ProjectHookEventPipeline, 422, "Testing not available"},
		{"nonsense", w.project, w.hooks.URL, "nonsense", 400, "trigger does not have a valid value"},
		{"empty project", empty, w.hooks.URL, gitlab.ProjectHookEventPush, 201, ""},
		{"nobody there", w.project, dead.URL, gitlab.ProjectHookEventPush, 422, "connection refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			id := test.project.AddHook(gitlabtest.HookOptions{URL: test.url, Token: secret})
			res, err := w.as(t, w.AddUser("alice")).Projects.TriggerTestProjectHook(test.project.ID(), id, test.trigger)
			if status(res) != test.want || test.message != "" && !strings.Contains(err.Error(), test.message) {
				t.Errorf("answered %d %v, not %d %q", status(res), err, test.want, test.message)
			}
			_, all := w.hooks.take()
			if test.want == 201 && (len(all) != 1 || all[0].token != secret) {
				t.Errorf("%d came", len(all))
			}
			if test.name == "empty project" && !strings.Contains(string(all[0].body), `"project_id":15`) {
				t.Errorf("an empty project's sample is %s", all[0].body)
			}
		})
	}
}

// logEntry is a delivery in the log.
type logEntry struct {
	ID             int64             `json:"id"`
	Trigger        string            `json:"trigger"`
	RequestHeaders map[string]string `json:"request_headers"`
	RequestData    map[string]any    `json:"request_data"`
	ResponseStatus string            `json:"response_status"`
}

// log lists the deliveries of a webhook as alice.
func (w *world) log(t *testing.T, hook int64, query string) (log []logEntry, status int) {
	t.Helper()
	req := must(http.NewRequest(http.MethodGet, fmt.Sprintf("%s/projects/%d/hooks/%d/events%s", w.API, w.project.ID(), hook, query), nil))(t)
	req.Header.Set("PRIVATE-TOKEN", w.AddUser("alice"))
	res := must(http.DefaultClient.Do(req))(t)
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusOK {
		must(0, json.NewDecoder(res.Body).Decode(&log))(t)
	}
	return log, res.StatusCode
}

// TestHookLog lists deliveries.
func TestHookLog(t *testing.T) {
	w := newWorld(t)
	id := w.project.AddHook(gitlabtest.HookOptions{URL: w.hooks.URL, Token: secret})
	w.LoseDeliveries(1)
	w.push(t, "main")
	w.push(t, "main")
	log, _ := w.log(t, id, "")
	if len(log) != 2 || log[0].ResponseStatus != "202" || log[1].ResponseStatus != "internal error" || log[1].Trigger != "push_hooks" {
		t.Fatalf("%+v", log)
	}
	lost := log[1]
	if lost.RequestHeaders["X-Gitlab-Token"] != "[REDACTED]" || lost.RequestHeaders["Idempotency-Key"] == "" || lost.RequestHeaders["X-Gitlab-Event-UUID"] == "" || lost.RequestData["object_kind"] != "push" {
		t.Errorf("%+v", lost)
	}
	if only, _ := w.log(t, id, "?status=server_failure"); len(only) != 1 || only[0].ID != lost.ID {
		t.Errorf("failures: %+v", only)
	}
	if _, status := w.log(t, id, "?per_page=100"); status != 400 {
		t.Errorf("per_page=100: %d", status)
	}
	w.clock.add(8 * 24 * time.Hour)
	if log, _ := w.log(t, id, ""); len(log) != 0 {
		t.Errorf("after a week: %+v", log)
	}
	t.Run("old server", func(t *testing.T) {
		w := newWorld(t, func(o *gitlabtest.Options) { o.NoHookLogs = true })
		if _, status := w.log(t, w.project.AddHook(gitlabtest.HookOptions{URL: w.hooks.URL}), ""); status != 404 {
			t.Errorf("answers %d", status)
		}
	})
}

// TestResend delivers once more what was lost, with its idempotency key, but
// not for a webhook that is off or goes elsewhere now.
func TestResend(t *testing.T) {
	w := newWorld(t)
	id := w.project.AddHook(gitlabtest.HookOptions{URL: w.hooks.URL, Token: secret})
	alice := w.as(t, w.AddUser("alice"))
	w.LoseDeliveries(1)
	w.push(t, "main")
	log, _ := w.log(t, id, "")
	lost := log[0]
	resend := func(event int64) (int, string) {
		req := must(alice.NewRequest(http.MethodPost, fmt.Sprintf("projects/%d/hooks/%d/events/%d/resend", w.project.ID(), id, event), nil, nil))(t)
		res, err := alice.Do(req, nil)
		return status(res), fmt.Sprint(err)
	}
	if status, text := resend(lost.ID); status != 201 {
		t.Errorf("sent again: %d %s", status, text)
	}
	_, all := w.hooks.take()
	if len(all) != 1 || all[0].key != lost.RequestHeaders["Idempotency-Key"] || all[0].header.Get("X-Gitlab-Event-UUID") == lost.RequestHeaders["X-Gitlab-Event-UUID"] {
		t.Errorf("%+v", all)
	}
	if log, _ := w.log(t, id, ""); len(log) != 2 {
		t.Errorf("%d entries", len(log))
	}
	w.hooks.answer(http.StatusInternalServerError)
	if status, text := resend(lost.ID); status != 201 {
		t.Errorf("refused by the receiver: %d %s", status, text)
	}
	if status, _ := resend(1); status != 404 {
		t.Errorf("of nothing: %d", status)
	}
	w.DisableHook(id, 4)
	if status, text := resend(lost.ID); status != 422 || !strings.Contains(text, "Hook disabled") {
		t.Errorf("of a webhook that is off: %d %s", status, text)
	}
	must(0, func() error {
		_, _, err := alice.Projects.EditProjectHook(w.project.ID(), id, &gitlab.EditProjectHookOptions{URL: gitlab.Ptr(w.hooks.URL + "/other")})
		return err
	}())(t)
	if status, text := resend(lost.ID); status != 422 || !strings.Contains(text, "URL has changed") {
		t.Errorf("to another address: %d %s", status, text)
	}
}

// TestDeliveryTimeout: a receiver that takes too long has failed.
func TestDeliveryTimeout(t *testing.T) {
	w := newWorld(t, func(o *gitlabtest.Options) { o.HookTimeout = 50 * time.Millisecond })
	never := make(chan struct{})
	slow := receive(t)
	slow.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-never })
	t.Cleanup(func() { close(never) })
	w.project.AddHook(gitlabtest.HookOptions{URL: slow.URL})
	w.push(t, "main")
	d := w.Deliveries()[0]
	if d.OK() || d.StatusCode != 0 || !strings.Contains(d.Error, "ReadTimeout") || w.project.Hooks()[0].Failures != 1 {
		t.Errorf("%+v", d)
	}
}

// TestDeliveryHeaders are those that GitLab's documentation names, whoever the
// receiver is; and deliveries come in any order.
func TestDeliveryHeaders(t *testing.T) {
	w := newWorld(t)
	system := receive(t)
	w.project.AddHook(gitlabtest.HookOptions{URL: w.hooks.URL, Token: secret})
	w.AddSystemHook(gitlabtest.HookOptions{URL: system.URL, Token: "of the server"})
	w.HoldDeliveries()
	must(w.project.Push(gitlabtest.Push{Branch: "a", Files: map[string]string{"a": "a"}}))(t)
	must(0, w.project.Tag("alice", "v1", "main", ""))(t)
	w.ReleaseDeliveries(true)
	w.settle(t)
	events, all := w.hooks.take()
	if diff := cmp.Diff([]string{"Tag Push Hook", "Push Hook"}, events); diff != "" {
		t.Error(diff)
	}
	want := []string{"Content-Type", "Idempotency-Key", "User-Agent", "X-Gitlab-Event", "X-Gitlab-Event-Uuid", "X-Gitlab-Instance", "X-Gitlab-Token", "X-Gitlab-Webhook-Uuid"}
	for _, name := range want {
		if all[0].header.Get(name) == "" {
			t.Errorf("no %s", name)
		}
	}
	if got := all[0].header.Get("X-Gitlab-Instance"); got != w.URL {
		t.Errorf("X-Gitlab-Instance: %s", got)
	}
	events, all = system.take()
	if !slices.Equal(events, []string{"System Hook", "System Hook", "System Hook", "System Hook"}) || all[0].token != "of the server" {
		t.Errorf("%q %+v", events, all)
	}
}

// TestVerification: a certificate that nobody vouches for is a failure, unless
// the webhook does not look.
func TestVerification(t *testing.T) {
	w := newWorld(t)
	taken := make(chan string, 10)
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { taken <- r.Header.Get("X-Gitlab-Event") }))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	id := w.project.AddHook(gitlabtest.HookOptions{URL: secure.URL})
	w.push(t, "main")
	if d := w.Deliveries()[0]; d.OK() || !strings.Contains(d.Error, "certificate") {
		t.Errorf("%+v", d)
	}
	alice := w.as(t, w.AddUser("alice")).Projects
	_, _, err := alice.EditProjectHook(w.project.ID(), id, &gitlab.EditProjectHookOptions{URL: gitlab.Ptr(secure.URL), EnableSSLVerification: gitlab.Ptr(false)})
	if err != nil {
		t.Fatal(err)
	}
	w.push(t, "main")
	if len(taken) != 1 || w.project.Hooks()[0].Failures != 0 {
		t.Errorf("%d came; %+v", len(taken), w.project.Hooks())
	}
}
