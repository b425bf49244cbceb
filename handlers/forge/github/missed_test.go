package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

const redeliverPattern = "POST /app/hook/deliveries/*/attempts"

// receiver takes webhooks, and fails while it is told to.
type receiver struct {
	mu    sync.Mutex
	down  bool
	taken []string // "event GUID"
}

func (w *receiver) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		rw.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.taken = append(w.taken, r.Header.Get("X-GitHub-Event")+" "+r.Header.Get("X-GitHub-Delivery"))
	rw.WriteHeader(http.StatusAccepted)
}

func (w *receiver) set(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

// pushes lists the GUIDs of the pushes that were taken.
func (w *receiver) pushes() (guids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.taken {
		if guid, ok := strings.CutPrefix(t, "push "); ok {
			guids = append(guids, guid)
		}
	}
	return guids
}

// newMissedRig is a rig whose webhooks arrive at a receiver.
func newMissedRig(t *testing.T) (*clientRig, *receiver) {
	t.Helper()
	var hooks receiver
	server := httptest.NewServer(&hooks)
	t.Cleanup(server.Close)
	r := newClientRig(t)
	r.app.HookURL = server.URL
	return r, &hooks
}

func (r *clientRig) push(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		if _, err := r.repo.Push(githubtest.Push{Files: map[string]string{"n": fmt.Sprint(time.Now(), i)}}); err != nil {
			t.Fatal(err)
		}
	}
	r.settle(t)
}

func (r *clientRig) settle(t *testing.T) {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	if err := r.gh.Settle(ctx); err != nil {
		t.Fatal(err)
	}
}

// lost is how many events have not arrived.
func (r *clientRig) lost() int {
	arrived := map[string]bool{}
	for _, d := range r.gh.Deliveries() {
		arrived[d.GUID] = arrived[d.GUID] || d.OK()
	}
	n := 0
	for _, ok := range arrived {
		if !ok {
			n++
		}
	}
	return n
}

// look is one look for failed deliveries.
func (r *clientRig) look(t *testing.T) {
	t.Helper()
	if err := r.redeliverMissed(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.settle(t)
}

func TestMissedDeliveries(t *testing.T) {
	r, hooks := newMissedRig(t)
	r.push(t, 1)
	hooks.set(true)
	r.push(t, 3)
	var failed []string
	for _, d := range r.gh.Deliveries() {
		if d.Event == "push" && !d.OK() {
			failed = append(failed, d.GUID)
		}
	}
	hooks.set(false)
	before := len(hooks.pushes())
	r.look(t)
	if diff := cmp.Diff(failed, hooks.pushes()[before:]); diff != "" {
		t.Errorf("delivered again, oldest first (-want +got):\n%s", diff)
	}
	asked := len(r.gh.Requests(redeliverPattern))
	r.look(t)
	if n := len(r.gh.Requests(redeliverPattern)); n != asked {
		t.Errorf("asked %d times more for what has arrived", n-asked)
	}
	if !strings.Contains(r.log.String(), fmt.Sprint("asked_again=", asked)) {
		t.Errorf("no summary in the log:\n%s", r.log)
	}
}

// What never arrives is asked for a few times, and then the operator knows.
func TestHopelessDelivery(t *testing.T) {
	r, hooks := newMissedRig(t)
	hooks.set(true)
	r.push(t, 1)
	events := r.lost()
	for range redeliverTimes + 3 {
		r.look(t)
	}
	if n := len(r.gh.Requests(redeliverPattern)); n != redeliverTimes*events {
		t.Errorf("asked %d times for %d events; want %d for each", n, events, redeliverTimes)
	}
	if n := strings.Count(r.log.String(), "cannot deliver"); n != events {
		t.Errorf("said %d times for %d events; want once for each:\n%s", n, events, r.log)
	}
}

// Several processes look at the same time and ask once.
func TestTwoLookForMissedDeliveries(t *testing.T) {
	r, hooks := newMissedRig(t)
	hooks.set(true)
	r.push(t, 5)
	events := r.lost()
	other := New(r.Options)
	hooks.set(false)
	var both sync.WaitGroup
	for _, a := range []*App{r.App, other} {
		both.Go(func() {
			if err := a.redeliverMissed(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	r.settle(t)
	if n := len(r.gh.Requests(redeliverPattern)); n != events {
		t.Errorf("asked %d times for %d events", n, events)
	}
}

func TestMissedDeliveriesAfterAnError(t *testing.T) {
	r, hooks := newMissedRig(t)
	hooks.set(true)
	r.push(t, 2)
	hooks.set(false)
	r.gh.FailNext(redeliverPattern, 1, githubtest.BadGateway())
	if err := r.redeliverMissed(t.Context()); err == nil {
		t.Error("no error; want the 502")
	}
	r.look(t)
	if n := r.lost(); n != 1 {
		t.Errorf("%d events are lost at once after the error; want the one that is left for later", n)
	}
	r.memory.Now = func() time.Time { return time.Now().Add(time.Hour) } // the half interval has passed
	r.look(t)
	if n := r.lost(); n != 0 {
		t.Errorf("%d events are lost; want none", n)
	}
	if got := hooks.pushes(); len(got) != 2 || got[0] == got[1] {
		t.Errorf("pushes %v; want both, once each", got)
	}
}

func TestMissedDeliveriesPageByPage(t *testing.T) {
	r, hooks := newMissedRig(t)
	hooks.set(true)
	for i := range 130 {
		if err := r.gh.Deliver(r.app, r.inst, r.repo, "ping", map[string]any{"zen": fmt.Sprint(i), "hook_id": 1, "hook": map[string]any{}}); err != nil {
			t.Fatal(err)
		}
	}
	r.settle(t)
	list, newest, err := r.deliveriesSince(t.Context(), must(r.appClient(t.Context())), 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 130 || newest != 0 {
		t.Errorf("%d deliveries, newest settled %d; want 130, none", len(list), newest)
	}
	r.Now = func() time.Time { return time.Now().Add(2 * time.Minute) }
	list, newest, err = r.deliveriesSince(t.Context(), must(r.appClient(t.Context())), list[9].ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 9 || newest != list[0].ID {
		t.Errorf("since the tenth: %d, newest %d; want 9, %d", len(list), newest, list[0].ID)
	}
	r.Now = func() time.Time { return time.Now().Add(redeliverable + time.Minute) }
	if list, _, err = r.deliveriesSince(t.Context(), must(r.appClient(t.Context())), 0); err != nil || len(list) > 0 {
		t.Errorf("after three days: %d, %v; want none", len(list), err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestDeliveries(t *testing.T) {
	r, hooks := newMissedRig(t)
	r.push(t, 1)
	hooks.set(true)
	r.push(t, 1)
	got, err := r.App.Deliveries(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].OK() || got[0].Code != 503 || got[0].GUID == "" || got[0].At.IsZero() {
		t.Errorf("%+v; want the last two, the failed one first", got)
	}
	r.Identities = identityOf{}
	if _, err := r.App.Deliveries(t.Context(), 2); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("without an app: %v; want ErrNotFound", err)
	}
}

func TestRunWaitsForAnApp(t *testing.T) {
	r, hooks := newMissedRig(t)
	hooks.set(true)
	r.push(t, 1)
	hooks.set(false)
	late := &lateIdentity{Identities: r.Identities, asked: make(chan struct{}, 100)}
	r.Identities, r.Every = late, 10*time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	<-late.asked
	<-late.asked
	late.set(true)
	for len(hooks.pushes()) == 0 {
		select {
		case <-late.asked:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was delivered again")
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// lateIdentity is an app that is made while we run.
type lateIdentity struct {
	Identities
	asked chan struct{}
	mu    sync.Mutex
	there bool
}

func (l *lateIdentity) set(there bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.there = there
}

func (l *lateIdentity) Identity(ctx context.Context) (Identity, error) {
	select {
	case l.asked <- struct{}{}:
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.there {
		return Identity{}, builder.ErrNotFound
	}
	return l.Identities.Identity(ctx)
}
