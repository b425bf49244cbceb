package builder_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
)

func TestAttempt(t *testing.T) {
	for _, test := range []struct {
		name    string
		set     func(l *lab)
		state   builder.State
		log     string
		failure string
		digest  string
	}{
		{
			name: "built, pushed by digest, tagged", state: builder.Succeeded, digest: "sha256:one",
			log: "tag registry.test/acme/hello:latest\ndigest registry.test/acme/hello@sha256:one\n",
		},
		{
			name: "the Dockerfile is not there", state: builder.Failed,
			set:     func(l *lab) { delete(l.commits["c1"], "Dockerfile") },
			failure: `there is no Dockerfile at commit c1; "dockerfile:" in .registry-build.yml names it`,
			log:     "failed: there is no Dockerfile",
		},
		{
			name: "the pusher's failure is shown with its place, and secrets are hidden in it", state: builder.Failed,
			set: func(l *lab) {
				l.solve = func(context.Context, builder.SolveRequest, io.Writer) (builder.Solution, error) {
					return builder.Solution{}, &builder.Failure{Stage: builder.StageBuild, File: "Dockerfile", Line: 2,
						Message: "RUN curl -u ada:hunter2 exited with 22", Excerpt: ">>> 2 | RUN curl", Output: "hunter2 refused"}
				}
			},
			failure: "RUN curl -u ada:*** exited with 22",
			log:     ">>> 2 | RUN curl",
		},
		{
			name: "a builder that is away for a moment is asked again", state: builder.Succeeded, digest: "sha256:one",
			set: func(l *lab) {
				var tries atomic.Int32
				l.solve = func(context.Context, builder.SolveRequest, io.Writer) (builder.Solution, error) {
					if tries.Add(1) == 1 {
						return builder.Solution{}, errAway
					}
					return builder.Solution{Digest: "sha256:one"}, nil
				}
			},
			log: "something on the builder's side failed; trying again in 1s",
		},
		{
			name: "a daemon that has stopped is asked again, and is nobody's broken Dockerfile", state: builder.Succeeded, digest: "sha256:one",
			set: func(l *lab) {
				var tries atomic.Int32
				l.solve = func(context.Context, builder.SolveRequest, io.Writer) (builder.Solution, error) {
					if tries.Add(1) == 1 {
						return builder.Solution{}, &builder.Failure{Stage: builder.StageInternal,
							Message: "the build daemon cannot be reached or has stopped; build again when it is back", Err: errAway}
					}
					return builder.Solution{Digest: "sha256:one"}, nil
				}
			},
			log: "the build daemon cannot be reached or has stopped; trying again in 1s",
		},
		{
			name: "tags that cannot be put fail the build, and it keeps its digest", state: builder.Failed, digest: "sha256:one",
			set: func(l *lab) {
				l.put = func(builder.TagRequest) ([]builder.TagOutcome, error) {
					return nil, &builder.Failure{Stage: builder.StageTag, Message: "the registry refuses tags"}
				}
			},
			failure: "the registry refuses tags",
		},
		{
			name: "a tag that a newer commit has is left there", state: builder.Succeeded, digest: "sha256:one",
			set: func(l *lab) {
				l.put = func(r builder.TagRequest) ([]builder.TagOutcome, error) {
					return []builder.TagOutcome{{Tag: "latest", HeldBy: "abcdef0123"}}, nil
				}
			},
			log: "tag latest left on abcdef, which is newer",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, store.Options{})
			l.commit("c1", "", "one")
			if test.set != nil {
				test.set(l)
			}
			d := l.push(t.Context(), "refs/heads/main", "", "c1")
			r := l.work(t.Context(), d.Builds[0].ID)
			if r.State != test.state || r.Digest != test.digest {
				t.Errorf("state %s, digest %q; want %s, %q (failure %v)", r.State, r.Digest, test.state, test.digest, r.Failure)
			}
			if got := fmt.Sprint(r.Failure); test.failure != "" && !strings.Contains(got, test.failure) {
				t.Errorf("failure %q; want %q in it", got, test.failure)
			}
			if log := l.log(t.Context(), r.ID); !strings.Contains(log, test.log) {
				t.Errorf("log has no %q:\n%s", test.log, log)
			}
		})
	}
}

func TestSameInputIsPromoted(t *testing.T) {
	l := newLab(t, store.Options{})
	var solves atomic.Int32
	l.solve = func(context.Context, builder.SolveRequest, io.Writer) (builder.Solution, error) {
		return builder.Solution{Digest: fmt.Sprintf("sha256:%d", solves.Add(1))}, nil
	}
	l.commit("c1", "", "one")
	l.commit("c2", "c1", "one") // another commit, the same tree
	first := l.work(t.Context(), l.push(t.Context(), "refs/heads/main", "", "c1").Builds[0].ID)
	second := l.work(t.Context(), l.push(t.Context(), "refs/heads/main", "c1", "c2").Builds[0].ID)
	if second.State != builder.Promoted || second.Digest != first.Digest || second.From != first.ID || solves.Load() != 1 {
		t.Errorf("second build: %s, %s from %q after %d solves; want promoted, %s from %s after 1",
			second.State, second.Digest, second.From, solves.Load(), first.Digest, first.ID)
	}

	// A digest that the registry has lost is built again.
	l.resolve = func(string) (string, error) { return "", builder.ErrNotFound }
	third := l.work(t.Context(), l.push(t.Context(), "refs/tags/v1", "", "c2").Builds[0].ID)
	if third.State != builder.Succeeded || third.Digest != "sha256:2" {
		t.Errorf("third build: %s, %s; want succeeded, sha256:2", third.State, third.Digest)
	}
}

func TestSameInputInFlightIsJoined(t *testing.T) {
	l := newLab(t, store.Options{PerRepository: 2})
	started, goOn := make(chan struct{}), make(chan struct{})
	var solves atomic.Int32
	l.solve = func(context.Context, builder.SolveRequest, io.Writer) (builder.Solution, error) {
		solves.Add(1)
		close(started)
		<-goOn
		return builder.Solution{Digest: "sha256:one"}, nil
	}
	l.commit("c1", "", "one")
	main := l.push(t.Context(), "refs/heads/main", "", "c1").Builds[0].ID
	tag := l.push(t.Context(), "refs/tags/v1", "", "c1").Builds[0].ID
	run, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.worker().Run(run) }()
	defer func() { stop(); <-done }()
	<-started
	waiting := make(chan string, 2)
	for _, id := range []string{main, tag} { // either may be the one that waits
		go func() {
			for chunk := range l.store.ReadLog(run, id, "", true) {
				if strings.Contains(string(chunk.Data), "waiting for it") {
					waiting <- id
				}
			}
		}()
	}
	<-waiting
	close(goOn)
	a, b := l.ended(t.Context(), main), l.ended(t.Context(), tag)
	if solves.Load() != 1 || a.Digest != b.Digest || a.State == b.State {
		t.Errorf("%d solves, %s %s and %s %s; want one solve, the same digest, one promoted", solves.Load(), a.State, a.Digest, b.State, b.Digest)
	}
}

func TestCacheFalseNeitherReadsNorJoins(t *testing.T) {
	l := newLab(t, store.Options{})
	var solves atomic.Int32
	l.solve = func(context.Context, builder.SolveRequest, io.Writer) (builder.Solution, error) {
		solves.Add(1)
		return builder.Solution{Digest: "sha256:one"}, nil
	}
	for _, c := range []string{"c1", "c2"} {
		l.commit(c, "", "one")
		l.commits[c][".registry-build.yml"] = "version: 1\nimages:\n  - cache: false\n"
	}
	l.parents["c2"] = "c1"
	l.work(t.Context(), l.push(t.Context(), "refs/heads/main", "", "c1").Builds[0].ID)
	r := l.work(t.Context(), l.push(t.Context(), "refs/heads/main", "c1", "c2").Builds[0].ID)
	if r.State != builder.Succeeded || solves.Load() != 2 {
		t.Errorf("%s after %d solves; want succeeded after 2", r.State, solves.Load())
	}
}

func TestBasesArePinned(t *testing.T) {
	l := newLab(t, store.Options{})
	l.commit("c1", "", "one")
	l.commits["c1"]["Dockerfile"] = "FROM docker.io/library/base:1\nFROM docker.io/library/away:1\n"
	l.resolve = func(reference string) (string, error) {
		if strings.Contains(reference, "away") {
			return "", errors.New("no such host")
		}
		return "sha256:base", nil
	}
	var pins map[string]string
	l.solve = func(_ context.Context, r builder.SolveRequest, _ io.Writer) (builder.Solution, error) {
		pins = r.Pins
		return builder.Solution{Digest: "sha256:one"}, nil
	}
	r := l.work(t.Context(), l.push(t.Context(), "refs/heads/main", "", "c1").Builds[0].ID)
	if len(pins) != 1 || pins["docker.io/library/base:1"] != "sha256:base" {
		t.Errorf("pins %v; want the base that answered", pins)
	}
	if r.Key != "" {
		t.Errorf("input key %q of a build whose base is not known", r.Key)
	}
}

func TestCancelEndsARunningBuild(t *testing.T) {
	l := newLab(t, store.Options{})
	l.commit("c1", "", "one")
	started := make(chan struct{})
	l.solve = func(ctx context.Context, _ builder.SolveRequest, _ io.Writer) (builder.Solution, error) {
		close(started)
		<-ctx.Done()
		return builder.Solution{}, ctx.Err()
	}
	id := l.push(t.Context(), "refs/heads/main", "", "c1").Builds[0].ID
	go func() {
		<-started
		l.store.Cancel(t.Context(), id, "by ada")
	}()
	if r := l.work(t.Context(), id); r.State != builder.Cancelled || r.Reason != "by ada" {
		t.Errorf("%s %q; want cancelled by ada", r.State, r.Reason)
	}
}

func TestTimeoutIsASentence(t *testing.T) {
	l := newLab(t, store.Options{})
	l.commit("c1", "", "one")
	l.solve = func(ctx context.Context, _ builder.SolveRequest, _ io.Writer) (builder.Solution, error) {
		<-ctx.Done()
		return builder.Solution{}, ctx.Err()
	}
	id := l.push(t.Context(), "refs/heads/main", "", "c1").Builds[0].ID
	w := l.worker()
	w.Timeout = 50 * time.Millisecond
	run, stop := context.WithCancel(t.Context())
	defer stop()
	go w.Run(run)
	if r := l.ended(t.Context(), id); r.State != builder.Failed || !strings.Contains(r.Failure.Message, "limits.buildTimeout") {
		t.Errorf("%s %v; want failed, with the limit's name", r.State, r.Failure)
	}
}

// A worker that stops hands its build back, and the next one ends it: queued,
// not failed, and the attempt is not counted.
func TestStopHandsBack(t *testing.T) {
	l := newLab(t, store.Options{})
	l.commit("c1", "", "one")
	started := make(chan struct{}, 1)
	l.solve = func(ctx context.Context, _ builder.SolveRequest, _ io.Writer) (builder.Solution, error) {
		started <- struct{}{}
		<-ctx.Done()
		return builder.Solution{}, ctx.Err()
	}
	id := l.push(t.Context(), "refs/heads/main", "", "c1").Builds[0].ID
	w := l.worker()
	w.Drain = 10 * time.Millisecond
	run, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(run) }()
	<-started
	stop()
	<-done
	if r, err := l.store.Build(t.Context(), id); err != nil || r.State != builder.Queued {
		t.Fatalf("after the stop: %s, %v; want queued", r.State, err)
	}
	l.solve = func(context.Context, builder.SolveRequest, io.Writer) (builder.Solution, error) {
		return builder.Solution{Digest: "sha256:one"}, nil
	}
	if r := l.work(t.Context(), id); r.State != builder.Succeeded {
		t.Errorf("after the next start: %s; want succeeded", r.State)
	}
}

// hungLeases are those of a process that is stopped in its tracks: nothing
// renews them.
type hungLeases struct{ builder.Leases }

func (hungLeases) AwaitStop(ctx context.Context, _ *builder.Lease) (*builder.Stop, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A worker whose lease is lost in the middle writes nothing: no tag, no end.
func TestLostLeaseWritesNothing(t *testing.T) {
	l := newLab(t, store.Options{Lease: 100 * time.Millisecond})
	l.commit("c1", "", "one")
	var solves, puts atomic.Int32
	hanging, stale := make(chan struct{}), make(chan struct{})
	l.solve = func(ctx context.Context, _ builder.SolveRequest, _ io.Writer) (builder.Solution, error) {
		if solves.Add(1) == 1 {
			close(hanging)
			<-stale // the worker hangs here, without a heartbeat, past its lease
			return builder.Solution{Digest: "sha256:stale"}, nil
		}
		return builder.Solution{Digest: "sha256:fresh"}, nil
	}
	l.put = func(builder.TagRequest) ([]builder.TagOutcome, error) { puts.Add(1); return nil, nil }
	id := l.push(t.Context(), "refs/heads/main", "", "c1").Builds[0].ID
	hung := l.worker()
	hung.Name, hung.Parallel, hung.Leases = "hung", 1, hungLeases{l.store}
	run, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); hung.Run(run) }()
	<-hanging
	r := l.work(t.Context(), id)
	close(stale)
	stop()
	<-done
	after, err := l.store.Build(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if r.State != builder.Succeeded || r.Attempt != 2 || after.Digest != "sha256:fresh" || after.State != builder.Succeeded || puts.Load() != 1 {
		t.Errorf("%s attempt %d, then %s %s after %d puts; want succeeded in attempt 2, the fresh digest, one put",
			r.State, r.Attempt, after.State, after.Digest, puts.Load())
	}
}

// A build that keeps losing its workers ends, and its triggers hear of it.
func TestBuildThatKeepsLosingWorkersIsGivenUp(t *testing.T) {
	l := newLab(t, store.Options{Lease: 50 * time.Millisecond})
	l.due = []string{"alarm"}
	fired := make(chan builder.Record, 1)
	l.fire = func(f builder.Firing) builder.TriggerRun {
		fired <- f.Record
		return builder.TriggerRun{BuildID: f.Record.ID, Trigger: f.Trigger, State: "succeeded"}
	}
	l.commit("c1", "", "one")
	id := l.push(t.Context(), "refs/heads/main", "", "c1").Builds[0].ID
	for attempt := 1; attempt <= 2; attempt++ { // two workers claim it and are never heard of again
		if lost, err := l.store.Claim(t.Context(), "lost"); err != nil || lost.ID != id || lost.Lost != attempt-1 {
			t.Fatalf("claim: %+v, %v", lost, err)
		}
	}
	l.solve = func(context.Context, builder.SolveRequest, io.Writer) (builder.Solution, error) {
		t.Error("a build that is given up is run once more")
		return builder.Solution{Digest: "sha256:one"}, nil
	}
	l.courier(t.Context())
	w := l.worker()
	w.MaxLost = 2
	run, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(run) }()
	defer func() { stop(); <-done }()
	if r := l.ended(t.Context(), id); r.State != builder.Failed || !strings.Contains(r.Failure.Message, "given up") {
		t.Errorf("%s %v; want failed, given up", r.State, r.Failure)
	}
	if r := <-fired; r.State != builder.Failed {
		t.Errorf("the trigger heard of %s; want failed", r.State)
	}
}

// Secrets are hidden before the end, too: people see the build while its tags
// are put.
func TestSecretsAreHiddenWhilePushing(t *testing.T) {
	l := newLab(t, store.Options{})
	ctx := t.Context()
	l.commit("c1", "", "one")
	l.solve = func(context.Context, builder.SolveRequest, io.Writer) (builder.Solution, error) {
		return builder.Solution{Digest: "sha256:" + strings.Repeat("a", 64), Steps: []builder.Step{{Name: "RUN login hunter2"}},
			Notes: []builder.Note{{Message: "do not write hunter2 here"}}}, nil
	}
	d := l.push(ctx, "refs/heads/main", "", "c1")
	var seen builder.Record
	l.put = func(builder.TagRequest) (all []builder.TagOutcome, err error) {
		seen, err = l.store.Build(ctx, d.Builds[0].ID)
		return nil, err
	}
	l.work(ctx, d.Builds[0].ID)
	if seen.State != builder.Pushing || len(seen.Steps) != 1 || len(seen.Notes) != 1 {
		t.Fatalf("%s with steps %v and notes %v", seen.State, seen.Steps, seen.Notes)
	}
	if text := seen.Steps[0].Name + seen.Notes[0].Message; strings.Contains(text, "hunter2") {
		t.Errorf("%q", text)
	}
}
