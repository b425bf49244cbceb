package builder_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/config"
)

// The triggers of all files count against an image repository's.
func TestPlanningCountsOthersTriggers(t *testing.T) {
	l := newLab(t, store.Options{})
	ctx := t.Context()
	var many []config.Trigger
	for _, c := range "abcdefghi" {
		many = append(many, triggerFor(t, "t"+string(c), "all"))
	}
	l.register(ctx, labRepo, labImage, many...)
	ops := builder.Repository{Forge: "git", ID: "acme/ops", Owner: "acme", Name: "ops", DefaultBranch: "main"}
	d := l.pushDispatcher()
	d.Policy = []config.Policy{{Repositories: []string{"acme/ops"}, Images: []string{labImage}}}
	for n, triggers := range []string{
		"{name: one, webhook: {url: \"https://example.com\"}}",
		"{name: one, webhook: {url: \"https://example.com\"}}, {name: two, webhook: {url: \"https://example.com\"}}",
	} {
		commit := fmt.Sprint("ops", n)
		l.commit(commit, "", commit)
		l.commits[commit][".registry-build.yml"] = "version: 1\nimages:\n  - repository: acme/hello\n    triggers: [" + triggers + "]\n"
		l.refs["refs/heads/main"] = commit
		decision := l.decideWith(ctx, d, builder.Event{ID: "git:" + commit, Kind: builder.BranchPushed, Repository: ops, Ref: "refs/heads/main", Commit: commit})
		refused := len(decision.Reasons) == 1 && strings.Contains(decision.Reasons[0].Message, ", 9 in that of acme/hello")
		if wanted := n == 1; refused != wanted || (len(decision.Builds) == 0) != wanted {
			t.Errorf("with %d triggers: %+v", n+1, decision)
		}
	}
}

// What is pushed for images whose default branch has not moved since we know
// the repository fires all the same: its first event registers, and no other.
func TestFirstEventRegistersTheDefaultBranch(t *testing.T) {
	const file = "version: 1\nimages:\n  - triggers: [{name: tell, webhook: {url: \"https://example.com\"}}]\n"
	pull := &builder.Pull{Number: 7, Head: "c1", BaseBranch: "main"}
	for _, tt := range []struct {
		name  string
		event builder.Event
		file  string // of the default branch; "-": there is no such branch
		want  bool   // something is registered
		again bool   // the next event looks once more
	}{
		{"a push of another branch", builder.Event{Kind: builder.BranchPushed, Ref: "refs/heads/other", Commit: "c1"}, file, true, false},
		{"a tag", builder.Event{Kind: builder.TagPushed, Ref: "refs/tags/v1", Commit: "c1"}, file, true, false},
		{"a pull request", builder.Event{Kind: builder.PullChanged, Ref: builder.PullRef(7), Commit: "c1", Pull: pull}, file, true, false},
		{"a commit that is gone", builder.Event{Kind: builder.BranchPushed, Ref: "refs/heads/other", Commit: "gone"}, file, true, false},
		{"we are let in", builder.Event{Kind: builder.Installation}, file, false, true},
		{"we are shut out", builder.Event{Kind: builder.Installation, Withdrawn: true}, file, false, true},
		{"no file", builder.Event{Kind: builder.TagPushed, Ref: "refs/tags/v1", Commit: "c1"}, "", false, false},
		{"a broken file", builder.Event{Kind: builder.TagPushed, Ref: "refs/tags/v1", Commit: "c1"}, "images: 1", false, false},
		{"no default branch yet", builder.Event{Kind: builder.TagPushed, Ref: "refs/tags/v1", Commit: "c1"}, "-", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, store.Options{})
			l.commit("c1", "", "1")
			l.refs["refs/heads/main"] = "m1"
			l.commits["m1"] = map[string]string{".registry-build.yml": tt.file}
			switch tt.file {
			case "-":
				delete(l.refs, "refs/heads/main")
			case "":
				delete(l.commits["m1"], ".registry-build.yml")
			}
			d := l.pushDispatcher()
			tt.event.ID, tt.event.Repository = "git:1", labRepo
			l.decideWith(t.Context(), d, tt.event)
			if all, err := l.store.Registrations(t.Context(), labImage); err != nil || (len(all) == 1) != tt.want {
				t.Fatalf("registered %+v, %v; want one: %t", all, err, tt.want)
			} else if tt.want && (all[0].Commit != "m1" || all[0].Ref != "refs/heads/main" || all[0].Triggers[0].Name != "tell") {
				t.Errorf("registered %+v", all[0])
			}
			l.refs["refs/heads/main"], l.commits["m2"] = "m2", map[string]string{".registry-build.yml": file}
			next := l.decideWith(t.Context(), d, builder.Event{ID: "git:2", Kind: builder.TagPushed, Repository: labRepo, Ref: "refs/tags/v2", Commit: "c1"})
			if next.Registers != tt.again {
				t.Errorf("the next event: %+v", next)
			}
		})
	}
}

// A default branch that cannot be read holds nothing up, and is read later.
func TestFirstEventOfADefaultBranchThatIsAway(t *testing.T) {
	l := newLab(t, store.Options{})
	l.commit("c1", "", "1")
	l.refs["refs/heads/main"] = "away"
	d := l.pushDispatcher()
	first := l.decideWith(t.Context(), d, builder.Event{ID: "git:1", Kind: builder.BranchDeleted, Repository: labRepo, Ref: "refs/heads/other"})
	if first.Registers || first.CancelRef == "" {
		t.Errorf("while it is away: %+v", first)
	}
	l.commit("away", "", "1")
	if next := l.decideWith(t.Context(), d, builder.Event{ID: "git:2", Kind: builder.TagPushed, Repository: labRepo, Ref: "refs/tags/v1", Commit: "c1"}); len(next.Registered) != 1 {
		t.Errorf("when it is back: %+v", next)
	}
}

// A pull request's image counts the triggers of other files, too.
func TestPullsCountOthersTriggers(t *testing.T) {
	l := newLab(t, store.Options{})
	ctx := t.Context()
	var many []config.Trigger
	for _, c := range "abcdefghij" {
		many = append(many, triggerFor(t, "t"+string(c), "all"))
	}
	ops := builder.Repository{Forge: "git", ID: "acme/ops", Owner: "acme", Name: "ops"}
	l.register(ctx, ops, labImage, many...)
	l.commits["c1"] = map[string]string{".registry-build.yml": "version: 1\nimages:\n  - rules: [{pullRequest: true}]\n    triggers: [{name: tell, webhook: {url: \"https://example.com\"}}]\n"}
	l.refs["refs/heads/main"] = "c1"
	decision := l.decideWith(ctx, l.pushDispatcher(), builder.Event{ID: "git:1", Kind: builder.PullChanged, Repository: labRepo,
		Ref: builder.PullRef(7), Commit: "c1", Pull: &builder.Pull{Number: 7, Head: "c1", BaseBranch: "main"}})
	if len(decision.Builds) != 0 || len(decision.Reasons) != 1 || !strings.Contains(decision.Reasons[0].Message, ", 10 in that of acme/ops") {
		t.Errorf("decision %+v", decision)
	}
}
