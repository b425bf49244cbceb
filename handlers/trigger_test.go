package handlers_test

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers"
)

func TestListTriggers(t *testing.T) {
	f := newFake()
	f.next = helloBuild + ":audit"
	a := start(t, f.server(io.Discard).Routes())
	var list handlers.TriggerRunList
	a.ask("GET", "/api/v1/triggers?repository=acme/hello&trigger=audit&state=failed&limit=7&before=x:y", "", 200, &list)
	want := handlers.TriggerRunList{Next: f.next, Runs: []handlers.TriggerRun{{Build: helloBuild, Repository: "acme/hello", Trigger: "audit", State: "succeeded"}}}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(builder.RunFilter{Repository: hello.Key(), Trigger: "audit", State: builder.RunFailed, Limit: 7, Before: "x:y"}, f.runFilter); diff != "" {
		t.Errorf("filter (-want +got):\n%s", diff)
	}
	for path, want := range map[string]string{
		"?limit=0":    `limit is "0"`,
		"?limit=x":    `limit is "x"`,
		"?state=lost": `state is "lost"; it must be one of waiting, running, succeeded, failed, skipped`,
		"?name=audit": `there is no parameter "name"`,
	} {
		if got := a.refused("GET", "/api/v1/triggers"+path, "", 400); !strings.Contains(got, want) {
			t.Errorf("%s: %q", path, got)
		}
	}
	a.refused("GET", "/api/v1/triggers?repository=evil/corp", "", 404)
	a.as("").refused("GET", "/api/v1/triggers", "", 401)
	a.as("puller").refused("GET", "/api/v1/triggers", "", 403)
}

func TestRetryTrigger(t *testing.T) {
	f := newFake()
	a := start(t, f.server(io.Discard).Routes())
	path := func(id, name string) string { return "/api/v1/builds/" + id + "/triggers/" + name + "/retry" }
	var run handlers.TriggerRun
	a.ask("POST", path(helloBuild, "audit"), "", 202, &run)
	if diff := cmp.Diff([]string{helloBuild + " audit by ada"}, f.retried); diff != "" || run.Trigger != "audit" {
		t.Errorf("answer %+v, retried (-want +got):\n%s", run, diff)
	}
	if got := a.refused("POST", path(helloBuild, "busy"), "", 409); !strings.Contains(got, "is running") {
		t.Errorf("%q", got)
	}
	a.refused("POST", path(helloBuild, "gone"), "", 404)
	a.refused("POST", path(otherBuild, "audit"), "", 404) // not hers
	a.refused("POST", path(helloBuild, "audit"), "", 403, "Sec-Fetch-Site", "cross-site")
	a.refused("GET", path(helloBuild, "audit"), "", 405)
	a.as("").refused("POST", path(helloBuild, "audit"), "", 401)
	if len(f.retried) != 1 {
		t.Errorf("retried %q", f.retried)
	}
}
