package kubernetes_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/kubernetes"
	"github.com/registry-build/registry-build/builder/trigger/kubernetes/kubetest"
	"github.com/registry-build/registry-build/config"
)

// meddle has do answer the requests of the method to paths that hold path;
// through is how it went before.
func (g *gate) meddle(method, path string, do func(through http.HandlerFunc, w http.ResponseWriter, r *http.Request)) {
	through := g.answer
	g.close(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method && strings.Contains(r.URL.Path, path) {
			do(through, w, r)
			return
		}
		through(w, r)
	})
}

// lose loses the answer to the first request that does something.
func lose() func(http.HandlerFunc, http.ResponseWriter, *http.Request) {
	var mu sync.Mutex
	lost := false
	return func(through http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if lost {
			through(w, r)
			return
		}
		answer := httptest.NewRecorder()
		through(answer, r)
		if lost = answer.Code == http.StatusOK; lost {
			panic(http.ErrAbortHandler)
		}
		maps.Copy(w.Header(), answer.Header()) // a conflict with the controllers
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}
}

// The patch got through and its answer did not: it is not sent again.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	kube.Kubelet(t, ns)
	workload(t, ns, "Deployment", "")
	g := newGate(t)
	g.meddle("PATCH", "/deployments/", lose())
	k := newKind(t, g.kubeconfig)
	f := firing(target(ns, config.Deployment), 1)
	kubetest.Await(t, "rollout", func() bool { // after which nobody else writes to it
		return strings.Contains(kube.Kubectl(t, kube.Admin, "rollout", "status", "-n", ns, "deployment/api"), "success")
	})
	generation := kube.Get(t, "Deployment", ns, "api").GetGeneration()
	if _, err := k.Fire(t.Context(), f); err == nil {
		t.Fatal("no error")
	} else if _, again := trigger.IsTemporary(err); !again {
		t.Fatalf("%v is final", err)
	}
	answer := succeed(t, k, f)
	contains(t, answer.Text, "before: "+image(0))
	if got := kube.Get(t, "Deployment", ns, "api").GetGeneration(); got != generation+1 {
		t.Errorf("generation %d, and %d before: want one patch", got, generation)
	}
}

// failing has build 1 out and pods of build 2 that lack their image.
func failing(t *testing.T) (ns string, g *gate, k *kubernetes.Kind, f trigger.Firing) {
	t.Helper()
	ns = kube.Namespace(t)
	nodes := kube.Kubelet(t, ns)
	workload(t, ns, "Deployment", "")
	g = newGate(t)
	k = newKind(t, g.kubeconfig)
	to := target(ns, config.Deployment)
	to.Rollback = true
	succeed(t, k, firing(to, 1))
	nodes.Set(image(2), kubetest.PodState{Waiting: "ImagePullBackOff", Message: "gone"})
	return ns, g, k, firing(to, 2)
}

// Going back waits for a cluster that is away, and does not forget why.
func TestRollbackWaits(t *testing.T) {
	t.Parallel()
	ns, g, k, f := failing(t)
	answer, err := k.Fire(t.Context(), f)
	for err == nil && !strings.Contains(answer.Memo, `"trouble"`) {
		f.Memo = answer.Memo
		answer, err = k.Fire(t.Context(), f)
	}
	if err != nil {
		t.Fatal(err)
	}
	g.meddle("PATCH", "/deployments/", func(_ http.HandlerFunc, w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "starting", http.StatusServiceUnavailable)
	})
	kubetest.Await(t, "going back", func() bool {
		f.Memo = answer.Memo
		answer, err = k.Fire(t.Context(), f)
		return err != nil || strings.Contains(answer.Text, "going back waits")
	})
	if err != nil || answer.Again == 0 {
		t.Fatalf("%+v, %v", answer, err)
	}
	contains(t, answer.Text, "ImagePullBackOff: gone", "cannot answer now")
	f.Memo = answer.Memo
	fail(t, newKind(t, kube.Admin), f, "ImagePullBackOff: gone", "put back: "+image(1))
	wantImage(t, "Deployment", ns, 1)
}

// It went back and nobody heard: it is told all the same.
func TestRollbackWithALostAnswer(t *testing.T) {
	t.Parallel()
	ns, g, k, f := failing(t)
	answer, err := k.Fire(t.Context(), f) // the patch
	if err != nil || answer.Again == 0 {
		t.Fatalf("%+v, %v", answer, err)
	}
	f.Memo = answer.Memo
	g.meddle("PATCH", "/deployments/", lose())
	fail(t, k, f, "ImagePullBackOff: gone", "put back: "+image(1))
	wantImage(t, "Deployment", ns, 1)
}

// What somebody sets between our last look and going back stays.
func TestChangedBeforeGoingBack(t *testing.T) {
	t.Parallel()
	const mine = "registry.example.com/acme/api:mine"
	ns, g, k, f := failing(t)
	answer, err := k.Fire(t.Context(), f) // the patch
	if err != nil || answer.Again == 0 {
		t.Fatalf("%+v, %v", answer, err)
	}
	f.Memo = answer.Memo
	var once sync.Once
	g.meddle("PATCH", "/deployments/", func(through http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
		once.Do(func() {
			kube.Patch(t, "kubectl-set", "Deployment", ns, "api", `spec: {template: {spec: {containers: [{name: api, image: "`+mine+`"}]}}}`)
		})
		through(w, r)
	})
	fail(t, k, f, "ImagePullBackOff: gone", "somebody else has changed it meanwhile, so it was left so")
	if got := imageOf(t, "Deployment", ns); got != mine {
		t.Errorf("the image is %s", got)
	}
}

// The same between reading and setting: the workload is read again, and held.
func TestChangedBeforeSetting(t *testing.T) {
	t.Parallel()
	const mine = "registry.example.com/acme/api:mine"
	ns, g, k, f := failing(t)
	var once sync.Once
	g.meddle("PATCH", "/deployments/", func(through http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
		once.Do(func() {
			kube.Patch(t, "kubectl-set", "Deployment", ns, "api", `spec: {template: {spec: {containers: [{name: api, image: "`+mine+`"}]}}}`)
		})
		through(w, r)
	})
	fail(t, k, f, "is held", mine)
	if got := imageOf(t, "Deployment", ns); got != mine {
		t.Errorf("the image is %s", got)
	}
}
