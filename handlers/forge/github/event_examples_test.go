package github_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/github"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

var updateExamples = flag.Bool("update-examples", false, "write testdata/examples.want")

// TestExamples: each of GitHub's example payloads comes to events, is ignored
// on purpose or is refused with a reason; testdata/examples.want lists which.
// Checks are read as if their app were ours.
func TestExamples(t *testing.T) {
	var got strings.Builder
	seen := map[string]bool{}
	number := map[string]int{}
	for _, x := range githubtest.Examples(t) {
		var checks struct {
			CheckSuite struct{ App struct{ ID int64 } } `json:"check_suite"`
			CheckRun   struct{ App struct{ ID int64 } } `json:"check_run"`
		}
		if err := json.Unmarshal(x.Body, &checks); err != nil {
			t.Fatal(err)
		}
		app := max(checks.CheckRun.App.ID, checks.CheckSuite.App.ID)
		a := github.New(github.Options{Identities: fixedIdentity{identity: github.Identity{ID: app, Secrets: []string{hookSecret}}}})
		header := hookHeader(x.Event, hookDelivery, x.Body)
		events, err := a.Events(header, x.Body)
		seen[x.Event] = true
		name := x.Name(number[x.Event+x.Action])
		number[x.Event+x.Action]++
		fmt.Fprintf(&got, "%s: ", name)
		switch {
		case err == nil && len(events) > 0:
			for i, e := range events {
				if err := forgetest.CheckEvent(github.Instance, e); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if i > 0 {
					got.WriteString("; ")
				}
				fmt.Fprintf(&got, "%s %s ref=%s before=%.7s commit=%.7s by %s", e.Kind, e.Repository.FullName(), e.Ref, e.Before, e.Commit, e.Actor)
				if e.Pull != nil {
					fmt.Fprintf(&got, " %+v", *e.Pull)
				}
				if e.Command != nil {
					fmt.Fprintf(&got, " %s %s pull=%d", e.Command.Source, e.Command.Name, e.Command.Pull)
				}
			}
		case len(events) == 0 && (errors.Is(err, forge.ErrIgnored) || errors.Is(err, forge.ErrPayload)):
			fmt.Fprint(&got, err)
		default:
			t.Errorf("%s: %v, %v", name, events, err)
		}
		got.WriteByte('\n')
	}
	for _, event := range []string{"push", "create", "delete", "pull_request", "issue_comment", "commit_comment", "check_run", "check_suite", "installation", "installation_repositories", "merge_group"} {
		if !seen[event] {
			t.Errorf("there is no example of %s", event)
		}
	}
	const golden = "testdata/examples.want"
	if *updateExamples {
		if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("outcomes (-want +got), accept with -update-examples:\n%s", diff)
	}
}

func FuzzPayloads(f *testing.F) {
	a := newIntake()
	for _, d := range hookDeliveries {
		f.Add(d.event, hookDelivery, []byte(d.body))
	}
	f.Fuzz(func(t *testing.T, event, delivery string, body []byte) {
		header := hookHeader(event, delivery, body)
		if err := a.Verify(header, body); err != nil {
			t.Fatalf("what we signed: %v", err)
		}
		events, err := a.Events(header, body)
		if err != nil && !errors.Is(err, forge.ErrPayload) && !errors.Is(err, forge.ErrIgnored) {
			t.Errorf("events: %v", err)
		}
		for _, e := range events {
			if err := forgetest.CheckEvent(github.Instance, e); err != nil {
				t.Error(err)
			}
		}
	})
}

// BenchmarkPush is what accepting a push costs before the store is asked.
func BenchmarkPush(b *testing.B) {
	a := newIntake()
	body := githubtest.Examples(b, "push")[5].Body // a branch, 7.6 kB
	header := hookHeader("push", hookDelivery, body)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Verify(header, body); err != nil {
			b.Fatal(err)
		}
		if _, err := a.Events(header, body); err != nil {
			b.Fatal(err)
		}
	}
}
