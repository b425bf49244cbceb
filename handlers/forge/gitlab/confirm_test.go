package gitlab

import (
	"errors"
	"fmt"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// TestConfirm: a webhook may call its project anything; it is what GitLab says.
func TestConfirm(t *testing.T) {
	r := newAskRig(t)
	told := func(path string) builder.Event {
		e := builder.Event{Repository: r.record(), Via: "project-1"}
		e.Repository.Owner, e.Repository.Name = splitPath(path)
		return e
	}
	for _, claim := range []string{"acme/platform/shop", "bank/payments", "Acme/Platform/Shop", "acme/platform/shop/deeper"} {
		for range 2 { // also what is remembered
			e := told(claim)
			e.Repository.DefaultBranch = "a-branch-of-mine"
			got, err := r.Confirm(t.Context(), e)
			if err != nil || got.FullName() != "acme/platform/shop" || got.Key() != r.record().Key() || got.DefaultBranch != "main" {
				t.Errorf("called %s: %s with default branch %s, %v", claim, got.FullName(), got.DefaultBranch, err)
			}
		}
	}
	if _, err := r.project.Push(gitlabtest.Push{Branch: "trunk", Files: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	if err := r.project.SetDefaultBranch("trunk"); err != nil {
		t.Fatal(err)
	}
	moved := told("acme/platform/shop")
	moved.Repository.DefaultBranch = "trunk"
	if got, err := r.Confirm(t.Context(), moved); err != nil || got.DefaultBranch != "trunk" {
		t.Errorf("another default branch: %s, %v", got.DefaultBranch, err)
	}
	if err := r.project.Rename("store"); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Confirm(t.Context(), told("acme/platform/store")); err != nil || got.FullName() != "acme/platform/store" {
		t.Errorf("renamed: %s, %v", got.FullName(), err)
	}
	gone := told("acme/platform/store")
	gone.Withdrawn = true
	if _, err := r.Confirm(t.Context(), gone); !errors.Is(err, builder.ErrDenied) {
		t.Errorf("told to be gone while it is there: %v", err)
	}
	gone.Via = "" // the operator uninstalled us
	if _, err := r.Confirm(t.Context(), gone); err != nil {
		t.Errorf("uninstalled: %v", err)
	}
	gone.Via, gone.Repository.ID = "webhook", "987654"
	if _, err := r.Confirm(t.Context(), gone); err != nil {
		t.Errorf("told to be gone, and is: %v", err)
	}
	gone.Withdrawn = false
	if _, err := r.Confirm(t.Context(), gone); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("a project that is not shown to us: %v", err)
	}
	r.server.FailNext("GET /projects/*", 10, gitlabtest.BadGateway())
	for _, e := range []builder.Event{told("acme/platform/other"), gone} {
		e.Withdrawn = e.Repository.ID == "987654"
		if _, err := r.Confirm(t.Context(), e); err == nil || errors.Is(err, builder.ErrDenied) || errors.Is(err, builder.ErrNotFound) {
			t.Errorf("while GitLab is away: %v", err)
		}
	}
}

// TestNotesOfProjects: ids of notes count upwards over the whole server, so the
// webhook of one project could name those to come of another, whose commands
// would be duplicates then.
func TestNotesOfProjects(t *testing.T) {
	f := newIntake(t, fixedSecrets{}, nil)
	seen := map[string]bool{}
	for _, project := range []int{77, 78} {
		body := fmt.Sprintf(`{"object_kind":"note",%s,"project":{"id":%d,"path_with_namespace":"acme/shop"},"object_attributes":{"id":4711,"note":"/help","noteable_type":"MergeRequest","action":"create"},
			"merge_request":{"iid":3,"target_project_id":%d}}`, hookUser, project, project)
		events, err := f.Events(hookHeader("Note Hook", hookDelivery), []byte(body))
		if err != nil || len(events) != 1 {
			t.Fatal(events, err)
		}
		seen[events[0].ID] = true
	}
	if len(seen) != 2 {
		t.Errorf("two projects' notes are %v", seen)
	}
}
