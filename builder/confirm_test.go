package builder_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/registry-build/registry-build/builder"
)

// asked is a forge that signs nothing.
type asked struct {
	*labForge
	names map[string]string // id -> name it has; the rest are not there
}

func (f asked) Confirm(_ context.Context, e builder.Event) (builder.Repository, error) {
	repo, name := e.Repository, f.names[e.Repository.ID]
	if e.Via == "somebody else's" {
		return repo, fmt.Errorf("not below it: %w", builder.ErrDenied)
	}
	if name == "" {
		return repo, builder.ErrNotFound
	}
	repo.Name, repo.DefaultBranch = name, labRepo.DefaultBranch
	return repo, nil
}

// confirmed decides an event as told by a forge that signs nothing.
func (l *town) confirmed(ctx context.Context, e builder.Event) builder.Decision {
	l.t.Helper()
	l.comments++
	e.ID = fmt.Sprintf("git:told-%d", l.comments)
	l.confirms = asked{l.forge, map[string]string{labRepo.ID: labRepo.Name}}
	defer func() { l.confirms = nil }()
	return l.decide(ctx, e)
}

// Who may say what a webhook tells claims no name that his project has not: a
// policy would take him for its owner.
func TestClaimedNamesAreAsked(t *testing.T) {
	l := newTown(t)
	evil := labRepo
	evil.Owner, evil.Name, evil.DefaultBranch = "acme", "payments", "a-branch-of-mine"
	e := builder.Event{Kind: builder.BranchPushed, Repository: evil, Ref: "refs/heads/main", Commit: hash("a0"), Via: "webhook"}
	d := l.confirmed(t.Context(), e)
	if len(d.Builds) == 0 || d.Builds[0].Repository.Name != "hello" {
		t.Fatalf("%+v; want builds of acme/hello", d)
	}
	for _, b := range d.Builds {
		if b.Repository.DefaultBranch != labRepo.DefaultBranch || b.Repository.Name != "hello" || b.Destination == "acme/payments" {
			t.Errorf("%s is built as %s into %s", b.Image, b.Repository.FullName(), b.Destination)
		}
	}
	e.Via = "somebody else's"
	if d := l.confirmed(t.Context(), e); len(d.Builds) != 0 || d.Failure != nil || len(d.Reasons) != 1 || d.Head != nil {
		t.Errorf("%+v; want that nothing comes of it", d)
	}
	// A repository that is gone can still end what builds of it.
	gone := builder.Event{Kind: builder.PullClosed, Repository: labRepo, Ref: builder.PullRef(7), Pull: &builder.Pull{Number: 7}, Via: "webhook"}
	gone.Repository.ID = "gone"
	delete(l.forge.pulls, 7)
	if d := l.confirmed(t.Context(), gone); d.Untag != 7 {
		t.Errorf("%+v", d)
	}
}

// What a webhook says of whose code a pull request's head is, is asked before
// it is built with the repository's rights.
func TestClaimedPullRequestsAreAsked(t *testing.T) {
	fork := builder.Pull{Number: 8, Author: "eve", HeadBranch: "main", Head: hash("80"), BaseBranch: "main", Open: true}
	for _, tt := range []struct {
		name  string
		claim func(p *builder.Pull)
		now   func(l *town)
		via   string
		want  string // how the commit is taken
	}{
		{name: "a fork's that is called our own", via: "webhook", want: "waits"},
		{name: "nobody knows it", via: "webhook", now: func(l *town) { delete(l.forge.pulls, 8) }, want: "waits"},
		{name: "we may not ask", via: "webhook", now: func(l *town) { l.forge.denied = builder.ErrDenied }, want: "waits"},
		{name: "a fork's commit under the number of another", via: "webhook", claim: func(p *builder.Pull) { p.Number = 7 }, want: "nothing"},
		{name: "our own", via: "webhook", now: func(l *town) {
			p := l.forge.pulls[8]
			p.Fork = false
			l.forge.pulls[8] = p
		}, want: "trusted"},
		{name: "found by asking", want: "trusted"}, // the forge's own word
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, p := newTown(t), fork
			if tt.claim != nil {
				tt.claim(&p)
			}
			if tt.now != nil {
				tt.now(l)
			}
			d := l.confirmed(t.Context(), builder.Event{Kind: builder.PullChanged, Repository: labRepo, Ref: builder.PullRef(p.Number), Commit: p.Head, Pull: &p, Via: tt.via})
			got := "nothing"
			switch {
			case d.Unapproved != "":
				got = "waits"
			case len(d.Builds) > 0:
				got = string(d.Builds[0].Lane)
			}
			if got != tt.want {
				t.Errorf("the commit: %s, want %s (%+v)", got, tt.want, d)
			}
		})
	}
}
