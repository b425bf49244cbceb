package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
	"github.com/registry-build/registry-build/config"
)

const embedded = "127.0.0.1:5080"

// registration is what the repository's file says about an image repository.
func registration(repo, images string) builder.Registration {
	r := repository(repo)
	return builder.Registration{
		Destination: images, Repository: r, Names: []string{r.Key(), "acme/" + repo}, Image: "api",
		Ref: "refs/heads/main", Commit: "c1", Triggers: []config.Trigger{{Name: "prod"}},
	}
}

// register has a push of the repository's default branch register these.
func register(t *testing.T, s *store.Store, id, repo string, list ...builder.Registration) {
	t.Helper()
	accept(t, s, pushed(id, repo, "refs/heads/main", id))
	if err := s.Decide(ctx, nextEvent(t, s), builder.Decision{Registers: true, Registered: list}); err != nil {
		t.Fatal(err)
	}
}

// holders returns whose registrations an image repository has, in order.
func holders(t *testing.T, s *store.Store, images string) []string {
	t.Helper()
	all, err := s.Registrations(ctx, images)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range all {
		names = append(names, r.Repository.Name)
	}
	return names
}

func pushedDigest(t *testing.T, s *store.Store, images, tag string) string {
	t.Helper()
	digest, err := s.Pushed(ctx, images, tag)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestRegistrationsFollowTheDefaultBranch(t *testing.T) {
	s := storetest.New(t, store.Options{Host: embedded})
	both := registration("shop", "acme/shop/api")
	register(t, s, "1", "shop", both, registration("shop", "registry.example.com/acme/web"))
	register(t, s, "2", "alpha", registration("alpha", "acme/shop/api"))
	if diff := cmp.Diff([]string{"shop", "alpha"}, holders(t, s, embedded+"/acme/shop/api")); diff != "" {
		t.Errorf("the holder does not come first (-want +got):\n%s", diff)
	}
	got, err := s.Registrations(ctx, "acme/shop/api")
	if err != nil || len(got) == 0 {
		t.Fatal(got, err)
	}
	if diff := cmp.Diff(both, got[0]); diff != "" {
		t.Errorf("registration (-want +got):\n%s", diff)
	}

	// A decision that registers nothing leaves them; one of another file takes
	// away what it does not have any more.
	enqueue(t, s, pushed("3", "shop", "refs/heads/feature", "3"))
	register(t, s, "4", "shop", registration("shop", "acme/shop/worker"))
	for images, want := range map[string][]string{
		"acme/shop/api": {"alpha"}, "acme/shop/worker": {"shop"}, "registry.example.com/acme/web": nil,
	} {
		if diff := cmp.Diff(want, holders(t, s, images)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", images, diff)
		}
	}

	// Who shuts us out has nothing registered any more.
	accept(t, s, builder.Event{ID: "5", Kind: builder.Installation, Repository: repository("shop"), Withdrawn: true})
	if err := s.Decide(ctx, nextEvent(t, s), builder.Decision{StopAll: "removed"}); err != nil {
		t.Fatal(err)
	}
	if got := holders(t, s, "acme/shop/worker"); got != nil {
		t.Errorf("after the removal: %v", got)
	}
}

// A repository is read once for what it registers, also if that was nothing,
// and afresh when it comes back.
func TestLeaseSaysWhoHasRegistered(t *testing.T) {
	s := storetest.New(t, store.Options{})
	for i, tt := range []struct {
		decision builder.Decision
		before   bool
	}{
		{builder.Decision{}, false},
		{builder.Decision{Registers: true}, false},
		{builder.Decision{Registers: true, Registered: []builder.Registration{registration("shop", "acme/shop")}}, true},
		{builder.Decision{}, true},
		{builder.Decision{StopAll: "removed"}, true},
		{builder.Decision{}, false},
	} {
		accept(t, s, pushed(fmt.Sprint(i), "shop", "refs/heads/main", fmt.Sprint(i)))
		l := nextEvent(t, s)
		if l.Registered != tt.before {
			t.Errorf("event %d: registered %t, want %t", i, l.Registered, tt.before)
		}
		if err := s.Decide(ctx, l, tt.decision); err != nil {
			t.Fatal(err)
		}
	}
}

// What our builds put is known under the name that pushes are told by.
func TestTagsThatAreSetAreKnown(t *testing.T) {
	s := storetest.New(t, store.Options{Host: embedded})
	tags := s.Tags()
	position := builder.Position{Repository: "git:acme/a", Ref: "refs/heads/main", Commit: "c1", Seq: 1}
	for _, tt := range []struct{ name, ledger, known string }{
		{"of the embedded registry", embedded + "/acme/a", "acme/a"},
		{"of another", "registry.example.com/acme/a", "registry.example.com/acme/a"},
		{"of Docker Hub", "index.docker.io/acme/a", "docker.io/acme/a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, err := tags.Lock(ctx, tt.ledger, "b1#1")
			if err != nil {
				t.Fatal(err)
			}
			set := func(p builder.Position) {
				t.Helper()
				if err := tags.SetPositions(ctx, tt.ledger, token, map[string]builder.Position{"latest": p}); err != nil {
					t.Fatal(err)
				}
			}
			check := func(digest string, positions int) {
				t.Helper()
				if got := pushedDigest(t, s, tt.known, "latest"); got != digest {
					t.Errorf("latest is known to name %q, want %q", got, digest)
				}
				if got, err := tags.Positions(ctx, tt.ledger, []string{"latest"}); err != nil || len(got) != positions {
					t.Errorf("positions %v, %v; want %d", got, err, positions)
				}
			}
			put := position
			put.Digest = "sha256:two"
			set(put)
			check("sha256:two", 1)
			set(builder.Position{Digest: "sha256:one"}) // put back where it had no position
			check("sha256:one", 0)
			set(builder.Position{})
			check("", 0)
			if err := tags.Unlock(ctx, tt.ledger, token); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func imagePushed(id, repo string) builder.Event {
	return builder.Event{ID: id, Kind: builder.ImagePushed, Repository: repository(repo), Actor: "ada",
		Image: &builder.ImagePush{Destination: "acme/" + repo, Tag: "v1", Digest: "sha256:two"}}
}

// pushDecision is what such an event comes to that fires a trigger.
func pushDecision(e builder.Event, id, was string) builder.Decision {
	b := planned(id, e)
	b.Lineage, b.Triggers = "", []config.Trigger{{Name: "prod"}, {Name: "audit"}}
	return builder.Decision{
		Known: &builder.KnownTag{ImagePush: *e.Image, Was: was},
		Pushes: []builder.Push{{Fire: []string{"prod"}, Record: builder.Record{
			Build: b, Progress: builder.Progress{State: builder.Pushed},
			Result: builder.Result{Digest: e.Image.Digest, Tagged: []builder.TagOutcome{{Tag: "v1", Moved: true, Previous: was}}},
		}}},
	}
}

func TestAPushIsARecordThatFires(t *testing.T) {
	s := storetest.New(t, store.Options{})
	accept(t, s, imagePushed("registry:1", "a"))
	l := nextEvent(t, s)
	d := pushDecision(l.Event, "06db3m8e7g0k5rqa", "")
	for range 2 { // the answer to the first may be lost
		if err := s.Decide(ctx, l, d); err != nil {
			t.Fatal(err)
		}
	}
	got := record(t, s, "06db3m8e7g0k5rqa")
	if got.State != builder.Pushed || got.FinishedAt.IsZero() || got.Place != 0 {
		t.Errorf("progress %+v", got.Progress)
	}
	want := d.Pushes[0].Record
	want.Progress = got.Progress
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if page, _, err := s.Builds(ctx, builder.BuildFilter{Repository: l.Event.Repository.Key(), State: builder.Pushed}); err != nil || len(page) != 1 {
		t.Errorf("listed: %v, %v", page, err)
	}
	claimNothing(t, s)
	var effects []string
	for e := s.TryEffect(t); e != nil; e = s.TryEffect(t) {
		effects = append(effects, string(e.Kind)+" "+e.ID+" "+e.Trigger)
		if err := s.Done(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range []string{"trigger 06db3m8e7g0k5rqa prod", "event registry:1 "} {
		if !contains(effects, e) {
			t.Errorf("effects %q; want %q among them", effects, e)
		}
	}
	if len(effects) != 2 {
		t.Errorf("effects %q; want two", effects)
	}
	for _, err := range s.ReadLog(within(t, 5e9), got.ID, "", true) {
		if err != nil {
			t.Errorf("its log: %v", err)
		}
	}
	if got := pushedDigest(t, s, "acme/a", "v1"); got != "sha256:two" {
		t.Errorf("v1 is known to name %q", got)
	}
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// A build that puts the tag while a push of it is decided makes the decision
// void: it may be that build's own tag that the registry tells of.
func TestADecisionOnATagThatMovedIsMadeAgain(t *testing.T) {
	s := storetest.New(t, store.Options{})
	accept(t, s, imagePushed("registry:1", "a"))
	l := nextEvent(t, s)
	token, err := s.Tags().Lock(ctx, "acme/a", "b1#1")
	if err != nil {
		t.Fatal(err)
	}
	put := builder.Position{Repository: "git:acme/a", Commit: "c1", Digest: "sha256:two"}
	if err := s.Tags().SetPositions(ctx, "acme/a", token, map[string]builder.Position{"v1": put}); err != nil {
		t.Fatal(err)
	}
	if err := s.Decide(ctx, l, pushDecision(l.Event, "06db3m8e7g0k5rqa", "sha256:one")); !errors.Is(err, builder.ErrLeaseLost) {
		t.Fatalf("decided: %v", err)
	}
	if _, err := s.Build(ctx, "06db3m8e7g0k5rqa"); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("there is a record: %v", err)
	}
	again := nextEvent(t, s)
	if again.Event.ID != "registry:1" || again.Attempt != 2 {
		t.Errorf("%s comes again in attempt %d", again.Event.ID, again.Attempt)
	}
}

// An image that somebody pushes is no repository's first sign of life: it
// takes nobody's name, and does not say anew what a repository is like.
func TestAPushClaimsNoHome(t *testing.T) {
	s := storetest.New(t, store.Options{})
	squatter := imagePushed("registry:1", "shop")
	squatter.Repository = builder.Repository{Forge: "registry", ID: "acme/shop", Owner: "acme", Name: "shop"}
	accept(t, s, squatter)
	l := nextEvent(t, s)
	if diff := cmp.Diff(builder.Home{}, l.Home); diff != "" {
		t.Errorf("the push's home:\n%s", diff)
	}
	if err := s.Decide(ctx, l, builder.Decision{}); err != nil {
		t.Fatal(err)
	}
	accept(t, s, pushed("git:1", "shop", "refs/heads/main", "c1"))
	l = nextEvent(t, s)
	if l.Home.Path != "acme/shop" || l.Home.Holder != "" {
		t.Errorf("the repository's home is %+v", l.Home)
	}
	if err := s.Decide(ctx, l, builder.Decision{}); err != nil {
		t.Fatal(err)
	}
	stale := imagePushed("registry:2", "shop")
	stale.Repository.Name = "old-name"
	accept(t, s, stale)
	if r, err := s.Repository(ctx, repository("shop").Key()); err != nil || r.Name != "shop" {
		t.Errorf("the repository is %+v, %v", r, err)
	}
}
