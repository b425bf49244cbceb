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
	if got := newSet(t, k).Fire(ctx, due(3)); got.State != "waiting" || got.Retry <= 0 {
		t.Errorf("%+v", got)
	}
}
