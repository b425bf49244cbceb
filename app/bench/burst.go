package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/registry-build/registry-build/app/instance"
)

const (
	burstRepositories = 100
	burstTriggers     = 10 // of each repository
	burstAll          = burstRepositories * burstTriggers
	burstAtOnce       = 32                    // requests, on both sides
	burstAnswer       = 20 * time.Millisecond // what the receiver takes for each
	burstDown         = 25 * time.Second      // after which every trigger is due again, whatever its wait
	burstLimit        = 2 * time.Minute
	burstRounds       = 5 // a round takes half a minute, most of which is waiting
)

// measureBurst measures how fast 1,000 webhooks go out that are due at once,
// against a client that does nothing but send the same requests. They become
// due at once as they do in life: what receives them was away, we were
// stopped, and both are back.
func measureBurst(ctx context.Context, in *installation, _ int) (rows []row, err error) {
	to, err := receive()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	fmt.Printf("triggers: %d webhooks of %d repositories due at once, %d at a time, %s to answer each\n", burstAll, burstRepositories, burstAtOnce, burstAnswer)
	time1000 := row{name: "triggers_1000", least: 0.6, note: "from the first of 1,000 webhooks to the last answer"}
	var peaks []int
	for round := range burstRounds + 1 {
		ours, peak, err := in.burst(ctx, to, round)
		if err != nil {
			said, _ := os.ReadFile(filepath.Join(in.path("burst"), "up.log"))
			return nil, fmt.Errorf("%w\n%s", err, tail(said))
		}
		bare, err := to.bare(ctx)
		if err != nil {
			return nil, err
		}
		fmt.Printf("  round %d: ours %s (peak memory %d MB)  bare %s%s\n", round, milliseconds(ours), peak>>20, milliseconds(bare), warmUp(round))
		if round > 0 {
			time1000.add(0, ours, bare)
			peaks = append(peaks, peak>>20)
		}
	}
	fmt.Printf("  peak memory of `up`: %v MB\n", peaks)
	return []row{time1000}, nil
}

// burst makes 1,000 triggers due and returns how long they take once `up` is
// back, and the most memory that it had until the last was answered.
func (in *installation) burst(ctx context.Context, to *receiver, round int) (took time.Duration, peak int, err error) {
	to.begin(http.StatusServiceUnavailable)
	up, err := in.beside(ctx, "burst", burstSettings(to.url))
	if err != nil {
		return 0, 0, err
	}
	err = errors.Join(pushImages(ctx, up, fmt.Sprintf("v%d", round)), to.await(ctx), up.Stop())
	if err != nil {
		return 0, 0, err
	}
	select { // longer than the longest wait that any of them can have by now
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-time.After(burstDown):
	}
	to.begin(http.StatusOK)
	if up, err = in.beside(ctx, "burst", burstSettings(to.url)); err != nil {
		return 0, 0, err
	}
	defer func() { err = joinStop(err, up) }()
	if err := to.await(ctx); err != nil {
		return 0, 0, err
	}
	peak, err = peakMemory(up.PID())
	return to.took(), peak, err
}

func burstSettings(address string) string {
	var b strings.Builder
	b.WriteString("triggers:\n  allowHosts: [127.0.0.1]\n  rules:\n")
	for i := range burstTriggers {
		fmt.Fprintf(&b, "    - {name: hook%d, images: [\"team*/app\"], webhook: {url: \"%s/hook%d\"}}\n", i, address, i)
	}
	return b.String()
}

// pushImages pushes one small image to each of the repositories, as people do.
func pushImages(ctx context.Context, up *instance.Instance, tag string) error {
	image, err := random.Image(256, 1)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range burstRepositories {
		g.Go(func() error {
			ref, err := name.ParseReference(fmt.Sprintf("%s/team%d/app:%s", up.Host(), i, tag), name.Insecure)
			if err != nil {
				return err
			}
			return remote.Write(ref, image, remote.WithContext(ctx), remote.WithAuth(&authn.Basic{Username: "owner", Password: up.Token}))
		})
	}
	return g.Wait()
}

// receiver takes webhooks and remembers them.
type receiver struct {
	*http.Server
	url string

	mu       sync.Mutex
	status   int
	seen     map[string]*http.Request // by delivery
	bodies   map[string][]byte
	first    time.Time
	last     time.Time
	complete chan struct{}
}

func receive() (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	to := &receiver{url: "http://" + l.Addr().String()}
	to.begin(http.StatusOK)
	to.Server = &http.Server{Handler: to}
	go to.Serve(l)
	return to, nil
}

// begin forgets what came and answers what comes with the status.
func (to *receiver) begin(status int) {
	to.mu.Lock()
	defer to.mu.Unlock()
	to.status, to.seen, to.bodies = status, map[string]*http.Request{}, map[string][]byte{}
	to.first, to.last, to.complete = time.Time{}, time.Time{}, make(chan struct{})
}

func (to *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	time.Sleep(burstAnswer) // a web server that looks into a database
	to.mu.Lock()
	status := to.status
	if to.first.IsZero() {
		to.first = began
	}
	to.last = time.Now()
	delivery := r.URL.Path + " " + r.Header.Get("Registry-Build-Delivery")
	if _, again := to.seen[delivery]; !again {
		to.seen[delivery], to.bodies[delivery] = r, body
		if len(to.seen) == burstAll {
			close(to.complete)
		}
	}
	to.mu.Unlock()
	w.WriteHeader(status)
}

func (to *receiver) await(ctx context.Context) error {
	to.mu.Lock()
	complete := to.complete
	to.mu.Unlock()
	select {
	case <-complete:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(burstLimit):
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	return fmt.Errorf("%d of %d webhooks came within %s", len(to.seen), burstAll, burstLimit)
}

func (to *receiver) took() time.Duration {
	to.mu.Lock()
	defer to.mu.Unlock()
	return to.last.Sub(to.first)
}

// bare sends the same requests again, the same number at a time, and does
// nothing else.
func (to *receiver) bare(ctx context.Context) (time.Duration, error) {
	to.mu.Lock()
	requests, bodies := to.seen, to.bodies
	to.mu.Unlock()
	to.begin(http.StatusOK)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: burstAtOnce}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(burstAtOnce)
	for delivery, r := range requests {
		g.Go(func() error {
			req, err := http.NewRequestWithContext(ctx, r.Method, to.url+r.URL.Path, bytes.NewReader(bodies[delivery]))
			if err != nil {
				return err
			}
			req.Header = r.Header.Clone()
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, resp.Body)
			return errors.Join(err, resp.Body.Close())
		})
	}
	err := g.Wait()
	return to.took(), err
}

// peakMemory is the most that a process ever had in memory, in bytes.
func peakMemory(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kb int
			_, err := fmt.Sscanf(strings.TrimSpace(rest), "%d kB", &kb)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %d tells no VmHWM", pid)
}
