package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

func TestBuildsAreListedAndFiltered(t *testing.T) {
	s := storetest.New(t, store.Options{})
	enqueue(t, s, pushed("e1", "a", "refs/heads/main", "c1"), "01")
	enqueue(t, s, pushed("e2", "b", "refs/heads/main", "c2"), "02", "03")
	enqueue(t, s, pushed("e3", "a", "refs/tags/v1", "c1"), "04")
	enqueue(t, s, pushed("e4", "a", "refs/heads/x", "c4"), "05")
	finish(t, s, claim(t, s, "w", "04"), builder.Succeeded)
	tests := map[string]struct {
		filter builder.BuildFilter
		want   []string
		next   string
	}{
		"all":             {builder.BuildFilter{}, []string{"05", "04", "03", "02", "01"}, ""},
		"of a repository": {builder.BuildFilter{Repository: "git:acme/a"}, []string{"05", "04", "01"}, ""},
		"of an image":     {builder.BuildFilter{Image: "b"}, []string{"03", "02"}, ""},
		"of a ref":        {builder.BuildFilter{Ref: "refs/heads/main"}, []string{"03", "02", "01"}, ""},
		"of a commit":     {builder.BuildFilter{Repository: "git:acme/a", Commit: "c1"}, []string{"04", "01"}, ""},
		"in a state":      {builder.BuildFilter{State: builder.Succeeded}, []string{"04"}, ""},
		"none":            {builder.BuildFilter{Repository: "git:acme/none"}, nil, ""},
		"first page":      {builder.BuildFilter{Limit: 2}, []string{"05", "04"}, "04"},
		"second page":     {builder.BuildFilter{Limit: 2, Before: "04"}, []string{"03", "02"}, "02"},
		"last page":       {builder.BuildFilter{Limit: 2, Before: "02"}, []string{"01"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			records, next, err := s.Builds(ctx, tt.filter)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range records {
				got = append(got, r.ID)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || next != tt.next {
				t.Errorf("next %q, want %q (-want +got):\n%s", next, tt.next, diff)
			}
		})
	}
}

// A pull request's would-be merge is built, and people look at its head.
func TestBuildsOfACommitAreAlsoThoseShownOnIt(t *testing.T) {
	s := storetest.New(t, store.Options{})
	l := undecided(t, s, pullEvent("p1", builder.PullChanged, "a", "head"))
	merged, plain := planned("01", l.Event), planned("02", l.Event)
	merged.Commit, merged.ShownOn = "merge", "head"
	plain.ShownOn = "head"
	if err := s.Decide(ctx, l, builder.Decision{Builds: []builder.Build{merged, plain}}); err != nil {
		t.Fatal(err)
	}
	for commit, want := range map[string][]string{"head": {"02", "01"}, "merge": {"01"}, "none": nil, "": {"02", "01"}} {
		records, _, err := s.Builds(ctx, builder.BuildFilter{Commit: commit})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range records {
			got = append(got, r.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("of %q (-want +got):\n%s", commit, diff)
		}
	}
	if r := record(t, s, "01"); r.Commit != "merge" || r.StatusCommit() != "head" {
		t.Errorf("%+v", r.Build)
	}
}

func TestDelete(t *testing.T) {
	s := storetest.New(t, store.Options{})
	if err := s.Delete(ctx, "none"); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
	enqueue(t, s, pushed("e1", "a", "refs/heads/main", "c1"), "b1")
	if err := s.Delete(ctx, "b1"); !errors.Is(err, builder.ErrState) {
		t.Errorf("queued: %v", err)
	}
	l := claim(t, s, "w", "b1")
	if err := s.Delete(ctx, "b1"); !errors.Is(err, builder.ErrState) {
		t.Errorf("running: %v", err)
	}
	w := s.OpenLog(ctx, l)
	write(t, w, "line\n")
	w.Close()
	finish(t, s, l, builder.Failed)
	effects(t, s) // those that wait are the courier's to find without a build
	if err := s.Delete(ctx, "b1"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Build(ctx, "b1"); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("record after delete: %v", err)
	}
	for _, err := range s.ReadLog(ctx, "b1", "", true) {
		if !errors.Is(err, builder.ErrNotFound) {
			t.Errorf("log after delete: %v", err)
		}
	}
	if records, _, err := s.Builds(ctx, builder.BuildFilter{}); err != nil || len(records) > 0 {
		t.Errorf("list after delete: %v, %v", records, err)
	}
	if left := s.KeysOf(t, "b1"); len(left) > 0 {
		t.Errorf("keys left: %q", left)
	}
}

func TestListIsPrunedOfWhatHasExpired(t *testing.T) {
	s := storetest.New(t, store.Options{Builds: 1}) // a nanosecond: gone at once
	for i := range 4 {
		id := fmt.Sprintf("%02d", i)
		enqueue(t, s, pushed("e"+id, "a", "refs/tags/"+id, "c"), id)
		finish(t, s, claim(t, s, "w", id), builder.Succeeded)
	}
	if _, err := s.Build(ctx, "00"); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("expired build: %v", err)
	}
	if n := s.Listed(t); n > 1 {
		t.Errorf("%d builds in the index, want the last", n)
	}
}
