package builder_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// A protected branch has the authority of the default branch. The forge is
// asked only where that makes a difference.
func TestAuthorityOfProtectedBranches(t *testing.T) {
	for _, test := range []struct {
		name      string
		protected bool
		file      string
		triggers  int
		asked     int
	}{
		{"protected, with a trigger of its own", true, deployFile, 1, 1},
		{"not protected", false, deployFile, 0, 1},
		{"the default branch's file", false, labFile, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newTown(t)
			l.file("a0", "", labFile)
			l.file("b0", "a0", strings.Replace(test.file, "branch: main", `branch: "*"`, 1))
			if test.file == labFile {
				l.file("a0", "", strings.Replace(test.file, "branch: main", `branch: "*"`, 1))
			}
			l.forge.protected["refs/heads/release"] = test.protected
			d := l.push(t.Context(), "refs/heads/release", "", hash("b0"))
			if len(d.Builds) != 1 || len(d.Builds[0].Triggers) != test.triggers || l.forge.asked != test.asked {
				t.Errorf("asked %d times, %+v; want %d triggers, asked %d times", l.forge.asked, d, test.triggers, test.asked)
			}
		})
	}
}

func TestSuggestion(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	for name, files := range map[string][]string{"c1": {"services/api/Dockerfile", "vendor/x/Dockerfile", "README.md"}, "c2": {"README.md"}} {
		l.commits[hash(name)] = map[string]string{}
		for _, f := range files {
			l.commits[hash(name)][f] = "x"
		}
	}
	d := l.push(ctx, "refs/heads/main", "", hash("c1"))
	if d.Suggestion == nil || len(d.Suggestion.Dockerfiles) != 1 || d.Suggestion.File == "" || d.Hint == "" {
		t.Errorf("%+v; want a suggestion of one Dockerfile", d)
	}
	for what, d := range map[string]builder.Decision{
		"another branch": l.push(ctx, "refs/heads/other", "", hash("c1")),
		"no Dockerfile":  l.push(ctx, "refs/heads/main", hash("c1"), hash("c2")),
	} {
		if d.Suggestion != nil || d.Hint == "" {
			t.Errorf("%s: %+v", what, d)
		}
	}
}

func TestInstallation(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	d := l.decide(ctx, builder.Event{ID: "git:1", Kind: builder.Installation})
	if d.StopAll != "" || len(d.Reasons) != 1 {
		t.Errorf("let in: %+v", d)
	}
	built := l.pulled(ctx, 7, "70").Builds
	d = l.decide(ctx, builder.Event{ID: "git:2", Kind: builder.Installation, Withdrawn: true})
	if d.StopAll != "registry-build was removed from the repository" || d.StopInstallation != "" {
		t.Errorf("shut out: %+v", d)
	}
	for _, b := range built {
		r, err := l.store.Build(ctx, b.ID)
		if err != nil || r.State != builder.Cancelled || r.Reason != d.StopAll {
			t.Errorf("%s: %s %q, %v", b.Image, r.State, r.Reason, err)
		}
	}
	all := builder.Repository{Forge: "git", ID: "installation-5", Owner: "acme", Name: "*", Installation: "5"}
	if d = l.decide(ctx, builder.Event{ID: "git:3", Kind: builder.Installation, Withdrawn: true, Repository: all}); d.StopInstallation != "5" {
		t.Errorf("all shut out: %+v", d)
	}
}

// A limit of the forge's passes, however long it takes: the event waits as
// long as it says, and is not given up.
func TestForgeThatSaysLater(t *testing.T) {
	l := newTown(t)
	inbox := &laterInbox{deferred: make(chan time.Duration, 1)}
	d := l.dispatcher()
	d.Inbox, d.Forges = inbox, map[string]builder.Forge{labRepo.Forge: busyForge{l.forge}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go d.Run(ctx)
	if wait := <-inbox.deferred; wait != 4*time.Minute {
		t.Errorf("deferred for %s", wait)
	}
}

type laterInbox struct {
	builder.Inbox
	told     bool
	deferred chan time.Duration
}

func (i *laterInbox) NextEvent(ctx context.Context, _ string) (*builder.EventLease, error) {
	if i.told {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	i.told = true
	p := builder.Pull{Number: 7}
	return &builder.EventLease{Attempt: 3000, Event: builder.Event{ID: "git:1", Kind: builder.PullClosed, Repository: labRepo, Pull: &p}}, nil
}

func (i *laterInbox) ClaimHome(context.Context, *builder.EventLease) error { return nil }

func (i *laterInbox) Defer(_ context.Context, _ *builder.EventLease, wait time.Duration) error {
	i.deferred <- wait
	return nil
}

func (i *laterInbox) Decide(context.Context, *builder.EventLease, builder.Decision) error {
	i.deferred <- -1
	return nil
}

// A permission that the installation lacks holds nothing up: what cannot be
// asked is taken for what is safe, and a command is told.
func TestForgeThatLetsUsAskNothing(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	l.forge.merge, l.forge.denied = true, builder.ErrDenied
	l.file("b0", "a0", strings.Replace(deployFile, "name: prod", "name: mine", 1))
	if d := l.push(ctx, "refs/heads/release", "", hash("b0")); len(d.Builds) != 1 || len(d.Builds[0].Triggers) != 0 {
		t.Errorf("%+v; want no authority", d)
	}
	d := l.pulled(ctx, 7, "70")
	wantBuilds(t, d, "trusted api pull/7/head 7 tags pr-7 1 triggers", "trusted web pull/7/head 7")
	if len(d.Builds) > 0 && !slices.Equal(d.Builds[0].Warnings, []string{"this is built from the head, not from the merge: the forge does not show us the pull request"}) {
		t.Errorf("warnings %q", d.Builds[0].Warnings)
	}
	p := l.forge.pulls[7]
	if d := l.decide(ctx, builder.Event{ID: "git:closed", Kind: builder.PullClosed, Ref: builder.PullRef(7), Commit: hash("70"), Pull: &p}); d.Untag != 7 {
		t.Errorf("%+v; want its tags to go", d)
	}
	want(t, l.comment(ctx, 7, "ada", "/build"), "no: registry-build may not see who can write to this repository: the app lacks a permission here, and the operator's log says which.")
	l.forge.mayPeople = true
	want(t, l.comment(ctx, 7, "ada", "/build"), "no: registry-build may not read pull requests here: the app lacks a permission, and the operator's log says which.")
}

type busyForge struct{ builder.Forge }

func (busyForge) Pull(context.Context, builder.Repository, int) (builder.Pull, error) {
	return builder.Pull{}, fmt.Errorf("pull request: %w", builder.Later{Wait: 4 * time.Minute, Reason: "rate limit"})
}

// A seed that fails is tried again, and without one nothing happens.
func TestLetInSeedsTheHeads(t *testing.T) {
	l := newTown(t)
	var seeded []string
	d := l.dispatcher()
	d.Log = slog.New(slog.DiscardHandler)
	d.Seed = func(_ context.Context, repo builder.Repository) error {
		if seeded = append(seeded, repo.Key()); len(seeded) == 1 {
			return errors.New("connection reset")
		}
		return nil
	}
	e := builder.Event{ID: "git:1", Kind: builder.Installation, Repository: labRepo}
	if _, err := l.store.Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(run) }()
	defer func() { stop(); <-done }()
	if _, err := l.store.AwaitDecision(t.Context(), e.ID); err != nil || len(seeded) != 2 {
		t.Errorf("seeded %q, %v", seeded, err)
	}
}
