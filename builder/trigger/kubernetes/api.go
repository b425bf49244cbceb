package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

// maxPods is how many pods are looked at for what is wrong with a rollout.
const maxPods = 500

// api is a cluster's API server.
type api struct {
	rest    rest.Interface
	cluster config.Cluster
}

// get reads the workload.
func (u *update) get(ctx context.Context) (*workload, error) {
	r := resourceOf(u.t.Kind)
	body, err := send(ctx, u.api.rest.Get().AbsPath(r.path).Namespace(u.t.Namespace).Resource(r.name).Name(u.t.Name))
	if err != nil {
		return nil, u.sentence(ctx, "get", r, err)
	}
	return u.decode(body)
}

func (u *update) decode(body []byte) (*workload, error) {
	w := &workload{}
	if err := json.Unmarshal(body, w); err != nil || w.Name == "" {
		return nil, trigger.Temporary(fmt.Errorf("cluster %s answered with something that is no %s", u.t.Cluster, resourceOf(u.t.Kind).word), 0)
	}
	return w, nil
}

// patch is what may change on a workload, and all that does.
type patch struct {
	container   string
	image       string         // "": stays
	annotations map[string]any // nil takes one away
	labels      map[string]any
}

// apply sends a strategic merge patch, which finds the container by its name.
// It is refused with a conflict where the workload is not the one that w was
// read from. The answer is the workload as it stands then.
func (u *update) apply(ctx context.Context, w *workload, p patch) (*workload, error) {
	meta := map[string]any{"resourceVersion": w.ResourceVersion, "uid": w.UID, "annotations": p.annotations}
	if len(p.labels) > 0 {
		meta["labels"] = p.labels
	}
	body := map[string]any{"metadata": meta}
	if p.image != "" {
		spec := map[string]any{"template": map[string]any{"spec": map[string]any{
			"containers": []any{map[string]any{"name": p.container, "image": p.image}},
		}}}
		if u.t.Kind == config.CronJob {
			spec = map[string]any{"jobTemplate": map[string]any{"spec": spec}}
		}
		body["spec"] = spec
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("patch %s: %w", where(u.t), err)
	}
	r := resourceOf(u.t.Kind)
	answer, err := send(ctx, u.api.rest.Patch(types.StrategicMergePatchType).AbsPath(r.path).
		Namespace(u.t.Namespace).Resource(r.name).Name(u.t.Name).Param("fieldManager", fieldManager).Body(text))
	if err != nil {
		return nil, u.sentence(ctx, "patch", r, err)
	}
	return u.decode(answer)
}

// pod is what we look at of a pod.
type pod struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Containers []container `json:"containers"`
	} `json:"spec"`
	Status struct {
		Phase                 string            `json:"phase"`
		InitContainerStatuses []containerStatus `json:"initContainerStatuses"`
		ContainerStatuses     []containerStatus `json:"containerStatuses"`
		Conditions            []struct {
			Type    string `json:"type"`
			Status  string `json:"status"`
			Reason  string `json:"reason"`
			Message string `json:"message"`
		} `json:"conditions"`
	} `json:"status"`
}

type containerStatus struct {
	Name         string `json:"name"`
	Ready        bool   `json:"ready"`
	RestartCount int32  `json:"restartCount"`
	State        struct {
		Waiting *struct {
			Reason  string `json:"reason"`
			Message string `json:"message"`
		} `json:"waiting"`
		Terminated *terminated `json:"terminated"`
	} `json:"state"`
	LastState struct {
		Terminated *terminated `json:"terminated"`
	} `json:"lastState"`
}

type terminated struct {
	ExitCode int32  `json:"exitCode"`
	Reason   string `json:"reason"`
	Message  string `json:"message"`
}

// newPods lists the workload's pods that have the image.
func (u *update) newPods(ctx context.Context, w *workload, image string) ([]pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(w.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("the selector of %s: %w", where(u.t), err)
	}
	r := resource{path: "/api/v1", name: "pods", word: "pod"}
	body, err := send(ctx, u.api.rest.Get().AbsPath(r.path).Namespace(u.t.Namespace).Resource(r.name).
		Param("labelSelector", selector.String()).Param("limit", fmt.Sprint(maxPods)))
	if err != nil {
		return nil, u.sentence(ctx, "list", r, err)
	}
	var list struct {
		Items []pod `json:"items"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("cluster %s answered with something that is no list of pods", u.t.Cluster)
	}
	var pods []pod
	for _, p := range list.Items {
		for _, c := range p.Spec.Containers {
			if sameBytes(c.Image, image) && p.DeletionTimestamp == nil {
				pods = append(pods, p)
				break
			}
		}
	}
	return pods, nil
}

// send makes one request; client-go would repeat it for a while, and log what
// it returns as well.
func send(ctx context.Context, r *rest.Request) ([]byte, error) {
	result := r.MaxRetries(0).Do(klog.NewContext(ctx, klog.Logger{}))
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}
