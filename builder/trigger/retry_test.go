package trigger

import (
	"testing"
	"time"
)

func TestPolicyWait(t *testing.T) {
	p := DefaultPolicy()
	tests := map[string]struct {
		attempt   int
		asked     time.Duration
		low, high time.Duration
	}{
		"first":                     {1, 0, 4 * time.Second, 6 * time.Second},
		"second":                    {2, 0, 12 * time.Second, 18 * time.Second},
		"seventh is the longest":    {7, 0, 24 * time.Minute, 30 * time.Minute},
		"last":                      {8, 0, 0, 0},
		"past the last":             {99, time.Hour, 0, 0},
		"asked for longer":          {1, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute},
		"asked for less":            {3, time.Second, 36 * time.Second, 54 * time.Second},
		"asked for a year":          {1, 365 * 24 * time.Hour, 30 * time.Minute, 30 * time.Minute},
		"no attempt counts as none": {0, 0, 4 * time.Second, 6 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for range 200 {
				if got := p.Wait(tt.attempt, tt.asked); got < tt.low || got > tt.high {
					t.Fatalf("Wait(%d, %s) = %s, want %s to %s", tt.attempt, tt.asked, got, tt.low, tt.high)
				}
			}
		})
	}
}

func TestPolicyTakesAboutAnHour(t *testing.T) {
	p := DefaultPolicy()
	p.Jitter = 0
	var sum time.Duration
	attempt := 1
	for ; p.Wait(attempt, 0) > 0; attempt++ {
		sum += p.Wait(attempt, 0)
	}
	if attempt != 8 || sum < 50*time.Minute || sum > 70*time.Minute {
		t.Errorf("%d attempts within %s", attempt, sum)
	}
}
