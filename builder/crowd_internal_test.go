package builder

import (
	"fmt"
	"testing"
	"time"
)

// Whoever can only read cannot use up what the forge lets us write.
func TestCrowd(t *testing.T) {
	var c crowd
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	hears := func(n int, actor, owner string, after time.Duration) bool {
		return c.hears(Event{ID: fmt.Sprint(n), Actor: actor, AcceptedAt: start.Add(after), Repository: Repository{Forge: "github", Owner: owner}})
	}
	n := 0
	answers := func(actor, owner string, times int, after time.Duration) (answered int) {
		for range times {
			n++
			if hears(n, actor, owner, after) {
				answered++
			}
		}
		return answered
	}
	if got := answers("eve", "acme", 50, 0); got != readerAnswers {
		t.Errorf("one person: %d answers", got)
	}
	if !hears(3, "eve", "Acme", time.Minute) {
		t.Error("what was answered before, and is decided again, is not answered")
	}
	if got := answers("rob", "acme", 3, time.Minute); got != 3 {
		t.Errorf("another: %d answers", got)
	}
	all := 0
	for i := range 20 {
		all += answers(fmt.Sprint("eve", i), "acme", 10, 2*time.Minute)
	}
	if want := ownerAnswers - readerAnswers - 3; all != want {
		t.Errorf("a crowd: %d answers, want %d", all, want)
	}
	if got := answers("ann", "corp", 1, 2*time.Minute); got != 1 {
		t.Error("another owner's readers are not answered")
	}
	if got := answers("eve", "acme", 1, time.Hour); got != 1 {
		t.Error("not answered an hour later")
	}
	for i := range 3 * crowdKept {
		hears(-i, fmt.Sprint("x", i), fmt.Sprint("o", i), time.Duration(i)*time.Minute)
	}
	if len(c.heard) > 2*crowdKept {
		t.Errorf("%d are remembered", len(c.heard))
	}
}
