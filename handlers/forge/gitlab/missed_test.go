package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// installed is a rig with one project that has its webhook.
func installed(t *testing.T, change ...func(*gitlabtest.Options)) (*hookRig, *gitlabtest.Project) {
	t.Helper()
	r := newHookRig(t, change...)
	shop := r.addProject("acme/shop")
	r.as(shop.CreateToken(gitlabtest.TokenOptions{}).Value)
	r.install("acme/shop")
	return r, shop
}

// looks looks once.
func (r *hookRig) looks() time.Duration {
	r.t.Helper()
	wait, err := r.forge.look(r.t.Context(), r)
	if err != nil {
		r.t.Fatal(err)
	}
	return wait
}

func commits(events []builder.Event) (list []string) {
	for _, e := range events {
		list = append(list, e.Commit)
	}
	return list
}

func TestMissedIsDeliveredAgain(t *testing.T) {
	r, shop := installed(t)
	r.LoseDeliveries(2)
	lost := []string{r.push(shop, "a"), r.push(shop, "b")}
	came := r.push(shop, "c")
	if events, _ := r.heard(); !cmp.Equal(commits(events), []string{came}) {
		t.Fatalf("events %v", commits(events))
	}
	r.looks()
	events, _ := r.heard()
	if diff := cmp.Diff([]string{came, lost[0], lost[1]}, commits(events)); diff != "" {
		t.Errorf("events, the oldest first (-want +got):\n%s", diff)
	}
	if !strings.Contains(r.logged.String(), "deliveries of GitLab that had failed") {
		t.Errorf("log %s", r.logged)
	}

	// Nobody asks for what has arrived.
	r.clock.pass(5 * time.Minute)
	asked := len(r.Requests("POST /projects/*/hooks/*/events/*/resend"))
	for range 3 {
		r.looks()
	}
	if n := len(r.Requests("POST /projects/*/hooks/*/events/*/resend")); n != asked || asked != 2 {
		t.Errorf("%d were asked for, then %d", asked, n)
	}
	mark := fmt.Sprintf("gitlab:deliveries/project-%d/%d", shop.ID(), shop.Hooks()[0].ID)
	if seen, _ := r.memory.Recall(t.Context(), mark); seen == "" {
		t.Error("each look begins at the first delivery")
	}
}

// What does not arrive is asked for a few times, and then it is said.
func TestMissedForGood(t *testing.T) {
	r, shop := installed(t)
	r.LoseDeliveries(1000)
	r.push(shop, "a")
	r.heard()
	for range 8 {
		r.clock.pass(5 * time.Minute)
		r.DisableHook(shop.Hooks()[0].ID, 0)
		r.looks()
	}
	if n := len(r.Requests("POST /projects/*/hooks/*/events/*/resend")); n != resendTimes {
		t.Errorf("asked %d times", n)
	}
	if n := strings.Count(r.logged.String(), "an event that GitLab cannot deliver to us"); n != 1 {
		t.Errorf("said %d times: %s", n, r.logged)
	}
}

// GitLab allows five a minute; the rest comes when it may.
func TestMissedWithinTheLimit(t *testing.T) {
	r, shop := installed(t)
	r.LoseDeliveries(2)
	r.push(shop, "a")
	r.push(shop, "b")
	r.heard()
	r.FailNext("POST /projects/*/hooks/*/events/*/resend", 1, gitlabtest.TooManyRequests(time.Minute))
	wait, err := r.forge.look(t.Context(), r)
	if err != nil || wait > time.Minute || wait < 50*time.Second {
		t.Errorf("looks again in %s, %v", wait, err)
	}
	r.clock.pass(61 * time.Second)
	r.looks()
	if events, _ := r.heard(); len(events) != 2 {
		t.Errorf("events %v", commits(events))
	}
}

func TestMissedOnOldServers(t *testing.T) {
	r, shop := installed(t, func(o *gitlabtest.Options) { o.NoHookLogs = true })
	r.LoseDeliveries(1)
	r.push(shop, "a")
	r.looks()
	r.looks()
	if n := len(r.Requests("GET /projects/*/hooks/*/events")); n != 1 {
		t.Errorf("the log was asked for %d times", n)
	}
	r.clock.pass(2 * time.Hour) // it may have been updated
	r.looks()
	if n := len(r.Requests("GET /projects/*/hooks/*/events")); n != 2 {
		t.Errorf("the log was asked for %d times", n)
	}
}

func TestSwitchedOffWebhookIsTried(t *testing.T) {
	for name, failures := range map[string]int{"for a while": 4, "for good": 40} {
		t.Run(name, func(t *testing.T) {
			r, shop := installed(t)
			hook := shop.Hooks()[0]
			r.DisableHook(hook.ID, failures)
			r.looks()
			if h := shop.Hooks()[0]; h.AlertStatus != "executable" || h.Token != hook.Token {
				t.Errorf("webhook %+v", h)
			}
			if events, tried := r.heard(); len(events) != 0 || tried != 2 {
				t.Errorf("events %v, %d trials", events, tried)
			}
			if !strings.Contains(r.logged.String(), "is on again") {
				t.Errorf("log %s", r.logged)
			}
		})
	}
}

// One that cannot be delivered is tried every half an hour, and told of once.
func TestWebhookThatStaysOff(t *testing.T) {
	r, shop := installed(t)
	hook := shop.Hooks()[0]
	r.answers(http.StatusBadGateway)
	r.DisableHook(hook.ID, 40)
	for range 13 { // an hour
		r.looks()
		r.clock.pass(5 * time.Minute)
	}
	if n := len(r.Requests("POST /projects/*/hooks/*/test/*")) - 1; n != 3 {
		t.Errorf("tried %d times in an hour", n)
	}
	if n := strings.Count(r.logged.String(), "GitLab has switched a webhook off"); n != 1 || !strings.Contains(r.logged.String(), "502 Bad Gateway: the proxy is asleep") {
		t.Errorf("said %d times: %s", n, r.logged)
	}
	if h := shop.Hooks()[0]; h.Token != hook.Token {
		t.Errorf("the webhook was left with another token: %+v", h)
	}
	// It comes back by itself; what the trials told is delivered to nobody.
	r.answers(0)
	r.clock.pass(30 * time.Minute)
	r.looks()
	r.looks()
	if events, _ := r.heard(); shop.Hooks()[0].AlertStatus != "executable" || len(events) != 0 {
		t.Errorf("webhook %+v, events %v", shop.Hooks()[0], events)
	}
}

// A crash in the middle of a trial leaves a webhook whose deliveries start
// nothing.
func TestTrialThatWasCutOff(t *testing.T) {
	r, shop := installed(t)
	hook := shop.Hooks()[0]
	at := place{scopeProject, int(shop.ID()), "acme/shop"}
	if err := r.memory.Remember(t.Context(), r.forge.probing(at, int(hook.ID)), r.clock.now().UTC().Format(time.RFC3339), probeKeeps); err != nil {
		t.Fatal(err)
	}
	if _, err := r.forge.saveHook(t.Context(), at, int(hook.ID), true); err != nil {
		t.Fatal(err)
	}
	r.looks() // somebody may be trying it now
	if shop.Hooks()[0].Token == hook.Token {
		t.Error("the trial was disturbed")
	}
	r.clock.pass(5 * time.Minute)
	r.looks()
	if shop.Hooks()[0].Token != hook.Token {
		t.Errorf("webhook %+v", shop.Hooks()[0])
	}
	if !strings.Contains(r.logged.String(), "a webhook was left as it was tried") {
		t.Errorf("log %s", r.logged)
	}
}

// A webhook that we may not see is said once, and asked for once an hour.
func TestWebhooksThatAreNotOurs(t *testing.T) {
	r := newHookRig(t)
	shop := r.addProject("acme/shop")
	r.as(shop.CreateToken(gitlabtest.TokenOptions{Level: gitlabtest.Developer}).Value)
	r.known["gitlab:1"] = shopOf(r, shop)
	r.known["github:1"] = builder.Repository{Forge: "github", ID: "1", Owner: "acme", Name: "shop"}
	for range 5 {
		r.looks()
	}
	if n := len(r.Requests("GET /projects/*/hooks")); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if n := strings.Count(r.logged.String(), "webhooks of a project are not ours to see"); n != 1 {
		t.Errorf("said %d times: %s", n, r.logged)
	}
	r.clock.pass(61 * time.Minute)
	r.looks()
	if n := len(r.Requests("GET /projects/*/hooks")); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestMissedOfGroups(t *testing.T) {
	r := newHookRig(t)
	api := r.addProject("acme/platform/api")
	r.as(r.groupToken("acme", gitlabtest.Owner))
	r.install("acme")
	r.LoseDeliveries(1)
	lost := r.push(api, "a")
	r.heard()
	r.looks()
	if events, _ := r.heard(); !cmp.Equal(commits(events), []string{lost}) {
		t.Errorf("events %v", commits(events))
	}
}

// Where we ask for events there are no webhooks to look after.
func TestRunPolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Forge{Options: Options{Config: config.GitLab{Events: config.ByPoll}}}
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		if err := f.Run(ctx, nil); err != nil {
			t.Error(err)
		}
	})
}

// Run looks at once, goes on after errors, and ends with its context.
func TestRunMissed(t *testing.T) {
	r, shop := installed(t)
	r.forge.Every = time.Millisecond
	r.LoseDeliveries(1)
	lost := r.push(shop, "a")
	r.heard()
	r.FailNext("GET /projects/*/hooks", 1, gitlabtest.Refused(http.StatusInternalServerError, "broken"))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.forge.Run(ctx, r) }()
	for deadline := time.Now().Add(time.Minute); ; {
		events, _ := r.heard()
		if len(events) == 1 && events[0].Commit == lost {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("events %v: %s", commits(events), r.logged)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
