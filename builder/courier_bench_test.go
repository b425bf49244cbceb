package builder_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

const (
	burstRepositories = 100
	burstTriggers     = 10 // of each
	burstAtOnce       = 32
	burstAnswer       = 20 * time.Millisecond // what a receiver takes
)

// post is a kind that sends as the real one does: a connection for each.
type post struct {
	client *http.Client
	url    string
}

func newPost(url string) post {
	return post{&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, url}
}

func (post) Action(config.Trigger) string { return "webhook" }

func (p post) Fire(ctx context.Context, f trigger.Firing) (trigger.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(make([]byte, 1000)))
	if err != nil {
		return trigger.Answer{}, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return trigger.Answer{}, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return trigger.Answer{Text: resp.Status}, err
}

// BenchmarkBurst fires 1,000 triggers of 100 repositories that are due at
// once, and sends the same requests with the same concurrency without us:
// "ratio" is that time over ours.
func BenchmarkBurst(b *testing.B) {
	var came atomic.Int64
	all := make(chan struct{}, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		time.Sleep(burstAnswer) // a receiver at work, not a wait for anything
		if came.Add(1) == burstRepositories*burstTriggers {
			all <- struct{}{}
		}
	}))
	defer receiver.Close()
	server := storetest.Start(b)
	var ours, bare time.Duration
	for round := 0; b.Loop(); round++ {
		s := server.Store(b, store.Options{PerRepository: 100})
		dueAtOnce(b, s, round)
		set, err := trigger.NewSet(trigger.Options{Kinds: map[string]trigger.Kind{"webhook": newPost(receiver.URL)},
			Redact: func(_ context.Context, text string) string { return text }, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		c := &builder.Courier{Outbox: s, Records: s, Told: s, Triggers: set, Name: "bench", Parallel: 4, Firing: burstAtOnce, Log: slog.New(slog.DiscardHandler)}
		ctx, stop := context.WithCancel(b.Context())
		var ran sync.WaitGroup
		came.Store(0)
		began := time.Now()
		ran.Go(func() { c.Run(ctx) })
		<-all
		ours += time.Since(began)
		stop()
		ran.Wait()

		came.Store(0)
		began = time.Now()
		plain, slots := newPost(receiver.URL), make(chan struct{}, burstAtOnce)
		for range burstRepositories * burstTriggers {
			slots <- struct{}{}
			ran.Go(func() { defer func() { <-slots }(); plain.Fire(b.Context(), trigger.Firing{}) })
		}
		<-all
		bare += time.Since(began)
		ran.Wait()
	}
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "ours-ms")
	b.ReportMetric(float64(bare.Milliseconds())/float64(b.N), "bare-ms")
	b.ReportMetric(float64(bare)/float64(ours), "ratio")
}

// dueAtOnce leaves 1,000 triggers due, and nothing to report.
func dueAtOnce(b *testing.B, s *store.Store, round int) {
	b.Helper()
	ctx := b.Context()
	var triggers []config.Trigger
	var names []string
	for i := range burstTriggers {
		names = append(names, fmt.Sprint("hook", i))
		triggers = append(triggers, config.Trigger{Name: names[i], Webhook: &config.Webhook{URL: "https://example.com/" + names[i]}})
	}
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	for i := range burstRepositories {
		id := fmt.Sprintf("%02d%014d", round, i)
		repo := builder.Repository{Forge: "git", ID: fmt.Sprint("acme/", i), Owner: "acme", Name: fmt.Sprint(i)}
		_, err := s.Append(ctx, builder.Event{ID: id, Kind: builder.BranchPushed, Repository: repo, Ref: "refs/heads/main", Commit: id})
		must(err)
		l, err := s.NextEvent(ctx, "bench")
		must(err)
		must(s.Decide(ctx, l, builder.Decision{Builds: []builder.Build{{ID: id, EventID: id, Repository: repo, Image: "app", Commit: id,
			Destination: "acme/app", Tags: []string{"latest"}, Triggers: triggers}}}))
		build, err := s.Claim(ctx, "bench")
		must(err)
		must(s.Finish(ctx, build, builder.Succeeded, builder.Result{Digest: "sha256:1", Tagged: []builder.TagOutcome{{Tag: "latest", Moved: true}}}, names...))
	}
	for left := 2 * burstRepositories; left > 0; {
		effects, err := s.NextEffects(ctx, "bench", builder.LaneReports, left)
		must(err)
		for _, e := range effects {
			must(s.Done(ctx, e))
		}
		left -= len(effects)
	}
}
