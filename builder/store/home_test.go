package store_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

func TestHomes(t *testing.T) {
	s := storetest.New(t, store.Options{})
	repo := func(forge, id, owner, name string) builder.Repository {
		return builder.Repository{Forge: forge, ID: id, Owner: owner, Name: name}
	}
	for i, step := range []struct {
		name string
		repo builder.Repository
		want builder.Home
	}{
		{"the first comes", repo("github", "1", "Acme", "Shop"), builder.Home{Path: "acme/shop"}},
		{"again", repo("github", "1", "Acme", "Shop"), builder.Home{Path: "acme/shop"}},
		{"renamed", repo("github", "1", "acme", "store"), builder.Home{Path: "acme/shop", Others: []string{"acme/store"}}},
		{"transferred", repo("github", "1", "corp", "store"), builder.Home{Path: "acme/shop", Others: []string{"acme/store", "corp/store"}}},
		{"and back", repo("github", "1", "acme", "store"), builder.Home{Path: "acme/shop", Others: []string{"acme/store", "corp/store"}}},
		{"a newcomer under the name between", repo("github", "3", "corp", "store"), builder.Home{Holder: "github:1"}},
		{"a newcomer under the old name", repo("github", "2", "acme", "shop"), builder.Home{Holder: "github:1"}},
		{"the same name at another forge", repo("git", "acme/shop", "acme", "shop"), builder.Home{Path: "git/acme/shop", Holder: "github:1"}},
		{"a newcomer under that name there", repo("git", "x", "acme", "shop"), builder.Home{Holder: "github:1"}},
		{"a name that nobody has", repo("github", "2", "acme", "other"), builder.Home{Path: "acme/other"}},
		{"an owner called like a forge", repo("github", "4", "git", "acme"), builder.Home{Path: "github/git/acme"}},
		{"and one that is called so at that forge", repo("git", "GitHub/acme", "GitHub", "acme"), builder.Home{Path: "git/github/acme"}},
		{"a group at one forge that is a repository at another", repo("gitlab", "5", "Acme/Other", "api"), builder.Home{Path: "gitlab/acme/other/api", Holder: "github:2"}},
		{"nested groups", repo("gitlab", "6", "corp/platform", "api"), builder.Home{Path: "corp/platform/api"}},
		{"its neighbour", repo("gitlab", "7", "corp/platform", "web"), builder.Home{Path: "corp/platform/web"}},
		{"a repository at another forge that is a group at one", repo("github", "8", "corp", "platform"), builder.Home{Path: "github/corp/platform", Holder: "gitlab:6"}},
		{"an owner of groups called like a forge", repo("gitlab", "9", "github/corp", "platform"), builder.Home{Path: "gitlab/github/corp/platform"}},
		{"renamed into a name below somebody else's", repo("gitlab", "7", "acme/shop", "web"), builder.Home{Path: "corp/platform/web", Holder: "github:1"}},
		{"the newcomer, back under the old name", repo("github", "2", "acme", "shop"), builder.Home{Path: "acme/other", Holder: "github:1"}},
	} {
		e := builder.Event{ID: "github:" + string(rune('a'+i)), Kind: builder.BranchPushed, Repository: step.repo, Ref: "refs/heads/main", Commit: "c"}
		if _, err := s.Append(ctx, e); err != nil {
			t.Fatal(err)
		}
		l := nextEvent(t, s)
		if diff := cmp.Diff(step.want, l.Home); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
		if err := s.Decide(ctx, l, builder.Decision{}); err != nil {
			t.Fatal(err)
		}
	}
}

// What is no repository of anybody's takes no name away.
func TestHomesAreForRepositories(t *testing.T) {
	s := storetest.New(t, store.Options{})
	upload := builder.Event{ID: "api:1", Kind: builder.Requested, Repository: builder.Repository{Forge: "upload", ID: "u", Owner: "acme", Name: "shop"},
		Request: &builder.Request{Dockerfile: "FROM scratch"}}
	push := builder.Event{ID: "git:1", Kind: builder.BranchPushed, Repository: repository("shop"), Ref: "refs/heads/main", Commit: "c"}
	push.Repository.Owner = "acme"
	for _, e := range []builder.Event{upload, push} {
		if _, err := s.Append(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		l := nextEvent(t, s)
		if want := map[string]string{"api:1": "", "git:1": "acme/shop"}[l.Event.ID]; l.Home.Path != want {
			t.Errorf("%s: home %q, want %q", l.Event.ID, l.Home.Path, want)
		}
	}
}

// Whoever renames all day does not take all names away.
func TestNamesAreCounted(t *testing.T) {
	s := storetest.New(t, store.Options{})
	home := func(id, name string) builder.Home {
		t.Helper()
		e := builder.Event{ID: "github:" + id + name, Kind: builder.BranchPushed, Ref: "refs/heads/main", Commit: "c",
			Repository: builder.Repository{Forge: "github", ID: id, Owner: "acme", Name: name}}
		if _, err := s.Append(ctx, e); err != nil {
			t.Fatal(err)
		}
		l := nextEvent(t, s)
		if err := s.Decide(ctx, l, builder.Decision{}); err != nil {
			t.Fatal(err)
		}
		return l.Home
	}
	for i := range 24 {
		home("1", fmt.Sprint("name", i))
	}
	if h := home("1", "name24"); len(h.Others) != 20 {
		t.Errorf("%d other names", len(h.Others))
	}
	if h := home("2", "name20"); h.Holder != "github:1" {
		t.Errorf("the last name that was counted: %+v", h)
	}
	if h := home("3", "name21"); h.Path != "acme/name21" {
		t.Errorf("the first that was not: %+v", h)
	}
}
