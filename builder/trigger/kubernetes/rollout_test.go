package kubernetes_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder/trigger/kubernetes"
	"github.com/registry-build/registry-build/builder/trigger/kubernetes/kubetest"
	"github.com/registry-build/registry-build/config"
)

func TestFireRollsOut(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		object string
		kind   config.WorkloadKind
		extra  string
		want   string
	}{
		"deployment":                   {"Deployment", config.Deployment, ", replicas: 3", "its 3 pods run it"},
		"deployment without pods":      {"Deployment", config.Deployment, ", replicas: 0", "it has no pods"},
		"stateful set":                 {"StatefulSet", config.StatefulSet, ", replicas: 2", "its 2 pods run it"},
		"stateful set with partition":  {"StatefulSet", config.StatefulSet, ", replicas: 3, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 2}}", "1 of 3 pods run it"},
		"stateful set by hand":         {"StatefulSet", config.StatefulSet, ", updateStrategy: {type: OnDelete}", "once it was deleted"},
		"daemon set":                   {"DaemonSet", config.DaemonSet, "", "its pod runs it"},
		"daemon set by hand":           {"DaemonSet", config.DaemonSet, ", updateStrategy: {type: OnDelete}", "once it was deleted"},
		"cron job":                     {"CronJob", config.CronJob, "", "the next job runs it"},
		"cron job that is not running": {"CronJob", config.CronJob, ", suspend: true", "suspended"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := kube.Namespace(t)
			kube.Kubelet(t, ns)
			workload(t, ns, tt.object, tt.extra)
			k := newKind(t, kube.Admin)
			answer := succeed(t, k, firing(target(ns, tt.kind), 1))
			contains(t, answer.Text, tt.want, image(1), "before: "+image(0), "in cluster prod")
			wantImage(t, tt.object, ns, 1)
			cause := kube.Get(t, tt.object, ns, "api").GetAnnotations()["kubernetes.io/change-cause"]
			if want := "registry-build: build " + buildID(1) + ", acme/api@4f2c1a, tag v1"; cause != want {
				t.Errorf("change cause %q, want %q", cause, want)
			}
			succeed(t, k, firing(target(ns, tt.kind), 2))
			wantImage(t, tt.object, ns, 2)
		})
	}
}

func TestFireFails(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pod     kubetest.PodState
		seconds int // progressDeadlineSeconds
		timeout time.Duration
		want    []string
	}{
		"stuck":             {kubetest.PodState{}, 1, time.Minute, []string{"ProgressDeadlineExceeded", "1 of 1 pods are new, 1 of 2 available"}},
		"too slow":          {kubetest.PodState{}, 600, time.Second, []string{"did not end within 1s", "1 of 1 pods are new"}},
		"crash loop":        {kubetest.PodState{Waiting: "CrashLoopBackOff", Message: "no database at db:5432"}, 600, time.Minute, []string{"pod api-", "CrashLoopBackOff", "3 times", "exit code 1", "no database at db:5432"}},
		"image cannot come": {kubetest.PodState{Waiting: "ImagePullBackOff", Message: "401 from the registry"}, 600, time.Minute, []string{"pod api-", "ImagePullBackOff: 401 from the registry"}},
		"bad configuration": {kubetest.PodState{Waiting: "CreateContainerConfigError", Message: `secret "db" not found`}, 600, time.Minute, []string{`CreateContainerConfigError: secret "db" not found`}},
	}
	for name, tt := range tests {
		for _, rollback := range []bool{false, true} {
			if rollback {
				name += ", and back"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				ns := kube.Namespace(t)
				nodes := kube.Kubelet(t, ns)
				workload(t, ns, "Deployment", "")
				deadline := func(seconds int) {
					kube.Patch(t, "kubectl", "Deployment", ns, "api", fmt.Sprintf(`spec: {progressDeadlineSeconds: %d}`, seconds))
				}
				k := newKind(t, kube.Admin)
				succeed(t, k, firing(target(ns, config.Deployment), 1))
				deadline(tt.seconds)
				nodes.Set(image(2), tt.pod)
				to := target(ns, config.Deployment)
				to.Rollback, to.Timeout = rollback, tt.timeout
				want := append(tt.want, "the rollout of "+image(2), "failed")
				if !rollback {
					fail(t, k, firing(to, 2), want...)
					wantImage(t, "Deployment", ns, 2)
					return
				}
				fail(t, k, firing(to, 2), append(want, "the image before was put back: "+image(1))...)
				wantImage(t, "Deployment", ns, 1)
				// Going back was ours, so the next build is not held up; and the
				// same one may be tried again.
				deadline(600)
				nodes.Set(image(2), kubetest.PodState{Ready: true})
				succeed(t, k, firing(to, 2))
				wantImage(t, "Deployment", ns, 2)
				succeed(t, k, firing(to, 3))
				wantImage(t, "Deployment", ns, 3)
			})
		}
	}
}

// The first image that is ours has one before it that is not.
func TestFireRollsBackToWhatWasNotOurs(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	nodes := kube.Kubelet(t, ns)
	workload(t, ns, "Deployment", "")
	nodes.Set(image(1), kubetest.PodState{Waiting: "ErrImagePull", Message: "gone"})
	to := target(ns, config.Deployment)
	to.Rollback = true
	k := newKind(t, kube.Admin)
	fail(t, k, firing(to, 1), "put back: "+image(0))
	wantImage(t, "Deployment", ns, 0)
	succeed(t, k, firing(to, 2))
	wantImage(t, "Deployment", ns, 2)
}

// A pod that crashed and came up is no failure, and one whose trouble passes
// within the patience neither.
func TestFireIsPatient(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	nodes := kube.Kubelet(t, ns)
	workload(t, ns, "Deployment", "")
	nodes.Set(image(1), kubetest.PodState{Waiting: "CrashLoopBackOff", Message: "not yet"})
	k := newKind(t, kube.Admin, func(o *kubernetes.Options) { o.Patience = time.Minute })
	f := firing(target(ns, config.Deployment), 1)
	answer, err := k.Fire(t.Context(), f)
	if err != nil || answer.Again == 0 {
		t.Fatalf("Fire = %+v, %v; want it to go on", answer, err)
	}
	contains(t, answer.Text, "not yet", "1 of 1 pods are new")
	nodes.Set(image(1), kubetest.PodState{Ready: true})
	f.Memo = answer.Memo
	succeed(t, k, f)
}

// A server that was stopped between two looks goes on where it was, with the
// memo, and without it too: then nothing is patched again.
func TestFireResumes(t *testing.T) {
	t.Parallel()
	for _, withMemo := range []bool{true, false} {
		ns := kube.Namespace(t)
		nodes := kube.Kubelet(t, ns)
		workload(t, ns, "Deployment", "")
		nodes.Set(image(1), kubetest.PodState{})
		f := firing(target(ns, config.Deployment), 1)
		answer, err := newKind(t, kube.Admin).Fire(t.Context(), f)
		if err != nil || answer.Again == 0 || answer.Memo == "" {
			t.Fatalf("Fire = %+v, %v; want it to go on", answer, err)
		}
		generation := kube.Get(t, "Deployment", ns, "api").GetGeneration()
		nodes.Set(image(1), kubetest.PodState{Ready: true})
		if withMemo {
			f.Memo = answer.Memo
		}
		end := succeed(t, newKind(t, kube.Admin), f)
		contains(t, end.Text, "before: "+image(0))
		if got := kube.Get(t, "Deployment", ns, "api").GetGeneration(); got != generation {
			t.Errorf("generation %d, and %d after going on: it was patched again", generation, got)
		}
	}
}

// Every call ends soon, whatever the rollout does.
func TestFireHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	workload(t, ns, "Deployment", "") // and no kubelet
	f := firing(target(ns, config.Deployment), 1)
	begun := time.Now()
	answer, err := newKind(t, kube.Admin).Fire(t.Context(), f)
	if took := time.Since(begun); took > 8*time.Second || err != nil || answer.Again != time.Second || !strings.Contains(answer.Text, "0 of 1") && !strings.Contains(answer.Text, "1 of 1") {
		t.Errorf("after %s: %+v, %v", took, answer, err)
	}
}
