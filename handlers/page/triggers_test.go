package page_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
)

func TestTriggersPage(t *testing.T) {
	f := newFake()
	f.next = mine + ":audit"
	f.runs = []builder.TriggerRun{
		{BuildID: mine, Repository: f.records[mine].Repository, Image: "hello", Trigger: "audit", State: "failed", Action: "webhook https://audit.example.com",
			Error: "answered 503", AskedBy: "bob", StartedAt: time.Now()},
		{BuildID: mine, Repository: f.records[mine].Repository, Image: "hello", Trigger: "prod", State: "running", URL: "https://github.com/acme/ops/pull/1"},
		{BuildID: theirs, Repository: f.records[theirs].Repository, Image: "corp", Trigger: "theirs", State: "failed"},
	}
	w := get(t, pages(f, t.Output()), "/triggers?state=failed&before=x:y", "ada", 200)
	has(t, w, "failed", "audit", "acme/hello: hello", "answered 503", "asked for by bob", "running", "https://github.com/acme/ops/pull/1")
	body := w.Body.String()
	for part, want := range map[string]int{
		`data-retry="/api/v1/builds/` + mine + `/triggers/audit/retry"`: 1, "data-retry": 1, // not while it runs
		`href="https://github.com/acme/ops/pull/1"`:                     1,
		`href="/triggers?before=` + mine + `%3Aaudit&amp;state=failed"`: 1,
		"theirs": 0, "data-live": 0,
	} {
		if got := strings.Count(body, part); got != want {
			t.Errorf("%d times %s, want %d:\n%s", got, part, want, body)
		}
	}
	if diff := cmp.Diff(builder.RunFilter{State: builder.RunFailed, Before: "x:y"}, f.runFilter); diff != "" {
		t.Errorf("filter (-want +got):\n%s", diff)
	}
	f.runs, f.next = nil, ""
	has(t, get(t, pages(f, t.Output()), "/triggers", "ada", 200), "No trigger has run yet")
}

// Only who has a token for the repository is offered a retry.
func TestRetryIsForWhoMay(t *testing.T) {
	f := newFake()
	f.runs = []builder.TriggerRun{{BuildID: mine, Trigger: "audit", State: "failed"}}
	h := pages(f, t.Output())
	for password, want := range map[string]bool{"": false, "puller": false, "ada": true} {
		body := get(t, h, "/builds/"+mine+"?key=for-"+mine, password, 200).Body.String()
		if got := strings.Contains(body, "data-retry"); got != want {
			t.Errorf("with the link and token %q: a retry is offered: %t", password, got)
		}
	}
}
