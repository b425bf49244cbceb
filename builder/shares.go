package builder

import (
	"sync"
	"time"
)

// shareWait is when a trigger is looked at again whose repository has as many
// in hand as it may.
const shareWait = 2 * time.Second

// shares bound how many triggers of one source repository are in hand at a
// time: one whose receivers all hang leaves room for the others. The zero
// value bounds nothing.
type shares struct {
	most int

	mu    sync.Mutex
	taken map[string]int // by Repository.Key
}

// take is false where the repository has its share already; else give ends it.
func (s *shares) take(repository string) (give func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.most > 0 && s.taken[repository] >= s.most {
		return nil, false
	}
	if s.taken == nil {
		s.taken = map[string]int{}
	}
	s.taken[repository]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.taken[repository]--; s.taken[repository] == 0 {
			delete(s.taken, repository)
		}
	}, true
}
