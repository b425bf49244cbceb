package trigger

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// fake is a kind that does what the test says.
type fake struct {
	got  Firing
	fire func(ctx context.Context) (string, error)
	more Answer // beside the text
}

func (f *fake) Action(config.Trigger) string { return "webhook https://example.com/s3cret" }

func (f *fake) Fire(ctx context.Context, got Firing) (Answer, error) {
	f.got = got
	text, err := f.fire(ctx)
	f.more.Text = text
	return f.more, err
}

func newSet(t *testing.T, k Kind) *Set {
	t.Helper()
	s, err := NewSet(Options{
		Kinds:  map[string]Kind{"webhook": k},
		Redact: func(_ context.Context, s string) string { return strings.ReplaceAll(s, "s3cret", "***") },
		Policy: Policy{Attempts: 3, First: time.Minute, Longest: time.Hour},
		Log:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func due(attempt int) builder.Firing {
	r := record(builder.Succeeded, []builder.TagOutcome{{Tag: "v1", Moved: true}},
		config.Trigger{Name: "audit", Webhook: &config.Webhook{URL: "https://example.com/"}},
		config.Trigger{Name: "later"})
	f := builder.Firing{Record: r, Trigger: "audit"}
	if attempt > 1 {
		f.Before = &builder.TriggerRun{State: builder.RunWaiting, Attempts: attempt - 1}
	}
	return f
}

func TestSetFire(t *testing.T) {
	long := strings.Repeat("ä", maxAnswer)
	tests := map[string]struct {
		attempt int
		answer  string
		err     error
		want    builder.TriggerRun
	}{
		"success":          {1, "200 OK\nhi", nil, builder.TriggerRun{State: "succeeded", Answer: "200 OK\nhi"}},
		"secret in answer": {1, "you sent s3cret", nil, builder.TriggerRun{State: "succeeded", Answer: "you sent ***"}},
		"long answer":      {1, long, nil, builder.TriggerRun{State: "succeeded", Answer: long[:maxAnswer-4] + "…"}},
		"hostile answer":   {1, "a\x1b[31m\xff\x00b\r\n", nil, builder.TriggerRun{State: "succeeded", Answer: "a[31m\uFFFDb"}},
		"final error":      {1, "404", errors.New("no s3cret there"), builder.TriggerRun{State: "failed", Answer: "404", Error: "no *** there"}},
		"temporary":        {1, "503", Temporary(errors.New("busy"), 0), builder.TriggerRun{State: "waiting", Answer: "503", Error: "busy", Retry: time.Minute}},
		"second":           {2, "", Temporary(errors.New("busy"), 0), builder.TriggerRun{State: "waiting", Error: "busy", Retry: 3 * time.Minute}},
		"asked to wait":    {1, "", Temporary(errors.New("busy"), 7*time.Minute), builder.TriggerRun{State: "waiting", Error: "busy", Retry: 7 * time.Minute}},
		"last":             {3, "", Temporary(errors.New("busy"), time.Minute), builder.TriggerRun{State: "failed", Error: "busy"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k := &fake{fire: func(context.Context) (string, error) { return tt.answer, tt.err }}
			got := newSet(t, k).Fire(t.Context(), due(tt.attempt))
			want := tt.want
			want.BuildID, want.Trigger, want.Attempts, want.Tags = "0123456789ABCDEF", "audit", tt.attempt, []string{"v1"}
			want.Condition, want.Action = "on pushed, tags all", "webhook https://example.com/***"
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(got, "StartedAt", "Took")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got.StartedAt.IsZero() || !utf8.ValidString(got.Answer) || len(got.Answer) > maxAnswer {
				t.Errorf("started %s, answer of %d bytes", got.StartedAt, len(got.Answer))
			}
			if k.got.Delivery != "0123456789ABCDEF-audit" || k.got.Attempt != tt.attempt {
				t.Errorf("delivery %s, attempt %d", k.got.Delivery, k.got.Attempt)
			}
		})
	}
}

// Redacting comes before cutting: otherwise half a secret is left at the end.
func TestSetCutsAfterRedacting(t *testing.T) {
	k := &fake{fire: func(context.Context) (string, error) {
		return strings.Repeat("x", maxAnswer-6) + "s3cret and more", nil
	}}
	if got := newSet(t, k).Fire(t.Context(), due(1)); strings.Contains(got.Answer, "s3") {
		t.Errorf("the answer ends with %q", got.Answer[len(got.Answer)-12:])
	}
}

func TestSetRefusesWhatItDoesNotKnow(t *testing.T) {
	for name, want := range map[string]string{"later": "does not offer", "gone": "has no trigger"} {
		f := due(1)
		f.Trigger = name
		if got := newSet(t, &fake{}).Fire(t.Context(), f); got.State != "failed" || got.Retry != 0 || !strings.Contains(got.Error, want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestSetLimitsAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fake{fire: func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", Temporary(ctx.Err(), 0)
		}}
		got := newSet(t, k).Fire(t.Context(), due(1))
		if got.Took != 10*time.Second || got.State != "waiting" || got.Retry != time.Minute {
			t.Errorf("%+v", got)
		}
	})
}

// A server that stops has not used up an attempt: even the last one waits.
func TestSetStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	k := &fake{fire: func(ctx context.Context) (string, error) {
		cancel()
		<-ctx.Done()
		return "", ctx.Err()
	}}
	if got := newSet(t, k).Fire(ctx, due(3)); got.State != "waiting" || got.Retry <= 0 || got.Attempts != 2 {
		t.Errorf("%+v", got)
	}
}

// tags knows one digest for every tag.
type tags string

func (t tags) Pushed(context.Context, string, string) (string, error) { return string(t), nil }

func rollout(digest string) builder.Firing {
	r := record(builder.Succeeded, []builder.TagOutcome{{Tag: "v1", Moved: true}},
		config.Trigger{Name: "audit", Webhook: &config.Webhook{}}, config.Trigger{Name: "prod", Kubernetes: &config.Kubernetes{}})
	r.Digest = digest
	return builder.Firing{Record: r, Trigger: "prod"}
}

func TestSetSkipsWhatANewerImageOutdates(t *testing.T) {
	for name, tt := range map[string]struct {
		trigger, at string
		before      *builder.TriggerRun
		want        builder.RunState
	}{
		"the tag is there still":   {"prod", "sha256:1", nil, builder.RunSucceeded},
		"nothing is known":         {"prod", "", nil, builder.RunSucceeded},
		"the tag went on":          {"prod", "sha256:2", nil, builder.RunSkipped},
		"it is under way already":  {"prod", "sha256:2", &builder.TriggerRun{State: builder.RunRunning, Attempts: 1, Memo: "m"}, builder.RunSucceeded},
		"a message is told anyway": {"audit", "sha256:2", nil, builder.RunSucceeded},
	} {
		t.Run(name, func(t *testing.T) {
			k := &fake{fire: func(context.Context) (string, error) { return "", nil }}
			s := newSet(t, k)
			s.o.Kinds["kubernetes"], s.o.Tags = k, tags(tt.at)
			f := rollout("sha256:1")
			f.Trigger, f.Before = tt.trigger, tt.before
			got := s.Fire(t.Context(), f)
			if got.State != tt.want || (tt.want == builder.RunSkipped) != strings.Contains(got.Answer, "v1 was pushed again") {
				t.Errorf("%+v", got)
			}
			if called := k.got.Delivery != ""; called == (tt.want == builder.RunSkipped) {
				t.Errorf("called: %t", called)
			}
		})
	}
}

func TestSetRefusesForks(t *testing.T) {
	f := due(1)
	f.Record.Lane = builder.ForkLane
	if got := newSet(t, &fake{}).Fire(t.Context(), f); got.State != "failed" || !strings.Contains(got.Error, "fork") {
		t.Errorf("%+v", got)
	}
}

// What is under way is one attempt, however often it is looked at, with one
// beginning, and is given up some time.
func TestSetWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fake{fire: func(context.Context) (string, error) { return "1 of 3 updated", nil }, more: Answer{Again: time.Minute, Memo: "step 1", URL: "https://x/s3cret"}}
		s := newSet(t, k)
		s.o.Kinds["kubernetes"] = k
		f, began, calls := rollout("sha256:1"), time.Now(), 0
		for {
			got := s.Fire(t.Context(), f)
			calls++
			if got.Attempts != 1 || !got.StartedAt.Equal(began) || got.Took != time.Since(began) || got.URL != "https://x/***" {
				t.Fatalf("call %d: %+v", calls, got)
			}
			if got.State == builder.RunFailed {
				if !strings.Contains(got.Error, "2h0m0s") || got.Retry != 0 {
					t.Errorf("%+v", got)
				}
				break
			}
			if got.State != builder.RunRunning || got.Retry != time.Minute || k.got.Attempt != 1 || calls > 1 && k.got.Memo != "step 1" {
				t.Fatalf("call %d: %+v with memo %q", calls, got, k.got.Memo)
			}
			f.Before = &got
			time.Sleep(got.Retry)
		}
		if calls != 122 {
			t.Errorf("%d calls in 2 h", calls)
		}
	})
}

// A look that fails for now does not begin anew.
func TestSetKeepsTheMemo(t *testing.T) {
	k := &fake{fire: func(context.Context) (string, error) { return "", Temporary(errors.New("the cluster is away"), 0) }}
	s := newSet(t, k)
	s.o.Kinds["kubernetes"] = k
	f := rollout("sha256:1")
	f.Before = &builder.TriggerRun{State: builder.RunRunning, Attempts: 1, Memo: "step 1", StartedAt: time.Now().UTC()}
	if got := s.Fire(t.Context(), f); got.State != builder.RunWaiting || got.Memo != "step 1" || got.Attempts != 1 {
		t.Errorf("%+v", got)
	}
}

func TestSetTimeoutOfAKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := patient{&fake{fire: func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", Temporary(ctx.Err(), 0)
		}}}
		if got := newSet(t, k).Fire(t.Context(), due(1)); got.Took != 30*time.Second {
			t.Errorf("%+v", got)
		}
	})
}

type patient struct{ *fake }

func (patient) Timeout() time.Duration { return 30 * time.Second }
