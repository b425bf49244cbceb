package store_test

import (
	"testing"

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
	if err := s.PutTriggerRun(ctx, builder.TriggerRun{BuildID: "b1", Trigger: "tell"}); err != nil {
		t.Error(err)
	}
	finish(t, s, l, builder.Succeeded)
	w.Close()
	if got := text(readLog(t, s, "", true)); got != "line\n" {
		t.Errorf("log %q", got)
	}
	enqueue(t, s, pushed("e2", "b", "refs/heads/main", "c1"), "b2")
	if records, _, err := s.Builds(ctx, builder.BuildFilter{}); err != nil || len(records) != 2 {
		t.Errorf("%d builds, %v", len(records), err)
	}
	if got := effects(t, s); len(got) != 4 {
		t.Errorf("effects %q", got)
	}
	if err := s.Delete(ctx, "b1"); err != nil {
		t.Error(err)
	}
}
