package gitlab

import (
	"sync"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
)

// noteClock is ahead of the real one.
type noteClock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *noteClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *noteClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// noteForge is a Forge that speaks to the address.
func noteForge(t *testing.T, url, token string) (*Forge, *forgetest.Memory, *noteClock) {
	t.Helper()
	clock := &noteClock{}
	memory := forgetest.NewMemory()
	memory.Now = clock.now
	f, err := New(Options{
		Config:  config.GitLab{Name: "gitlab", URL: url, Token: token, Onboard: true, GitOps: true},
		Secrets: fixedSecrets{}, Memory: memory, Now: clock.now,
		BuildURL: func(id string) string { return "https://builds.example.com/builds/" + id },
		Host:     func() string { return "registry.example.com" },
		HookURL:  func() string { return "https://builds.example.com/hooks/gitlab" },
	})
	if err != nil {
		t.Fatal(err)
	}
	f.wire.first = soon
	return f, memory, clock
}

const (
	noteHead   = "4f2c1a0000000000000000000000000000000000"
	noteDigest = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b"
)

// noteReport is a build's report, as the courier makes it. at puts it in order.
func noteReport(image string, seq int64, at int, state builder.State, change func(*builder.Record)) builder.Report {
	began := time.Date(2026, 7, 7, 12, 0, 0, 0, time.UTC)
	record := builder.Record{
		Build: builder.Build{
			ID: "06BUILD-" + image, Image: image, Lane: builder.TrustedLane, Ref: builder.PullRef(3), Commit: noteHead, Seq: seq,
			Repository: builder.Repository{Forge: "gitlab", ID: "7", Owner: "acme/platform", Name: "shop", DefaultBranch: "main"},
			Pull:       &builder.Pull{Number: 3, Head: noteHead}, Destination: "acme/platform/shop/" + image, Tags: []string{"mr-3"},
		},
		Progress: builder.Progress{State: state, Attempt: 1, StartedAt: began, FinishedAt: began.Add(12 * time.Second)},
	}
	if !state.Terminal() {
		record.FinishedAt = time.Time{}
	}
	if state == builder.Queued {
		record.Progress = builder.Progress{State: state, Place: 3}
	}
	if state.Good() {
		record.Digest, record.Tagged = noteDigest, []builder.TagOutcome{{Tag: "mr-3", Moved: true}}
	}
	if change != nil {
		change(&record)
	}
	words := map[builder.State]builder.ReportState{builder.Succeeded: builder.StatusSuccess, builder.Promoted: builder.StatusSuccess, builder.Skipped: builder.StatusSuccess,
		builder.Failed: builder.StatusFailure, builder.Cancelled: builder.StatusError, builder.Superseded: builder.StatusError}
	word := words[state]
	if word == "" {
		word = builder.StatusPending
	}
	event := &builder.Event{Kind: builder.PullChanged, Commit: record.Commit, Pull: record.Pull, Seq: seq}
	return builder.Report{
		Repository: record.Repository, Ref: record.Ref, Commit: record.Commit, Context: record.StatusContext(), State: word,
		Description: builder.Describe(record), BuildID: record.ID, EventID: "e", Seq: seq, UpdatedAt: began.Add(time.Duration(at) * time.Second),
		Newest: true, Record: &record, Event: event,
	}
}

// noteAll is the report of all images together.
func noteAll(seq int64, at int, commit string, state builder.ReportState, text string) builder.Report {
	r := noteReport("", seq, at, builder.Queued, func(b *builder.Record) { b.Commit, b.Pull.Head = commit, commit })
	r.Record, r.BuildID, r.Context, r.State, r.Description = nil, "", builder.AggregateContext, state, text
	return r
}
