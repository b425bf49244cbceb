package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

// A server in cluster mode refuses scripts and transactions whose keys are in
// more than one slot, also when one node has all of them.
func TestOneBuildInClusterMode(t *testing.T) {
	client := storetest.StartCluster(t)
	s := store.New(client, store.Options{})
	go s.Run(t.Context())

	e := pushed("e1", "a", "refs/heads/main", "c1")
	if err := s.Intend(ctx, []builder.Event{e}); err != nil {
		t.Fatal(err)
	}
	enqueue(t, s, e, "b1")
	l := claim(t, s, "w", "b1")
	if _, err := s.ClaimInput(ctx, l, "v1:key"); err != nil {
		t.Error(err)
	}
	w := s.OpenLog(ctx, l)
	write(t, w, "line\n")
	if err := s.Advance(ctx, l, builder.Pushing, builder.Result{Digest: "sha256:1"}); err != nil {
		t.Error(err)
	}
	if err := s.KeepInput(ctx, l, "v1:key", "sha256:1"); err != nil {
		t.Error(err)
	}
	token, err := s.Tags().Lock(ctx, "r", "b1#1")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Tags().SetPositions(ctx, "r", token, map[string]builder.Position{"latest": {Seq: 1}}); err != nil {
		t.Error(err)
	}
	if _, err := s.PutStatus(ctx, builder.Report{Repository: e.Repository, Commit: "c1", Context: "a"}); err != nil {
		t.Error(err)
	}
	if tail, _, err := s.LogTail(ctx, "b1", 3); err != nil {
		t.Errorf("tail %q, %v", tail, err)
	}
	if err := s.Finish(ctx, l, builder.Succeeded, builder.Result{}, "tell"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	fired := nextOf(t, s, builder.LaneTriggers)
	if _, err := s.HoldEffects(ctx, fired); err != nil {
		t.Error(err)
	}
	if err := s.Settle(ctx, fired, builder.TriggerRun{BuildID: "b1", Trigger: "tell", State: builder.RunFailed, Repository: e.Repository}, builder.Telling{When: builder.TellAgain, Commit: "c1", Context: "a"}); err != nil {
		t.Error(err)
	}
	if _, err := s.RetryTrigger(ctx, e.Repository, "b1", "tell", "ada"); err != nil {
		t.Error(err)
	}
	if runs, _, err := s.Runs(ctx, builder.RunFilter{}); len(runs) != 1 || err != nil {
		t.Errorf("runs %v, %v", runs, err)
	}
	if tail, _, err := s.LogTail(ctx, "b1", 3); tail != "ne\n" || err != nil {
		t.Errorf("tail %q, %v", tail, err)
	}
	if got := text(readLog(t, s, "", true)); got != "line\n" {
		t.Errorf("log %q", got)
	}
	enqueue(t, s, pushed("e2", "b", "refs/heads/main", "c1"), "b2")
	if records, _, err := s.Builds(ctx, builder.BuildFilter{}); err != nil || len(records) != 2 {
		t.Errorf("%d builds, %v", len(records), err)
	}
	if got := effects(t, s); len(got) != 6 {
		t.Errorf("effects %q", got)
	}
	if err := s.Delete(ctx, "b1"); err != nil {
		t.Error(err)
	}
}

func TestAppInClusterMode(t *testing.T) {
	s := store.New(storetest.StartCluster(t), store.Options{PerRepository: 10})
	go s.Run(t.Context())
	a, b := installed("a", "1"), installed("b", "1")
	known(t, s, a, "a")
	known(t, s, b, "b")
	if diff := cmp.Diff(everything, knows(t, s, a)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	decided(t, s, pullEvent("p1", builder.PullChanged, "c", "c1"), builder.Decision{})
	decided(t, s, pullEvent("p2", builder.PullClosed, "c", "c1"), builder.Decision{StopRef: pull5, Untag: 5})
	if d, err := s.Latest(ctx, "git:acme/c", pull5); err != nil || d.EventID != "p1" {
		t.Errorf("latest: %q, %v", d.EventID, err)
	}
	decided(t, s, withdrawal("w1", a), builder.Decision{StopAll: "because"})
	decided(t, s, withdrawal("w2", builder.Repository{Forge: "github"}), builder.Decision{StopInstallation: "1"})
	if got := knows(t, s, b); len(got) > 0 {
		t.Errorf("of the withdrawn one is known: %q", got)
	}
	remark(t, s, onPull, builder.Remark{Topic: "e1", Text: "one", Seq: 1})
	if err := s.Memory().Remember(ctx, "k", "v", time.Hour); err != nil {
		t.Error(err)
	}
	if won, err := s.Memory().Claim(ctx, "k", "w", time.Hour); won || err != nil {
		t.Errorf("claim: %t, %v", won, err)
	}
	if v, err := s.Memory().Recall(ctx, "k"); v != "v" || err != nil {
		t.Errorf("recalled %q, %v", v, err)
	}
}
