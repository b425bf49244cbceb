package gitops

import (
	"context"
	"sync/atomic"
)

// queue is what waits for one branch while an update is on its way there.
// While there is a queue somebody works it off.
type queue struct{ waiting []*request }

// join queues a request. Everything that waits when an update has ended goes
// as the next one.
func (k *Kind) join(r *request) {
	key := r.target.key()
	k.mu.Lock()
	defer k.mu.Unlock()
	if q := k.queues[key]; q != nil {
		q.waiting = append(q.waiting, r)
		return
	}
	k.queues[key] = &queue{waiting: []*request{r}}
	go k.workOff(key)
}

func (k *Kind) workOff(key string) {
	for {
		k.mu.Lock()
		batch := k.queues[key].waiting
		if len(batch) == 0 {
			delete(k.queues, key)
			k.mu.Unlock()
			return
		}
		k.queues[key].waiting = nil
		k.mu.Unlock()
		k.runBatch(key, batch)
	}
}

// runBatch writes a batch. It goes on as long as somebody waits for it: one
// whose time is up does not take the others' update away.
func (k *Kind) runBatch(key string, batch []*request) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(batch[0].ctx), k.o.Limit)
	defer cancel()
	var alive []*request
	for _, r := range batch {
		if r.ctx.Err() == nil {
			alive = append(alive, r)
		}
	}
	if len(alive) == 0 {
		return
	}
	var left atomic.Int64
	left.Store(int64(len(alive)))
	for _, r := range alive {
		defer context.AfterFunc(r.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		})()
	}
	outcomes, err := k.update(ctx, key, alive)
	for i, r := range alive {
		if err != nil {
			r.done <- outcome{err: err}
		} else {
			r.done <- outcomes[i]
		}
	}
}
