package kubernetes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/kubernetes/kubetest"
	"github.com/registry-build/registry-build/config"
)

const hold = "registry-build.dev/hold"

func TestOlderBuildIsSkipped(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	kube.Kubelet(t, ns)
	workload(t, ns, "Deployment", "")
	k := newKind(t, kube.Admin)
	succeed(t, k, firing(target(ns, config.Deployment), 2))
	answer, err := k.Fire(t.Context(), firing(target(ns, config.Deployment), 1))
	if err != nil || !answer.Skipped {
		t.Errorf("Fire = %+v, %v; want it skipped", answer, err)
	}
	contains(t, answer.Text, buildID(2), "accepted later")
	// Of two builds of one event it is the same one that stays, whichever
	// comes first.
	twin := firing(target(ns, config.Deployment), 1)
	twin.Record.AcceptedAt = firing(target(ns, config.Deployment), 2).Record.AcceptedAt
	if answer, err := k.Fire(t.Context(), twin); err != nil || !answer.Skipped {
		t.Errorf("the twin: %+v, %v; want it skipped", answer, err)
	}
	wantImage(t, "Deployment", ns, 2)
}

// Many builds at once, in any order: the last accepted one stays.
func TestLastAcceptedWins(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	nodes := kube.Kubelet(t, ns)
	workload(t, ns, "Deployment", "")
	const builds = 5
	for n := 1; n < builds; n++ { // no older one ends before the newest has begun
		nodes.Set(image(n), kubetest.PodState{})
	}
	var wg sync.WaitGroup
	for n := 1; n <= builds; n++ {
		wg.Go(func() {
			answer, err := follow(t, newKind(t, kube.Admin), firing(target(ns, config.Deployment), n))
			if err != nil || answer.Skipped == (n == builds) {
				t.Errorf("build %d: %+v, %v", n, answer, err)
			}
		})
	}
	wg.Wait()
	wantImage(t, "Deployment", ns, builds)
}

// A newer build that comes while the older one rolls out ends that watch.
func TestNewerBuildEndsTheWatch(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	nodes := kube.Kubelet(t, ns)
	workload(t, ns, "Deployment", "")
	nodes.Set(image(1), kubetest.PodState{})
	k := newKind(t, kube.Admin)
	f := firing(target(ns, config.Deployment), 1)
	answer, err := k.Fire(t.Context(), f)
	if err != nil || answer.Again == 0 {
		t.Fatalf("%+v, %v", answer, err)
	}
	succeed(t, k, firing(target(ns, config.Deployment), 2))
	f.Memo = answer.Memo
	answer, err = k.Fire(t.Context(), f)
	if err != nil || !answer.Skipped {
		t.Errorf("%+v, %v; want it skipped", answer, err)
	}
	contains(t, answer.Text, buildID(2), "before this rollout had ended")
}

// What was set by hand stays until somebody says that it may go.
func TestHandMadeChange(t *testing.T) {
	t.Parallel()
	const mine = "registry.example.com/acme/api:mine"
	tests := map[string]struct {
		change func(t *testing.T, ns string) // after builds 1 and 2
		now    string                        // the image that then stands
		by     string
	}{
		"set image": {func(t *testing.T, ns string) {
			kube.Kubectl(t, kube.Admin, "-n", ns, "set", "image", "deployment/api", "api="+mine)
		}, mine, "kubectl-set"},
		"undo": {func(t *testing.T, ns string) {
			kube.Kubectl(t, kube.Admin, "-n", ns, "rollout", "undo", "deployment/api")
		}, image(1), "kubectl"},
		"undo to first": {func(t *testing.T, ns string) {
			kube.Kubectl(t, kube.Admin, "-n", ns, "rollout", "undo", "deployment/api", "--to-revision=1")
		}, image(0), "kubectl"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := kube.Namespace(t)
			kube.Kubelet(t, ns)
			workload(t, ns, "Deployment", "")
			k := newKind(t, kube.Admin)
			succeed(t, k, firing(target(ns, config.Deployment), 1))
			succeed(t, k, firing(target(ns, config.Deployment), 2))
			tt.change(t, ns)
			for range 2 { // and the second time it is held already
				fail(t, k, firing(target(ns, config.Deployment), 3), "is held", tt.now, "by "+tt.by, "kubectl annotate -n "+ns+" deployment/api "+hold+"-")
				if got := imageOf(t, "Deployment", ns); got != tt.now {
					t.Fatalf("the image is %s", got)
				}
			}
			why := kube.Get(t, "Deployment", ns, "api").GetAnnotations()[hold]
			contains(t, why, "set to "+tt.now, "registry-build had set")
			kube.Kubectl(t, kube.Admin, "annotate", "-n", ns, "deployment/api", hold+"-")
			succeed(t, k, firing(target(ns, config.Deployment), 3))
			wantImage(t, "Deployment", ns, 3)
			// Once released, it is guarded as before.
			kube.Kubectl(t, kube.Admin, "-n", ns, "set", "image", "deployment/api", "api="+mine)
			fail(t, k, firing(target(ns, config.Deployment), 4), "is held")
		})
	}
}

// Anybody may hold a workload, with any words.
func TestHeldByAPerson(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	workload(t, ns, "Deployment", "")
	kube.Kubectl(t, kube.Admin, "annotate", "-n", ns, "deployment/api", hold+"=release freeze until Monday")
	fail(t, newKind(t, kube.Admin), firing(target(ns, config.Deployment), 1), "is held (release freeze until Monday)")
	wantImage(t, "Deployment", ns, 0)
}

func TestChangedDuringTheRollout(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	nodes := kube.Kubelet(t, ns)
	workload(t, ns, "Deployment", "")
	nodes.Set(image(1), kubetest.PodState{})
	to := target(ns, config.Deployment)
	to.Rollback = true
	k, f := newKind(t, kube.Admin), firing(to, 1)
	answer, err := k.Fire(t.Context(), f)
	if err != nil || answer.Again == 0 {
		t.Fatalf("%+v, %v", answer, err)
	}
	kube.Kubectl(t, kube.Admin, "-n", ns, "set", "image", "deployment/api", "api="+image(7))
	f.Memo = answer.Memo
	fail(t, k, f, "somebody else set the image of container api", image(7), "by kubectl-set", "left so")
	wantImage(t, "Deployment", ns, 7)
}

// The same bytes under another tag are noted, and no pod starts again.
func TestSameDigestUnderAnotherTag(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	kube.Kubelet(t, ns)
	workload(t, ns, "Deployment", "")
	k := newKind(t, kube.Admin)
	first := firing(target(ns, config.Deployment), 1)
	succeed(t, k, first)
	const revision = "deployment.kubernetes.io/revision"
	before := kube.Get(t, "Deployment", ns, "api").GetAnnotations()[revision]
	promoted := firing(target(ns, config.Deployment), 2)
	promoted.Record.Digest = first.Record.Digest
	succeed(t, k, promoted)
	d := kube.Get(t, "Deployment", ns, "api")
	if now := d.GetAnnotations()[revision]; now != before {
		t.Errorf("revision %s, and %s before: the pods were started again", now, before)
	}
	if got := d.GetLabels()["build.registry-build.dev/api"]; got != buildID(2) {
		t.Errorf("the label says build %s", got)
	}
	if answer, err := k.Fire(t.Context(), first); err != nil || !answer.Skipped {
		t.Errorf("the older one: %+v, %v", answer, err)
	}
	succeed(t, k, firing(target(ns, config.Deployment), 3))
}

// A delivery that comes again looks, and patches nothing.
func TestRepeatedFire(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	kube.Kubelet(t, ns)
	workload(t, ns, "CronJob", "")
	g := newGate(t)
	k := newKind(t, g.kubeconfig)
	f := firing(target(ns, config.CronJob), 1)
	succeed(t, k, f)
	if got := strings.Join(g.methods(), " "); got != "GET PATCH" {
		t.Errorf("a firing is %s, want GET PATCH", got)
	}
	succeed(t, k, f)
	if got := strings.Join(g.methods(), " "); got != "GET PATCH GET" {
		t.Errorf("and once more: %s", got)
	}
}

// Two triggers of two images update two containers of one pod.
func TestTwoContainers(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	kube.Kubelet(t, ns)
	workload(t, ns, "Deployment", "")
	kube.Patch(t, "kubectl", "Deployment", ns, "api", `spec: {template: {spec: {containers: [{name: proxy, image: proxy:1}]}}}`)
	k := newKind(t, kube.Admin)
	to := target(ns, config.Deployment)
	fail(t, k, firing(to, 1), "has the containers", "proxy", "container: in the trigger")
	for n, container := range []string{"proxy", "api", "proxy", "api"} {
		to.Container = container
		f := firing(to, 9-n/2*2+n) // accepted in no order of the two
		f.Record.AcceptedAt = accepted.AddDate(0, 0, n/2)
		succeed(t, k, f)
	}
}

// Somebody writes to the workload all the time: neither loses anything.
func TestConflicts(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	kube.Kubelet(t, ns)
	workload(t, ns, "Deployment", "")
	k := newKind(t, kube.Admin)
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan int)
	go func() {
		n := 0
		for ctx.Err() == nil {
			n++
			kube.Patch(t, "writer", "Deployment", ns, "api", fmt.Sprintf(
				`{metadata: {annotations: {count: "%d"}}, spec: {template: {spec: {containers: [{name: api, env: [{name: N%d, value: "1"}]}]}}}}`, n, n%50))
		}
		written <- n
	}()
	kubetest.Await(t, "first write", func() bool { return kube.Get(t, "Deployment", ns, "api").GetAnnotations()["count"] != "" })
	conflicts := 0
	for n := 1; n <= 5; n++ {
		f := firing(target(ns, config.Deployment), n)
		kubetest.Await(t, "patch", func() bool {
			answer, err := k.Fire(t.Context(), f)
			if _, again := trigger.IsTemporary(err); again {
				conflicts++
				return false
			}
			if err != nil || answer.Skipped {
				t.Errorf("%+v, %v", answer, err)
			}
			return true
		})
	}
	cancel()
	n := <-written
	d := kube.Get(t, "Deployment", ns, "api")
	if got := d.GetAnnotations()["count"]; got != fmt.Sprint(n) {
		t.Errorf("the writer's annotation is %s, want %d", got, n)
	}
	text, err := json.Marshal(d.Object)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(text), `"name":"N`); got != min(n, 50) {
		t.Errorf("%d of the writer's %d variables are left", got, min(n, 50))
	}
	wantImage(t, "Deployment", ns, 5)
	t.Logf("%d writes; %d attempts were left to later", n, conflicts)
}

func TestPaused(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	kube.Kubelet(t, ns)
	workload(t, ns, "Deployment", ", paused: true")
	k := newKind(t, kube.Admin)
	fail(t, k, firing(target(ns, config.Deployment), 1), "is paused", "kubectl rollout resume -n "+ns+" deployment/api")
	wantImage(t, "Deployment", ns, 0)
	kube.Kubectl(t, kube.Admin, "rollout", "resume", "-n", ns, "deployment/api")
	succeed(t, k, firing(target(ns, config.Deployment), 1))
}

// A context that ends while the cluster hangs ends the call; one that has
// ended asks nobody.
func TestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	workload(t, ns, "Deployment", "")
	g := newGate(t)
	k := newKind(t, g.kubeconfig)
	defer g.close(hang)()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := k.Fire(ctx, firing(target(ns, config.Deployment), 1))
		ended <- err
	}()
	kubetest.Await(t, "request", func() bool { return len(g.methods()) > 0 })
	cancel()
	if _, again := trigger.IsTemporary(<-ended); !again {
		t.Error("want a temporary error")
	}
	before := len(g.methods())
	if _, err := k.Fire(ctx, firing(target(ns, config.Deployment), 1)); !errors.Is(err, context.Canceled) || len(g.methods()) != before {
		t.Errorf("with an ended context: %v, %d requests more", err, len(g.methods())-before)
	}
}
