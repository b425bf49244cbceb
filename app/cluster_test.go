package app

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/registry-build/registry-build/builder/trigger/kubernetes/kubetest"
)

// cmdCluster starts a Kubernetes control plane, whose nodes are played, and
// writes cluster.kubeconfig, with which everything may be done; KUBECONFIG
// names it for kubectl: cluster. Pods of every image are ready; `cluster pods
// IMAGE REASON MESSAGE` has those of one wait for that reason, and `cluster pods
// IMAGE` be ready again.
func cmdCluster(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	switch {
	case len(args) == 0 && s.cluster == nil:
		c, err := kubetest.Start()
		ts.Check(err)
		s.cluster, s.kubelet = c, c.Kubelet(scriptTB{ts: ts}, "default")
		file := filepath.Join(s.dir, "cluster.kubeconfig")
		ts.Check(os.WriteFile(file, []byte(c.Admin), 0o600))
		ts.Setenv("KUBECONFIG", file)
	case len(args) == 4 && args[0] == "pods" && s.cluster != nil:
		s.kubelet.Set(args[1], kubetest.PodState{Waiting: args[2], Message: args[3]})
	case len(args) == 2 && args[0] == "pods" && s.cluster != nil:
		s.kubelet.Set(args[1], kubetest.PodState{Ready: true})
	default:
		ts.Fatalf("usage: cluster, or cluster pods IMAGE [REASON MESSAGE]")
	}
}

// scriptTB is as much of a test as kubetest needs, and a script has.
type scriptTB struct {
	testing.TB
	ts *testscript.TestScript
}

func (scriptTB) Helper()                     {}
func (t scriptTB) Cleanup(f func())          { t.ts.Defer(f) }
func (t scriptTB) Fatalf(f string, a ...any) { t.ts.Fatalf(f, a...) }
func (t scriptTB) Fatal(a ...any)            { t.ts.Fatalf("%s", fmt.Sprint(a...)) }
