package quota_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registry-build/registry-build/handlers/forge/quota"
)

func TestWindow(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	w := quota.Window{Span: time.Minute, Most: 10, Reserve: 3}
	spend := func(after time.Duration, cost int) {
		t.Helper()
		if wait := w.Wait(start.Add(after), cost, 0); wait > 0 {
			t.Fatalf("%d after %s must wait %s", cost, after, wait)
		}
		w.Spend(start.Add(after), cost)
	}
	spend(0, 5)
	spend(10*time.Second, 2)
	for _, test := range []struct {
		name       string
		after      time.Duration
		cost, keep int
		want       time.Duration
	}{
		{"room beside what is kept", 20 * time.Second, 0, w.Reserve, 0},
		{"no room beside what is kept", 20 * time.Second, 1, w.Reserve, 40*time.Second + quota.Slack},
		{"urgent", 20 * time.Second, 3, 0, 0},
		{"until the second one is over", 20 * time.Second, 9, 0, 50*time.Second + quota.Slack},
		{"more than there ever is", 20 * time.Second, 11, 0, time.Minute},
		{"just before the first is over", time.Minute, 4, 0, quota.Slack},
		{"when the first is over", time.Minute + quota.Slack, 8, 0, 0},
	} {
		if got := w.Wait(start.Add(test.after), test.cost, test.keep); got != test.want {
			t.Errorf("%s: %s; want %s", test.name, got, test.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"":                              -1,
		"soon":                          -1,
		"-5":                            -1,
		"0":                             0,
		"90":                            90 * time.Second,
		"9223372036854775807":           24 * time.Hour,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute,
		"Fri, 02 Jan 2026 03:00:00 GMT": 0,
		"Sat, 02 Jan 2027 03:00:00 GMT": 24 * time.Hour,
	} {
		got, known := quota.RetryAfter(http.Header{"Retry-After": {text}}, now)
		if known != (want >= 0) || known && got != want {
			t.Errorf("%q: %s, %v; want %s", text, got, known, want)
		}
	}
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		began := time.Now()
		if err := quota.Sleep(ctx, time.Second); err != nil || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if err := quota.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
