package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

// model is what the queue should be: plain lists, no cleverness. Random
// commands go to it and to the store, and both must say the same.
type model struct {
	t       *testing.T
	s       *store.Store
	random  *rand.Rand
	limit   int
	maxLost int

	seq    int64
	builds map[string]*modelBuild
	order  []string // ids as they were queued
	leases []*builder.Lease
	newest map[string]*modelBuild // by lineage
	served map[string]int         // claims of a repository since another one of its level waited
}

type modelBuild struct {
	id, repo, lineage, ref, commit string
	level                          builder.Priority
	seq                            int64
	state                          builder.State
	attempt, lost                  int
	stop                           builder.State
	due                            bool // the lease has run out, and nobody has claimed since
}

func TestQueueAgainstAModel(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := &model{
				t: t, random: rand.New(rand.NewPCG(seed, 7)), limit: 1 + int(seed%3), maxLost: 2,
				builds: map[string]*modelBuild{}, newest: map[string]*modelBuild{}, served: map[string]int{},
			}
			m.s = storetest.New(t, store.Options{PerRepository: m.limit, MaxAttempts: m.maxLost})
			commands := []struct {
				weight int
				run    func()
			}{
				{5, m.push}, {6, m.claim}, {3, m.finish}, {2, m.advance}, {2, m.heartbeat},
				{1, m.release}, {2, m.cancel}, {1, m.expire}, {2, m.stale}, {1, m.stopRef}, {1, m.stopAll},
			}
			for range 200 {
				n := m.random.IntN(26)
				for _, c := range commands {
					if n -= c.weight; n < 0 {
						c.run()
						break
					}
				}
				m.check()
				if t.Failed() {
					return
				}
			}
			m.drain()
		})
	}
}

func (m *model) push() {
	m.seq++
	repo := fmt.Sprint("r", m.random.IntN(4))
	e := pushed(fmt.Sprint("e", m.seq), repo, fmt.Sprint("refs/heads/", m.random.IntN(2)), fmt.Sprintf("%06d", m.seq))
	if m.random.IntN(4) == 0 {
		e.Ref, e.Kind = "refs/tags/v1", builder.TagPushed
	}
	var ids []string
	for i := range 1 + m.random.IntN(2) {
		ids = append(ids, fmt.Sprintf("%05d%d", m.seq, i))
	}
	enqueue(m.t, m.s, e, ids...)
	for _, id := range ids {
		plan := planned(id, e)
		b := &modelBuild{id: id, repo: repo, lineage: plan.Lineage, ref: e.Ref, commit: e.Commit, level: plan.Priority, seq: m.seq, state: builder.Queued}
		m.builds[id] = b
		m.order = append(m.order, id)
		if b.lineage != "" {
			m.newest[b.lineage] = b
		}
	}
	m.supersede()
}

// supersede ends what is queued and outdated.
func (m *model) supersede() {
	for _, b := range m.builds {
		if b.state == builder.Queued && b.lineage != "" && m.newest[b.lineage].seq > b.seq {
			b.state = builder.Superseded
		}
	}
}

func (m *model) running(repo string) int {
	n := 0
	for _, b := range m.builds {
		if b.repo == repo && (b.state == builder.Running || b.state == builder.Pushing) {
			n++
		}
	}
	return n
}

func (m *model) requeue(b *modelBuild, lost bool) {
	b.due = false
	switch {
	case b.stop != "":
		b.state = b.stop
	case lost && b.lost+1 > m.maxLost:
		b.state = builder.Failed
	default:
		b.state = builder.Queued
	}
	if lost {
		b.lost++
	}
	m.supersede()
}

// first returns the build that each repository may start next, of the most
// urgent level that has any.
func (m *model) first() map[string]*modelBuild {
	for level := builder.PriorityCommand; level <= builder.PriorityBase; level++ {
		heads := make(map[string]*modelBuild)
		for _, id := range m.order {
			b := m.builds[id]
			if b.state != builder.Queued || b.level != level || m.running(b.repo) >= m.limit {
				continue
			}
			if h := heads[b.repo]; h == nil || b.seq < h.seq || b.seq == h.seq && b.id < h.id {
				heads[b.repo] = b
			}
		}
		if len(heads) > 0 {
			return heads
		}
	}
	return nil
}

func (m *model) claim() {
	for _, id := range m.order {
		if b := m.builds[id]; b.due {
			m.requeue(b, true)
		}
	}
	heads := m.first()
	l := m.s.TryClaim(m.t, fmt.Sprint("w", m.random.IntN(3)))
	if l == nil {
		if len(heads) > 0 {
			m.t.Errorf("nothing claimed, but %d repositories have builds", len(heads))
		}
		return
	}
	b := m.builds[l.ID]
	if heads[b.repo] != b {
		m.t.Errorf("claimed %s of %s (%s, %d), which is not next", b.id, b.repo, b.state, b.level)
		return
	}
	// Fair: nobody is passed over while another takes two turns more.
	for repo := range heads {
		if repo != b.repo {
			m.served[repo+" waits for "+b.repo]++
			if n := m.served[repo+" waits for "+b.repo]; n > 2 {
				m.t.Errorf("%s had %d turns while %s waited", b.repo, n, repo)
			}
		}
	}
	for pair := range m.served {
		waits, _, _ := strings.Cut(pair, " ")
		if waits == b.repo || heads[waits] == nil {
			delete(m.served, pair)
		}
	}
	b.attempt++
	if l.Attempt != b.attempt {
		m.t.Errorf("%s: attempt %d, want %d", b.id, l.Attempt, b.attempt)
	}
	b.state = builder.Running
	m.leases = append(m.leases, l)
	for _, o := range m.builds {
		if b.lineage != "" && o.lineage == b.lineage && o.seq < b.seq && o.state == builder.Running && o.stop == "" {
			o.stop = builder.Superseded
		}
	}
}

// lease picks a lease that holds, or one that does not.
func (m *model) lease(holds bool) (*builder.Lease, *modelBuild) {
	for _, i := range m.random.Perm(len(m.leases)) {
		l := m.leases[i]
		b := m.builds[l.ID]
		if held := b.attempt == l.Attempt && (b.state == builder.Running || b.state == builder.Pushing); held == holds {
			return l, b
		}
	}
	return nil, nil
}

func (m *model) finish() {
	l, b := m.lease(true)
	if l == nil {
		return
	}
	states := []builder.State{builder.Succeeded, builder.Failed, builder.Promoted, builder.Cancelled}
	b.state, b.due = states[m.random.IntN(len(states))], false
	finish(m.t, m.s, l, b.state)
}

func (m *model) advance() {
	l, b := m.lease(true)
	if l == nil {
		return
	}
	if err := m.s.Advance(ctx, l, builder.Pushing, builder.Result{Digest: "sha256:x"}); err != nil {
		m.t.Error(err)
	}
	b.state, b.due = builder.Pushing, false
}

func (m *model) heartbeat() {
	l, b := m.lease(true)
	if l == nil {
		return
	}
	stop, err := m.s.Heartbeat(ctx, l)
	if err != nil {
		m.t.Error(err)
	}
	got := builder.State("")
	if stop != nil {
		got = stop.State
	}
	if got != b.stop {
		m.t.Errorf("%s is asked to stop as %q, want %q", b.id, got, b.stop)
	}
	b.due = false
}

func (m *model) release() {
	l, b := m.lease(true)
	if l == nil {
		return
	}
	if err := m.s.Release(ctx, l); err != nil {
		m.t.Error(err)
	}
	m.requeue(b, false)
}

func (m *model) cancel() {
	if len(m.order) == 0 {
		return
	}
	b := m.builds[m.order[m.random.IntN(len(m.order))]]
	_, err := m.s.Cancel(ctx, b.id, "by ada")
	switch {
	case b.state.Terminal():
		if !errors.Is(err, builder.ErrState) {
			m.t.Errorf("cancel %s, which is %s: %v", b.id, b.state, err)
		}
		return
	case err != nil:
		m.t.Error(err)
	case b.state == builder.Queued:
		b.state = builder.Cancelled
	case b.stop == "":
		b.stop = builder.Cancelled
	}
}

// stop ends what is queued and asks what is running.
func (m *model) stop(d builder.Decision, fits func(b *modelBuild) bool) {
	m.seq++
	repo := fmt.Sprint("r", m.random.IntN(4))
	decided(m.t, m.s, builder.Event{ID: fmt.Sprint("e", m.seq), Kind: builder.Installation, Repository: repository(repo)}, d)
	for _, b := range m.builds {
		switch {
		case b.repo != repo || b.state.Terminal() || !fits(b):
		case b.state == builder.Queued:
			b.state = builder.Cancelled
		case b.stop == "":
			b.stop = builder.Cancelled
		}
	}
}

func (m *model) stopRef() {
	ref := fmt.Sprint("refs/heads/", m.random.IntN(2))
	m.stop(builder.Decision{StopRef: ref}, func(b *modelBuild) bool { return b.ref == ref })
}

func (m *model) stopAll() {
	m.stop(builder.Decision{StopAll: "because"}, func(*modelBuild) bool { return true })
}

func (m *model) expire() {
	if l, b := m.lease(true); l != nil {
		store.ExpireLease(m.t, m.s, b.id)
		b.due = true
	}
}

func (m *model) stale() {
	if l, _ := m.lease(false); l != nil {
		refused(m.t, m.s, l)
	}
}

// check compares what can be seen.
func (m *model) check() {
	m.t.Helper()
	got := make(map[string]builder.Record)
	for next := ""; ; {
		page, more, err := m.s.Builds(ctx, builder.BuildFilter{Limit: 200, Before: next})
		if err != nil {
			m.t.Fatal(err)
		}
		for _, r := range page {
			got[r.ID] = r
		}
		if next = more; next == "" {
			break
		}
	}
	for _, id := range m.order {
		b, r := m.builds[id], got[id]
		if r.State != b.state || r.Attempt != b.attempt || (r.Stop != nil) != (b.stop != "" && !b.state.Terminal()) {
			m.t.Errorf("%s is %s, attempt %d, stop %v; want %s, %d, %q", id, r.State, r.Attempt, r.Stop, b.state, b.attempt, b.stop)
		}
		if r.State.Terminal() == r.FinishedAt.IsZero() || (r.State == builder.Queued) != (r.Place > 0) {
			m.t.Errorf("%s is %s at %s in place %d", id, r.State, r.FinishedAt, r.Place)
		}
	}
}

// drain brings everything to an end and looks for what was left behind.
func (m *model) drain() {
	for {
		for {
			l, b := m.lease(true)
			if l == nil {
				break
			}
			b.state, b.due = builder.Succeeded, false
			finish(m.t, m.s, l, builder.Succeeded)
		}
		if m.first() == nil || m.t.Failed() {
			break
		}
		m.claim()
	}
	m.check()
	effects(m.t, m.s)
	allowed := []string{"seq", "turn", "repositories", "accepted", "event", "build", "builds", "newest", "last", "status", "input", "active", "latest", "homes", "home-below", "home-of", "home-others"}
	for _, key := range m.s.KeysOf(m.t, "{rb}") {
		word := strings.Split(key, ":")[1]
		if !slices.Contains(allowed, word) {
			m.t.Errorf("left behind: %s", key)
		}
	}
}
