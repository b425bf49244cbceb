package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

func TestNothingAcceptedIsLostByAKill(t *testing.T) {
	server := storetest.Start(t)
	s := server.Store(t, store.Options{PerRepository: 100})
	enqueue(t, s, pushed("first", "a", "refs/heads/main", "c"), "b1")
	l := claim(t, s, "w", "b1")
	log := s.OpenLog(ctx, l)
	write(t, log, "before the kill\n")
	log.Close()

	// Eight pushers append until the server dies under them.
	var mu sync.Mutex
	var accepted []string
	enough := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("push-%d-%d", i, n)
				if _, err := s.Append(ctx, pushed(id, "b", "refs/heads/main", id)); err != nil {
					if !errors.Is(err, builder.ErrUnavailable) {
						t.Errorf("append while the server dies: %v", err)
					}
					return
				}
				mu.Lock()
				if accepted = append(accepted, id); len(accepted) == 500 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	server.Kill(t)
	wg.Wait()
	server.Restart(t)

	for _, id := range accepted {
		if _, err := s.Event(ctx, id); err != nil {
			t.Errorf("accepted, then lost: %v", err)
		}
	}
	// Some more may be there, whose answers the kill cut off.
	missing := make(map[string]bool)
	for _, id := range accepted {
		missing[id] = true
	}
	seen := make(map[string]bool)
	for len(missing) > 0 {
		e := nextEvent(t, s)
		if seen[e.Event.ID] {
			t.Fatalf("%s came twice", e.Event.ID)
		}
		seen[e.Event.ID] = true
		delete(missing, e.Event.ID)
		if err := s.Decide(ctx, e, builder.Decision{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := text(readLog(t, s, "", false)); got != "before the kill\n" {
		t.Errorf("log %q", got)
	}
	if _, err := s.Heartbeat(ctx, l); err != nil {
		t.Errorf("the lease did not survive: %v", err)
	}
	finish(t, s, l, builder.Succeeded)
	wantState(t, s, "b1", builder.Succeeded)
}

// What a call has said is done is there after kill -9.
func TestWhatWasDoneSurvivesAKill(t *testing.T) {
	server := storetest.Start(t)
	s := server.Store(t, store.Options{PerRepository: 10})
	known(t, s, installed("a", "1"), "a")
	known(t, s, installed("gone", "2"), "gone")
	enqueue(t, s, pullEvent("p1", builder.PullChanged, "b", "c1"), "pull")
	decided(t, s, pullEvent("p2", builder.PullClosed, "b", "c1"), builder.Decision{StopRef: pull5, Untag: 5})
	decided(t, s, withdrawal("w", installed("gone", "2")), builder.Decision{StopInstallation: "2"})
	remark(t, s, onPull, builder.Remark{Topic: "e1", Text: "one", Seq: 1})
	if err := s.Memory().Remember(ctx, "k", "v", time.Hour); err != nil {
		t.Fatal(err)
	}
	if won, err := s.Memory().Claim(ctx, "c", "v", time.Hour); !won || err != nil {
		t.Fatalf("claim: %t, %v", won, err)
	}
	_, carried := effects(t, s), nextEffectOf(t, s, "a-queued")
	if err := s.Retry(ctx, carried, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Cancel(ctx, "a-queued", "by ada"); err != nil {
		t.Fatal(err)
	}

	server.Kill(t)
	server.Restart(t)
	s = server.Store(t, store.Options{PerRepository: 10})
	if want, got := []string{"build a-queued"}, effects(t, s); !sameSet(got, want) {
		t.Errorf("effects %q, want %q", got, want)
	}
	wantCancelled(t, s, "pull", "by the closing of pull request 5")
	wantCancelled(t, s, "gone-queued", "by the removal of the app")
	if diff := cmp.Diff(everything, knows(t, s, installed("a", "1"))); diff != "" {
		t.Errorf("of a (-want +got):\n%s", diff)
	}
	if got := knows(t, s, installed("gone", "2")); len(got) > 0 {
		t.Errorf("of the withdrawn one is known: %q", got)
	}
	if d, err := s.Latest(ctx, "git:acme/b", pull5); err != nil || d.EventID != "p1" {
		t.Errorf("latest: %q, %v", d.EventID, err)
	}
	if all := remark(t, s, onPull); len(all.Remarks) != 1 || !all.Shown {
		t.Errorf("thread: %+v", all)
	}
	if v, err := s.Memory().Recall(ctx, "k"); v != "v" || err != nil {
		t.Errorf("recalled %q, %v", v, err)
	}
	if won, err := s.Memory().Claim(ctx, "c", "w", time.Hour); won || err != nil {
		t.Errorf("claimed again: %t, %v", won, err)
	}
}

// nextEffectOf has the build's report leased.
func nextEffectOf(t testing.TB, s *store.Store, id string) *builder.Effect {
	t.Helper()
	l := claim(t, s, "w", id)
	e := nextEffect(t, s)
	if e.ID != id {
		t.Fatalf("effect of %s, want %s", e.ID, id)
	}
	if err := s.Release(ctx, l); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestCallsOnADeadServerFailQuickly(t *testing.T) {
	server := storetest.Start(t)
	s := server.Store(t, store.Options{})
	enqueue(t, s, pushed("e1", "a", "refs/heads/main", "c"), "b1")
	l := claim(t, s, "w", "b1")
	server.Kill(t)
	calls := map[string]func() error{
		"Ping":   func() error { return s.Ping(ctx) },
		"Append": func() error { _, err := s.Append(ctx, pushed("e2", "a", "refs/heads/main", "c")); return err },
		"Intend": func() error {
			return s.Intend(ctx, []builder.Event{pushed("e2", "a", "refs/heads/main", "c")})
		},
		"Heartbeat":    func() error { _, err := s.Heartbeat(ctx, l); return err },
		"Finish":       func() error { return s.Finish(ctx, l, builder.Succeeded, builder.Result{}) },
		"Build":        func() error { _, err := s.Build(ctx, "b1"); return err },
		"Builds":       func() error { _, _, err := s.Builds(ctx, builder.BuildFilter{}); return err },
		"Cancel":       func() error { _, err := s.Cancel(ctx, "b1", "by ada"); return err },
		"PutStatus":    func() error { _, err := s.PutStatus(ctx, builder.Report{}); return err },
		"Settle":       func() error { return s.Settle(ctx, &builder.Effect{}, builder.TriggerRun{}, builder.Telling{}) },
		"TriggerRuns":  func() error { _, err := s.TriggerRuns(ctx, "b1"); return err },
		"Runs":         func() error { _, _, err := s.Runs(ctx, builder.RunFilter{}); return err },
		"RetryTrigger": func() error { _, err := s.RetryTrigger(ctx, repository("a"), "b1", "x", "ada"); return err },
		"Remark":       func() error { _, err := s.Remark(ctx, onPull, builder.Remark{Topic: "e1", Text: "x"}); return err },
		"Latest":       func() error { _, err := s.Latest(ctx, "git:acme/a", "refs/heads/main"); return err },
		"Recall":       func() error { _, err := s.Memory().Recall(ctx, "k"); return err },
		"Remember":     func() error { return s.Memory().Remember(ctx, "k", "v", time.Hour) },
		"Claim":        func() error { _, err := s.Memory().Claim(ctx, "k", "v", time.Hour); return err },
		"LogTail":      func() error { _, _, err := s.LogTail(ctx, "b1", 100); return err },
		"SeedHeads":    func() error { _, err := s.SeedHeads(ctx, "git:acme/a", map[string]string{"r": "c"}); return err },
		"Active":       func() error { _, err := s.ActiveRepositories(ctx, longAgo); return err },
		"Positions":    func() error { _, err := s.Tags().Positions(ctx, "r", []string{"t"}); return err },
		"ReadLog": func() (err error) {
			for _, err = range s.ReadLog(ctx, "b1", "", false) {
			}
			return err
		},
	}
	for name, call := range calls {
		began := time.Now()
		if err := call(); !errors.Is(err, builder.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("%s took %s", name, d)
		}
	}
}

func TestWaitingCallsRideOutAnOutage(t *testing.T) {
	server := storetest.Start(t)
	s := server.Store(t, store.Options{PerRepository: 10, Poll: 50 * time.Millisecond})
	enqueue(t, s, pushed("e1", "a", "refs/heads/main", "c"), "b1")
	effects(t, s)
	l := claim(t, s, "w", "b1")
	effects(t, s)
	c := within(t, 30*time.Second)
	answers := make(chan string, 10)
	wait := func(name string, f func() error) {
		go func() {
			if err := f(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			answers <- name
		}()
	}
	wait("claim", func() error { _, err := s.Claim(c, "w"); return err })
	wait("await", func() error { _, err := s.AwaitBuild(c, "b1"); return err })
	wait("log", func() (err error) {
		for _, err = range s.ReadLog(c, "b1", "", true) {
		}
		return err
	})
	for _, topic := range []string{"queue", "build:b1", "log:b1"} {
		<-store.Waiting(s, topic)
	}
	server.Kill(t)
	if err := s.Ping(ctx); !errors.Is(err, builder.ErrUnavailable) {
		t.Errorf("ping: %v", err)
	}
	server.Restart(t)
	log := s.OpenLog(ctx, l)
	write(t, log, "after the outage\n")
	finish(t, s, l, builder.Succeeded)
	log.Close()
	enqueue(t, s, pushed("e2", "a", "refs/heads/main", "c"), "b2")
	var got []string
	for range 3 {
		got = append(got, <-answers)
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"await", "claim", "log"}) {
		t.Errorf("answers %q", got)
	}
}

func TestLogWriterRidesOutAnOutage(t *testing.T) {
	server := storetest.Start(t)
	s := server.Store(t, store.Options{})
	enqueue(t, s, pushed("e1", "a", "refs/heads/main", "c"), "b1")
	l := claim(t, s, "w", "b1")
	w := s.OpenLog(ctx, l)
	write(t, w, "before\n")
	server.Kill(t)
	write(t, w, "meanwhile\n")
	server.Restart(t)
	w.Close()
	if got := text(readLog(t, s, "", false)); got != "before\nmeanwhile\n" {
		t.Errorf("log %q", got)
	}
}

func TestOpen(t *testing.T) {
	for name, address := range map[string]string{
		"one server":     "redis://localhost:6379/2",
		"TLS":            "rediss://user:secret@redis.example.com:6380",
		"unix socket":    "unix:///run/redis.sock",
		"a path":         "/run/redis.sock",
		"cluster":        "redis+cluster://a:6379?addr=b:6379",
		"sentinel":       "redis+sentinel://a:26379/0?master_name=main",
		"refused scheme": "http://localhost",
		"refused suffix": "redis+magic://localhost",
		"refused text":   "redis://:secret@localhost:port",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := store.Open(address)
			if bad := name[:3] == "ref"; bad != (err != nil) {
				t.Fatalf("%s: %v", address, err)
			}
			if err == nil {
				c.Close()
			} else if got := err.Error(); !containsAll(got, "redis://HOST:PORT") || containsAll(got, "secret") {
				t.Errorf("error %q", got)
			}
		})
	}
}
