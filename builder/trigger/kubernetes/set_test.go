package kubernetes_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/kubernetes/kubetest"
	"github.com/registry-build/registry-build/config"
)

// The engine's records of a rollout: one attempt, however many looks.
func TestThroughTheEngine(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	workload(t, ns, "Deployment", "")
	set, err := trigger.NewSet(trigger.Options{
		Kinds:  map[string]trigger.Kind{"kubernetes": newKind(t, kube.Admin)},
		Redact: func(_ context.Context, text string) string { return text },
		Log:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	f := builder.Firing{Record: firing(target(ns, config.Deployment), 1).Record, Trigger: "prod"}
	run := set.Fire(t.Context(), f)
	if run.State != builder.RunRunning || run.Retry <= 0 || run.Memo == "" {
		t.Fatalf("without a kubelet: %+v", run)
	}
	kube.Kubelet(t, ns)
	kubetest.Await(t, "end of the run", func() bool {
		f.Before = &run
		run = set.Fire(t.Context(), f)
		return run.State.Terminal()
	})
	if run.State != builder.RunSucceeded || run.Attempts != 1 || !strings.HasPrefix(run.Action, "kubernetes deployment "+ns+"/api in cluster prod") || !strings.Contains(run.Answer, image(1)) {
		t.Errorf("%+v", run)
	}
}
