package githubtest

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// Example is one of GitHub's own example payloads.
type Example struct {
	Event  string // as in X-GitHub-Event
	Action string // empty where the event has none
	Body   []byte
}

// Name tells examples of one event and action apart by their place.
func (e Example) Name(i int) string {
	if e.Action == "" {
		return fmt.Sprintf("%s/%d", e.Event, i)
	}
	return fmt.Sprintf("%s.%s/%d", e.Event, e.Action, i)
}

// Examples reads the example payloads of @octokit/webhooks-examples for the
// named events, or for all events when none is named. There is none of a
// comment on a pull request and none of an ordinary push to a branch.
func Examples(t testing.TB, events ...string) []Example {
	t.Helper()
	path, err := module("@octokit/webhooks-examples/api.github.com/index.json")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Name     string
		Examples []json.RawMessage
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	wanted := map[string]bool{}
	for _, e := range events {
		wanted[e] = true
	}
	var out []Example
	for _, event := range all {
		if len(events) > 0 && !wanted[event.Name] {
			continue
		}
		delete(wanted, event.Name)
		for _, body := range event.Examples {
			var named struct{ Action string }
			if err := json.Unmarshal(body, &named); err != nil {
				t.Fatalf("example of %s: %v", event.Name, err)
			}
			out = append(out, Example{Event: event.Name, Action: named.Action, Body: body})
		}
	}
	for e := range wanted {
		t.Fatalf("there are no examples of %q in %s", e, path)
	}
	return out
}
