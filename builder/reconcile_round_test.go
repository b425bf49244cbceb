package builder_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// crowded are forges with many repositories, none of which ever moves.
type crowded struct {
	*twoSides
	mu     sync.Mutex
	repos  []builder.Repository
	answer map[string]func(now time.Time) error // of each forge
	told   map[string]int                       // repository key -> answers
	asked  map[string]int                       // forge -> questions
}

func newCrowded() *crowded {
	return &crowded{twoSides: newTwoSides(), answer: map[string]func(time.Time) error{}, told: map[string]int{}, asked: map[string]int{}}
}

func (c *crowded) add(forge string, n int, answer func(time.Time) error) {
	for i := range n {
		c.repos = append(c.repos, builder.Repository{Forge: forge, ID: fmt.Sprint(i + 1), Owner: "acme", Name: fmt.Sprintf("%s-%d", forge, i)})
	}
	c.answer[forge] = answer
}

func (c *crowded) ActiveRepositories(context.Context, time.Time) ([]builder.Repository, error) {
	return c.repos, nil
}

func (c *crowded) Refs(_ context.Context, repo builder.Repository) (map[string]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[repo.Forge]++
	c.mu.Unlock()
	err := c.answer[repo.Forge](time.Now())
	c.mu.Lock()
	if err == nil {
		c.told[repo.Key()]++
	}
	return nil, err
}

// least is how often the repository of the forge was compared that was
// compared least.
func (c *crowded) least(forge string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	least := -1
	for _, repo := range c.repos {
		if n := c.told[repo.Key()]; repo.Forge == forge && (least < 0 || n < least) {
			least = n
		}
	}
	return least
}

func (c *crowded) run(t *testing.T, d time.Duration) {
	t.Helper()
	var forges []string
	for forge := range c.answer {
		forges = append(forges, forge)
	}
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	r := &builder.Reconciler{Heads: c, Refs: c, Events: c, Forges: forges, Active: -1, Log: slog.New(slog.DiscardHandler)}
	if err := r.Run(ctx); err != nil {
		t.Error(err)
	}
}

// allowed answers a few questions a minute, each after a while.
func allowed(aMinute int, each time.Duration) func(time.Time) error {
	var mu sync.Mutex
	var sent []time.Time
	return func(now time.Time) error {
		mu.Lock()
		for len(sent) > 0 && now.Sub(sent[0]) >= time.Minute {
			sent = sent[1:]
		}
		if len(sent) >= aMinute {
			wait := sent[0].Add(time.Minute).Sub(now)
			mu.Unlock()
			return builder.Later{Wait: wait, Reason: "limit"}
		}
		sent = append(sent, now)
		mu.Unlock()
		time.Sleep(each) // synctest's clock
		return nil
	}
}

// A thousand repositories at a server that lets looks have 950 requests a
// minute, three each: every one is compared in every round.
func TestRoundOfAThousand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowded()
		c.add("gitlab", 1000, allowed(950/3, 300*time.Millisecond))
		c.run(t, 5*time.Minute-time.Second)
		if n := c.least("gitlab"); n != 1 {
			t.Errorf("in the first round somebody was compared %d times", n)
		}
		if n := c.asked["gitlab"]; n > 1100 {
			t.Errorf("asked %d times for 1000", n)
		}
	})
}

// One that is at its limit, or away, or in maintenance, keeps nobody else
// waiting, and is not asked a thousand times in vain. What they take passes on
// synctest's clock.
func TestRoundBesideForgesThatAreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowded()
		c.add("away", 1000, func(time.Time) error { time.Sleep(30 * time.Second); return errors.New("no route to host") })
		c.add("spent", 1000, func(time.Time) error { return builder.Later{Wait: time.Hour, Reason: "limit"} })
		c.add("maintenance", 1000, func(time.Time) error { return builder.Later{Wait: time.Minute, Reason: "maintenance"} })
		c.add("well", 100, func(time.Time) error { time.Sleep(time.Second); return nil })
		c.run(t, 5*time.Minute-time.Second)
		if n := c.least("well"); n < 1 {
			t.Error("a forge that is well was left out")
		}
		for _, forge := range []string{"away", "spent", "maintenance"} {
			if n := c.asked[forge]; n > 40 {
				t.Errorf("%s was asked %d times", forge, n)
			}
		}
	})
}

// What a limit leaves no time for comes first the next time.
func TestRoundsAreFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowded()
		c.add("gitlab", 1000, allowed(50, time.Millisecond))
		c.run(t, 25*time.Minute)
		if n := c.least("gitlab"); n < 1 {
			t.Error("somebody was never compared")
		}
	})
}
