package trigger

import (
	"math/rand/v2"
	"time"
)

// Policy says how long a trigger is tried.
type Policy struct {
	Attempts int           // in all, the first one included
	First    time.Duration // wait before the second attempt; each later one waits three times as long
	Longest  time.Duration // no wait is longer, whatever the other side asks for
	Jitter   float64       // a wait differs by up to this share, so that many do not come at once
}

// DefaultPolicy makes 8 attempts within about an hour: waits of 5, 15 and
// 45 s, 2, 7, 20 and 30 min, each up to a fifth shorter or longer: soon for a
// receiver that restarts, and long enough for one that is being mended.
func DefaultPolicy() Policy {
	return Policy{Attempts: 8, First: 5 * time.Second, Longest: 30 * time.Minute, Jitter: 0.2}
}

// Wait returns how long to wait after the given attempt (from 1) went wrong,
// at least as long as the other side asked for; 0 is: do not try again.
func (p Policy) Wait(attempt int, asked time.Duration) time.Duration {
	if attempt >= p.Attempts {
		return 0
	}
	wait := p.First
	for i := 1; i < attempt && wait < p.Longest; i++ {
		wait *= 3
	}
	wait = min(wait, p.Longest)
	wait += time.Duration((rand.Float64()*2 - 1) * p.Jitter * float64(wait))
	return max(min(max(wait, asked), p.Longest), time.Millisecond)
}
