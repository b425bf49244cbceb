package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

func wantInput(t *testing.T, s *store.Store, l *builder.Lease, want builder.Input) {
	t.Helper()
	got, err := s.ClaimInput(ctx, l, "v1:key")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("input for %s: %v (-want +got):\n%s", l.ID, err, diff)
	}
}

// running leaves builds of several repositories running.
func running(t *testing.T, s *store.Store, ids ...string) map[string]*builder.Lease {
	t.Helper()
	leases := make(map[string]*builder.Lease)
	for _, id := range ids {
		enqueue(t, s, pushed("e"+id, id, "refs/heads/main", "c"), id)
		leases[id] = claim(t, s, "w", id)
	}
	return leases
}

func TestInputIsBuiltByOne(t *testing.T) {
	s := storetest.New(t, store.Options{})
	l := running(t, s, "b1", "b2")
	wantInput(t, s, l["b1"], builder.Input{})
	wantInput(t, s, l["b2"], builder.Input{Building: "b1"})
	wantInput(t, s, l["b1"], builder.Input{}) // asking again keeps it the builder
	if err := s.KeepInput(ctx, l["b1"], "v1:key", "sha256:1"); err != nil {
		t.Fatal(err)
	}
	wantInput(t, s, l["b2"], builder.Input{Digest: "sha256:1", From: "b1"})
	finish(t, s, l["b1"], builder.Succeeded)
	wantInput(t, s, l["b2"], builder.Input{Digest: "sha256:1", From: "b1"})

	if err := s.ForgetInput(ctx, "v1:key", "sha256:other"); err != nil {
		t.Fatal(err)
	}
	wantInput(t, s, l["b2"], builder.Input{Digest: "sha256:1", From: "b1"})
	if err := s.ForgetInput(ctx, "v1:key", "sha256:1"); err != nil {
		t.Fatal(err)
	}
	wantInput(t, s, l["b2"], builder.Input{})
}

func TestInputClaimEndsWithItsBuild(t *testing.T) {
	tests := map[string]func(t *testing.T, s *store.Store, l *builder.Lease){
		"failed":   func(t *testing.T, s *store.Store, l *builder.Lease) { finish(t, s, l, builder.Failed) },
		"released": func(t *testing.T, s *store.Store, l *builder.Lease) { _ = s.Release(ctx, l) },
		"lease ran out, nobody claimed since": func(t *testing.T, s *store.Store, l *builder.Lease) {
			store.ExpireLease(t, s, l.ID)
		},
		"lease ran out, next attempt began": func(t *testing.T, s *store.Store, l *builder.Lease) {
			store.ExpireLease(t, s, l.ID)
			claim(t, s, "w2", l.ID)
		},
		"claimed another input": func(t *testing.T, s *store.Store, l *builder.Lease) {
			if _, err := s.ClaimInput(ctx, l, "v1:other"); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			s := storetest.New(t, store.Options{})
			l := running(t, s, "b1", "b2")
			wantInput(t, s, l["b1"], builder.Input{})
			wantInput(t, s, l["b2"], builder.Input{Building: "b1"})
			end(t, s, l["b1"])
			wantInput(t, s, l["b2"], builder.Input{})
			// … and what the former builder's end does, it does to its own claim.
			finish(t, s, l["b2"], builder.Failed)
			if state := record(t, s, "b1").State; !state.Terminal() {
				_, _ = s.Cancel(ctx, "b1", "by ada")
			}
		})
	}
}

func TestAwaitBuild(t *testing.T) {
	s := storetest.New(t, store.Options{Poll: time.Minute})
	if _, err := s.AwaitBuild(ctx, "none"); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
	l := running(t, s, "b1")
	waiting := store.Waiting(s, "build:b1")
	got := make(chan builder.State, 1)
	go func() {
		state, err := s.AwaitBuild(within(t, 5*time.Second), "b1")
		if err != nil {
			t.Error(err)
		}
		got <- state
	}()
	<-waiting
	finish(t, s, l["b1"], builder.Promoted)
	if state := <-got; state != builder.Promoted {
		t.Errorf("%s, want promoted", state)
	}
}
