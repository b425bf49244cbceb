package builder_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
)

const deployFile = `version: 1
images:
  - rules: [{branch: "*", tags: ["${branch}"]}, {tag: "*", tags: ["${tag}"]}]
    triggers: [{name: prod, webhook: {url: "https://example.com/hook"}}]
`

// Nobody deploys by editing the file on a feature branch; the default branch
// itself, and tags of what is there, deploy.
func TestAuthorityOfTheRef(t *testing.T) {
	for _, test := range []struct {
		name, ref    string
		main, commit string // build files
		triggers     int
	}{
		{"the default branch", "refs/heads/main", deployFile, deployFile, 1},
		{"a feature branch adds a trigger", "refs/heads/feature", labFile, deployFile, 0},
		{"a feature branch keeps the default branch's", "refs/heads/feature", deployFile, deployFile, 1},
		{"a tag of a commit that adds a trigger", "refs/tags/v1", labFile, deployFile, 0},
		{"the default branch has no file", "refs/heads/feature", "", deployFile, 0},
		{"the default branch's file is broken", "refs/heads/feature", "version: 9\n", deployFile, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, store.Options{})
			l.commit("base", "", "one")
			l.commits["base"][".registry-build.yml"] = test.main
			if test.main == "" {
				delete(l.commits["base"], ".registry-build.yml")
			}
			l.refs["refs/heads/main"] = "base"
			l.commit("c1", "base", "two")
			l.commits["c1"][".registry-build.yml"] = test.commit
			d := l.push(t.Context(), test.ref, "", "c1")
			if len(d.Builds) != 1 || len(d.Builds[0].Triggers) != test.triggers {
				t.Errorf("decision %+v; want one build with %d triggers", d, test.triggers)
			}
		})
	}
}

func TestForcePushCountsAGeneration(t *testing.T) {
	l := newLab(t, store.Options{})
	l.commit("a", "", "a")
	l.commit("b", "a", "b")
	l.commit("x", "", "x")
	for _, push := range []struct {
		before, commit string
		generation     int64
	}{{"", "a", 1}, {"a", "b", 1}, {"b", "x", 2}, {"x", "a", 3}} {
		d := l.push(t.Context(), "refs/heads/main", push.before, push.commit)
		if len(d.Builds) != 1 || d.Builds[0].Generation != push.generation {
			t.Fatalf("%s -> %s: %+v; want one build of generation %d", push.before, push.commit, d, push.generation)
		}
	}
}

// An event that arrives after a newer one of its ref builds nothing.
func TestOvertakenEventBuildsNothing(t *testing.T) {
	l := newLab(t, store.Options{})
	l.commit("a", "", "a")
	l.commit("b", "a", "b")
	l.commit("c", "b", "c")
	l.push(t.Context(), "refs/heads/main", "", "a")
	l.push(t.Context(), "refs/heads/main", "b", "c")
	d := l.push(t.Context(), "refs/heads/main", "a", "b")
	if len(d.Builds) != 0 || len(d.Reasons) != 1 || !strings.Contains(d.Reasons[0].Message, "overtaken") {
		t.Errorf("decision %+v; want none, overtaken", d)
	}
}

func TestCommitThatIsGoneIsAFailure(t *testing.T) {
	l := newLab(t, store.Options{})
	d := l.push(t.Context(), "refs/heads/main", "", "nowhere")
	if d.Failure == nil || d.Failure.Message != "commit nowhere is gone" {
		t.Errorf("decision %+v; want the source's sentence", d)
	}
}

// awaySources fails a few times, as a forge does that is away.
type awaySources struct {
	builder.Sources
	fails int
}

func (s *awaySources) Open(ctx context.Context, r builder.Repository, commit string) (builder.Source, error) {
	if s.fails--; s.fails >= 0 {
		return nil, errors.New("connection reset")
	}
	return s.Sources.Open(ctx, r, commit)
}

func TestForgeThatIsAwayDefersTheEvent(t *testing.T) {
	l := newLab(t, store.Options{})
	l.commit("c1", "", "one")
	e := builder.Event{ID: "git:1", Kind: builder.BranchPushed, Repository: labRepo, Ref: "refs/heads/main", Commit: "c1"}
	if _, err := l.store.Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	dispatcher := l.dispatcher()
	dispatcher.Sources, dispatcher.Log = &awaySources{l, 1}, slog.New(slog.DiscardHandler)
	run, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); dispatcher.Run(run) }()
	defer func() { stop(); <-done }()
	d, err := l.store.AwaitDecision(t.Context(), e.ID)
	if err != nil || len(d.Builds) != 1 {
		t.Errorf("decision %+v, %v; want one build, at the second try", d, err)
	}
}
