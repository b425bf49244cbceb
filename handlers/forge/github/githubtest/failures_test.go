package githubtest_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

func TestFailNext(t *testing.T) {
	w := newWorld(t)
	head := w.repo.Head("")
	pattern := "POST /repos/acme/*/statuses/*"
	post := func() (int, error) {
		inst := w.asInstallation(t, &github.InstallationTokenOptions{}) // a client that remembers no limit
		_, res, err := inst.Repositories.CreateStatus(w.ctx, "acme", "shop", head, &github.RepoStatus{State: github.String("success")})
		if res == nil {
			return 0, err
		}
		return res.StatusCode, err
	}
	for _, test := range []struct {
		name    string
		failure githubtest.Failure
		times   int
		want    []int // statuses of three requests
		done    int   // statuses that the commit has after them
		check   func(error) bool
	}{
		{"502", githubtest.BadGateway(), 1, []int{502, 201, 201}, 2, func(err error) bool {
			var page *github.ErrorResponse
			return errors.As(err, &page) && page.Response.Header.Get("Content-Type") == "text/html"
		}},
		{"404 twice", githubtest.Lag(), 2, []int{404, 404, 201}, 1, func(err error) bool { return err != nil }},
		{"secondary limit", githubtest.SecondaryLimit(7 * time.Second), 1, []int{403, 201, 201}, 2, func(err error) bool {
			var limited *github.AbuseRateLimitError
			return errors.As(err, &limited) && limited.GetRetryAfter() == 7*time.Second
		}},
		{"too many", githubtest.TooManyRequests(time.Second), 1, []int{429, 201, 201}, 2, func(err error) bool { return err != nil }},
		{"dropped", githubtest.Dropped(), 1, []int{0, 201, 201}, 2, func(err error) bool { return err != nil }},
		{"lost answer", githubtest.LostAnswer(), 1, []int{0, 201, 201}, 3, func(err error) bool { return err != nil }},
		{"slow", githubtest.Slow(time.Millisecond), 1, []int{201, 201, 201}, 3, func(err error) bool { return err == nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(w.repo.Statuses(head))
			w.FailNext(pattern, test.times, test.failure)
			var got []int
			for i := range 3 {
				status, err := post()
				got = append(got, status)
				if i == 0 && !test.check(err) {
					t.Errorf("first answer: %v", err)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if done := len(w.repo.Statuses(head)) - before; done != test.done {
				t.Errorf("%d statuses were made, not %d", done, test.done)
			}
		})
	}
	w.FailNext("* /repos/**", 100, githubtest.BadGateway())
	if status, _ := post(); status != 502 {
		t.Errorf("pattern for all: %d", status)
	}
	w.Recover()
	if status, _ := post(); status != 201 {
		t.Errorf("after Recover: %d", status)
	}
}

// TestRedelivery is a receiver that was away, found out by the deliveries API.
func TestRedelivery(t *testing.T) {
	w := newWorld(t)
	app := w.asApp(t)
	push := func(i int) {
		t.Helper()
		must(w.repo.Push(githubtest.Push{Files: map[string]string{"n": fmt.Sprint(i)}}))(t)
		w.settle(t)
	}
	push(1)
	_, first := w.hooks.take()
	w.hooks.answer(http.StatusServiceUnavailable)
	push(2)
	_, refused := w.hooks.take()
	w.hooks.answer(http.StatusAccepted)
	w.LoseDeliveries(2)
	push(3)
	if names, _ := w.hooks.take(); names != nil {
		t.Errorf("lost deliveries came: %v", names)
	}

	var failed []*github.HookDelivery
	cursor := ""
	for pages := 0; pages < 20; pages++ { // newest first, by the cursor
		list, res, err := app.Apps.ListHookDeliveries(w.ctx, &github.ListCursorOptions{PerPage: 2, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			if d.GetStatusCode() >= 300 {
				failed = append(failed, d)
			}
		}
		if cursor = res.Cursor; cursor == "" {
			break
		}
	}
	if len(failed) != 4 || failed[3].GetGUID() != refused[0].guid || failed[3].GetStatusCode() != http.StatusServiceUnavailable {
		t.Fatalf("%d failed deliveries: %v", len(failed), failed)
	}
	for _, d := range failed {
		if _, _, err := app.Apps.RedeliverHookDelivery(w.ctx, d.GetID()); err != nil {
			var accepted *github.AcceptedError
			if !errors.As(err, &accepted) {
				t.Fatal(err)
			}
		}
	}
	w.settle(t)
	_, again := w.hooks.take()
	if len(again) != 4 || again[3].guid != refused[0].guid || !bytes.Equal(again[3].body, refused[0].body) {
		t.Errorf("redelivered: %d", len(again))
	}
	attempts := 0
	for _, d := range w.Deliveries() {
		if d.GUID == refused[0].guid {
			attempts++
			if d.Redelivery != d.OK() {
				t.Errorf("attempt %d: redelivery %v, status %d", attempts, d.Redelivery, d.StatusCode)
			}
		}
	}
	if attempts != 2 || len(first) == 0 {
		t.Errorf("%d attempts", attempts)
	}
}

func TestHeldDeliveries(t *testing.T) {
	w := newWorld(t)
	w.HoldDeliveries()
	a := must(w.repo.Push(githubtest.Push{Files: map[string]string{"n": "1"}}))(t)
	b := must(w.repo.Push(githubtest.Push{Files: map[string]string{"n": "2"}}))(t)
	w.ReleaseDeliveries(true)
	w.settle(t)
	var got []string
	_, all := w.hooks.take()
	for _, d := range all {
		if d.event == "push" {
			event := must(github.ParseWebHook("push", d.body))(t).(*github.PushEvent)
			got = append(got, event.GetAfter())
		}
	}
	if diff := cmp.Diff([]string{b, a}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDeliverRaw(t *testing.T) {
	w := newWorld(t)
	for i, e := range githubtest.Examples(t, "star") {
		if err := w.Deliver(w.app, w.inst, w.repo, e.Event, e.Body); err != nil {
			t.Fatal(err)
		}
		if d := w.hooks.wait(t, "star"); !bytes.Equal(d.body, e.Body) {
			t.Errorf("%s came as %s", e.Name(i), d.body)
		}
	}
	if err := w.Deliver(w.app, nil, nil, "star", map[string]any{"action": "created"}); err != nil {
		t.Fatal(err)
	}
	if d := w.hooks.wait(t, "star"); string(d.body) != `{"action":"created"}` {
		t.Errorf("%s", d.body)
	}
}
