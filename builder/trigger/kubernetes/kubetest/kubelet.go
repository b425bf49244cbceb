package kubetest

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

// PodState is how a pod fares.
type PodState struct {
	Ready   bool
	Waiting string // reason of its container, which does not run: CrashLoopBackOff, ImagePullBackOff
	Message string
}

// Kubelet says how pods fare: by the image of their first container.
type Kubelet struct {
	mu     sync.Mutex
	states map[string]PodState
	other  PodState
}

// Kubelet plays the nodes for the namespace until the test ends. Pods are
// ready unless Set says otherwise for their image.
func (c *Cluster) Kubelet(t testing.TB, namespace string) *Kubelet {
	t.Helper()
	k := &Kubelet{states: map[string]PodState{}, other: PodState{Ready: true}}
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), klog.Logger{}))
	var wg sync.WaitGroup
	pods := c.of(t, "Pod", namespace)
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		told := map[types.UID]PodState{}
		for ctx.Err() == nil {
			list, err := pods.List(ctx, metav1.ListOptions{})
			if err == nil {
				for i := range list.Items {
					p := &list.Items[i]
					containers, _ := p.Object["spec"].(map[string]any)["containers"].([]any)
					first, _ := containers[0].(map[string]any)
					image, _ := first["image"].(string)
					name, _ := first["name"].(string)
					want := k.state(image)
					if had, ok := told[p.GetUID()]; ok && had == want {
						continue
					}
					_, err := pods.Patch(ctx, p.GetName(), types.StrategicMergePatchType, status(name, image, want), metav1.PatchOptions{FieldManager: "kubelet"}, "status")
					if err == nil {
						told[p.GetUID()] = want
					}
				}
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return k
}

// Set says how pods of the image fare from now on.
func (k *Kubelet) Set(image string, s PodState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.states[image] = s
}

func (k *Kubelet) state(image string) PodState {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, ok := k.states[image]; ok {
		return s
	}
	return k.other
}

// status is what a kubelet writes into a pod's status.
func status(container, image string, s PodState) []byte {
	ready, phase := "False", "Running"
	state := map[string]any{"running": map[string]any{"startedAt": time.Now().UTC().Format(time.RFC3339)}}
	c := map[string]any{"name": container, "image": image, "imageID": image, "ready": s.Ready, "restartCount": 0, "state": state}
	if s.Ready {
		ready = "True"
	}
	if s.Waiting != "" {
		c["state"] = map[string]any{"waiting": map[string]any{"reason": s.Waiting, "message": s.Message}}
		phase = "Pending"
	}
	if s.Waiting == "CrashLoopBackOff" {
		phase = "Running"
		c["restartCount"] = 3
		c["state"] = map[string]any{"waiting": map[string]any{"reason": s.Waiting, "message": "back-off 40s restarting failed container"}}
		c["lastState"] = map[string]any{"terminated": map[string]any{"exitCode": 1, "reason": "Error", "message": s.Message}}
	}
	now := time.Now().UTC().Format(time.RFC3339)
	text, err := json.Marshal(map[string]any{"status": map[string]any{
		"phase":             phase,
		"containerStatuses": []any{c},
		"conditions": []any{
			map[string]any{"type": "Ready", "status": ready, "lastTransitionTime": now},
			map[string]any{"type": "ContainersReady", "status": ready, "lastTransitionTime": now},
		},
	}})
	if err != nil { // texts and numbers always can
		return []byte(err.Error())
	}
	return text
}
