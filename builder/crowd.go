package builder

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// In a public repository everybody may ask for /help. An answer costs two
// writes of the few hundred an hour that a forge lets us do for all of an
// owner's repositories, and results of builds need them, too.
const (
	readerAnswers = 10 // in an hour, to one person who can only read
	ownerAnswers  = 60 // in an hour, to all of them in the repositories of one owner
	crowdSpan     = time.Hour
	crowdKept     = 1000 // people and owners, until those are forgotten who have been silent
)

// errUnheard is a command that gets no answer at all, not even a refusal.
var errUnheard = errors.New("too many commands by people who can only read")

// crowd counts the commands of people who can only read. Each process counts
// its own.
type crowd struct {
	mu    sync.Mutex
	heard map[string][]word
}

type word struct {
	event string
	at    time.Time
}

// hears reports whether the event's command is answered. An event that is
// decided again is answered as it was before.
func (c *crowd) hears(e Event) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.heard == nil {
		c.heard = map[string][]word{}
	}
	old := func(w word) bool { return e.AcceptedAt.Sub(w.at) >= crowdSpan }
	if len(c.heard) > crowdKept {
		for key, words := range c.heard {
			if !slices.ContainsFunc(words, func(w word) bool { return !old(w) }) {
				delete(c.heard, key)
			}
		}
	}
	owner := e.Repository.Domain()
	limits := map[string]int{owner: ownerAnswers, owner + " " + e.Actor: readerAnswers}
	for key, most := range limits {
		words := slices.DeleteFunc(c.heard[key], old)
		c.heard[key] = words
		if slices.ContainsFunc(words, func(w word) bool { return w.event == e.ID }) {
			return true
		}
		if len(words) >= most {
			return false
		}
	}
	for key := range limits {
		c.heard[key] = append(c.heard[key], word{e.ID, e.AcceptedAt})
	}
	return true
}
