package oci

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

// journalOn opens the journal in the folder, as a process does that starts.
func journalOn(t *testing.T, dir string, s PushStore) *Journal {
	t.Helper()
	j, err := OpenJournal(JournalOptions{Dir: dir, Store: s, Log: slog.New(slog.DiscardHandler),
		Pusher: func(r *http.Request) (string, bool) { return r.Header.Get("From"), r.Header.Get("From") == "build" }})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// pushed tells the journal of a push.
func pushed(j *Journal, who, digest string) error {
	r := httptest.NewRequest(http.MethodPut, "/", nil)
	r.Header.Set("From", who)
	return j.Pushed(r, Push{Repository: "acme/hello", Tag: "v1", Digest: digest})
}

// run runs the journal until stop, or until the test ends.
func run(t *testing.T, j *Journal) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); j.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// events decides the next n events of the store and returns what they tell.
func events(t *testing.T, s *store.Store, n int) (told []string) {
	t.Helper()
	for range n {
		lease, err := s.NextEvent(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, lease.Event.Actor+" "+lease.Event.Image.Digest)
		if err := s.Decide(t.Context(), lease, builder.Decision{}); err != nil {
			t.Fatal(err)
		}
	}
	return told
}

func TestJournalTellsTheStore(t *testing.T) {
	s := storetest.New(t, store.Options{})
	j := journalOn(t, t.TempDir(), s)
	for _, who := range []string{"build", "ann"} { // what our builds push is nobody's push
		if err := pushed(j, who, "sha256:one"); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"ann sha256:one"}, events(t, s, 1)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// A push while the store is away is answered, and gets there later: by this
// process, or by the next one.
func TestPushesOutliveTheStore(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarted %t", restarted), func(t *testing.T) {
			redis, dir := storetest.Start(t), t.TempDir()
			s := redis.Store(t, store.Options{})
			j := journalOn(t, dir, s)
			stop := func() {}
			if !restarted {
				stop = run(t, j)
			}
			redis.Kill(t)
			if err := pushed(j, "ann", "sha256:old"); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := pushed(j, "ben", "sha256:new"); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > pushWait {
				t.Errorf("the second push took %s, behind one that waits", took)
			}
			files := func() int {
				all, err := filepath.Glob(filepath.Join(dir, "*.json"))
				if err != nil {
					t.Fatal(err)
				}
				return len(all)
			}
			if n := files(); n != 2 {
				t.Fatalf("%d pushes wait, want 2", n)
			}
			if err := os.WriteFile(filepath.Join(dir, "0-torn.json"), []byte(`{"id`), 0o600); err != nil {
				t.Fatal(err)
			}
			redis.Restart(t)
			if restarted {
				j = journalOn(t, dir, s)
				if j.waiting != 3 {
					t.Errorf("%d pushes wait, want 3: what comes now would go before them", j.waiting)
				}
				stop = run(t, j)
			}
			if diff := cmp.Diff([]string{"ann sha256:old", "ben sha256:new"}, events(t, s, 2)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			stop()
			if n := files(); n != 0 {
				t.Errorf("%d pushes wait still", n)
			}
		})
	}
}

// When nothing more can wait, the client is not told that all is well.
func TestPushesThatCannotWait(t *testing.T) {
	redis := storetest.Start(t)
	j := journalOn(t, t.TempDir(), redis.Store(t, store.Options{}))
	redis.Kill(t)
	j.waiting = pushWaiting
	if err := pushed(j, "ann", "sha256:one"); err == nil || !strings.Contains(err.Error(), "wait for the store") {
		t.Errorf("answer %v", err)
	}
}
