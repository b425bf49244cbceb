package builder_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
)

// heap is an outbox of triggers that are all due at once, in the order of
// their names. It writes down what becomes of each.
type heap struct {
	idle
	mu    sync.Mutex
	due   []string
	lost  map[string]bool // somebody else has them
	held  map[string]int  // how often each was held
	began []string
	ended map[string]string
}

func newHeap(due ...string) *heap {
	return &heap{due: due, lost: map[string]bool{}, held: map[string]int{}, ended: map[string]string{}}
}

// each makes n names.
func each(prefix string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s%02d", prefix, i))
	}
	return names
}

func (h *heap) NextEffects(ctx context.Context, _ string, lane builder.EffectLane, most int) (out []*builder.Effect, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if lane == builder.LaneTriggers && len(h.due) > 0 && ctx.Err() == nil {
		n := min(most, len(h.due))
		for _, name := range h.due[:n] {
			out = append(out, &builder.Effect{Kind: builder.FireTrigger, ID: repositoryOf(name), Trigger: name, Attempt: 1})
		}
		h.due = h.due[n:]
		return out, nil
	}
	h.mu.Unlock()
	<-ctx.Done()
	h.mu.Lock()
	return nil, ctx.Err()
}

// repositoryOf is whose trigger it is: those with even and those with odd
// numbers are two repositories'.
func repositoryOf(name string) string {
	if n := name[len(name)-1]; n%2 == 0 {
		return "even"
	}
	return "odd"
}

func (h *heap) Build(_ context.Context, id string) (builder.Record, error) {
	return builder.Record{Build: builder.Build{ID: id, Repository: builder.Repository{Forge: "git", ID: id}}}, nil
}

func (h *heap) HoldEffects(_ context.Context, effects ...*builder.Effect) (lost []*builder.Effect, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range effects {
		h.held[e.Trigger]++
		if h.lost[e.Trigger] {
			lost = append(lost, e)
		}
	}
	return lost, nil
}

func (h *heap) Retry(_ context.Context, e *builder.Effect, wait time.Duration) error {
	h.end(e.Trigger, "again after "+wait.String())
	return nil
}

func (h *heap) Settle(ctx context.Context, e *builder.Effect, run builder.TriggerRun, _ builder.Telling) error {
	if err := ctx.Err(); err != nil { // what was cut off is written down all the same
		return err
	}
	h.mu.Lock()
	lost := h.lost[e.Trigger]
	h.mu.Unlock()
	if lost {
		return builder.ErrLeaseLost
	}
	h.end(e.Trigger, string(run.State))
	return nil
}

func (h *heap) end(name, how string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended[name] += how
}

// look lets all that can go on do so, and returns what has become of what.
func (h *heap) look() (began []string, ended map[string]string, due int) {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.began), maps.Clone(h.ended), len(h.due)
}

// count returns how many names that begin so are among these.
func count(names []string, prefix string) (n int) {
	for _, name := range names {
		if len(name) >= len(prefix) && name[:len(prefix)] == prefix {
			n++
		}
	}
	return n
}

// carry runs a courier that fires two at a time; a trigger whose name begins
// with "hang" takes as long as it may.
func (h *heap) carry(t *testing.T) (stop func()) {
	t.Helper()
	c := &builder.Courier{Outbox: h, Records: h, Firing: 2, Log: slog.New(slog.DiscardHandler), Triggers: byName(func(ctx context.Context, name string) builder.TriggerRun {
		h.mu.Lock()
		h.began = append(h.began, name)
		h.mu.Unlock()
		if count([]string{name}, "hang") > 0 {
			<-ctx.Done()
			return builder.TriggerRun{State: builder.RunWaiting, Retry: time.Hour}
		}
		return builder.TriggerRun{State: builder.RunSucceeded}
	})}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); c.Run(ctx) }()
	return func() { cancel(); <-ran }
}

// byName fires triggers by their names.
type byName func(ctx context.Context, name string) builder.TriggerRun

func (byName) Due(builder.Record, builder.State) []string { return nil }
func (byName) Begin(context.Context, builder.Firing) builder.TriggerRun {
	return builder.TriggerRun{State: builder.RunRunning}
}
func (f byName) Fire(ctx context.Context, x builder.Firing) builder.TriggerRun {
	return f(ctx, x.Trigger)
}

// Receivers that hang hold others up for a moment each, and there is an end to
// how many may hang at a time.
func TestSlowTriggersGiveTheirSlotsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeap(append(each("hang", 4), each("quick", 6)...)...)
		stop := h.carry(t)
		defer stop()
		time.Sleep(500 * time.Millisecond)
		if began, _, _ := h.look(); len(began) != 2 {
			t.Errorf("%d have begun at once, want 2", len(began))
		}
		time.Sleep(2 * time.Second) // two slots, four that hang: two rounds of a second
		if began, ended, _ := h.look(); count(began, "quick") != 6 || len(ended) != 6 {
			t.Errorf("%d of 6 have been fired behind those that hang, %d have ended", count(began, "quick"), len(ended))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := newHeap(each("hang", 40)...)
		stop := h.carry(t)
		defer stop()
		time.Sleep(time.Minute)
		if began, _, _ := h.look(); len(began) != 16 {
			t.Errorf("%d hang at a time, want 8 for each slot: 16", len(began))
		}
		time.Sleep(2 * time.Minute) // each has two minutes
		if _, ended, _ := h.look(); len(ended) < 16 {
			t.Errorf("%d have ended, want all that had their time", len(ended))
		}
	})
}

// A repository whose receivers all hang leaves half of the room to others.
func TestHangingReceiversLeaveRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var due []string
		for i := range 30 {
			due = append(due, fmt.Sprintf("hang%02d", 2*i)) // all even
		}
		h := newHeap(append(due, "quick01", "quick03")...)
		stop := h.carry(t)
		defer stop()
		time.Sleep(time.Minute)
		began, ended, _ := h.look()
		if n := count(began, "hang"); n != 8 {
			t.Errorf("%d of one repository hang at a time, want half of 16", n)
		}
		if count(began, "quick") != 2 {
			t.Errorf("the other repository's wait behind them: began %v", began)
		}
		if got := ended["hang58"]; got != "again after 2s" {
			t.Errorf("what is over the share: %q", got)
		}
	})
}

// What waits for a slot when the process stops is somebody else's at once, and
// what is in hand gets a moment.
func TestStopGivesWaitingTriggersBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeap(each("hang", 60)...)
		stop := h.carry(t)
		time.Sleep(30 * time.Second)
		inHand, _, _ := h.look()
		stopped := time.Now()
		stop()
		if took := time.Since(stopped); took > 6*time.Second {
			t.Errorf("the stop took %s", took)
		}
		began, ended, due := h.look()
		if diff := cmp.Diff(inHand, began); diff != "" {
			t.Errorf("fired after the stop (-want +got):\n%s", diff)
		}
		back := 0
		for name, how := range ended {
			want := "again after 1ms"
			if slices.Contains(inHand, name) {
				want = string(builder.RunWaiting)
			} else {
				back++
			}
			if how != want {
				t.Errorf("%s: %q, want %q", name, how, want)
			}
		}
		if back == 0 || len(ended)+due != 60 {
			t.Errorf("%d given back, %d ended, %d were never taken: some of 60 are forgotten", back, len(ended), due)
		}
	})
}

// Triggers that wait for a slot are held; one that was lost nevertheless is
// somebody else's, and one that hangs meanwhile ends.
func TestLostTriggersAreNotFired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeap(each("hang", 18)...) // 16 hang, two wait
		stop := h.carry(t)
		defer stop()
		time.Sleep(30 * time.Second)
		began, _, _ := h.look()
		inHand, waits, next := began[3], "", ""
		for _, name := range each("hang", 18) {
			if !slices.Contains(began, name) {
				waits, next = next, name
			}
		}
		h.mu.Lock()
		if h.held[waits] < 2 {
			t.Errorf("%s waits, and was held %d times", waits, h.held[waits])
		}
		h.lost[inHand], h.lost[waits] = true, true
		h.mu.Unlock()
		time.Sleep(10 * time.Second)
		if began, _, _ = h.look(); !slices.Contains(began, next) {
			t.Errorf("%s ends, so that the next has its slot: %s was not fired", inHand, next)
		}
		time.Sleep(3 * time.Minute) // all that are in hand have had their time
		began, ended, _ := h.look()
		if slices.Contains(began, waits) || ended[waits] != "" || ended[inHand] != "" {
			t.Errorf("%s and %s are somebody else's: began %v, ended %v", inHand, waits, began, ended)
		}
	})
}
