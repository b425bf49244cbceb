package kubernetes

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/registry-build/registry-build/config"
)

// resource is where the API keeps workloads of a kind.
type resource struct{ group, path, name, word string }

// resourceOf knows the kinds; word is what kubectl calls one.
func resourceOf(kind config.WorkloadKind) resource {
	switch kind {
	case config.Deployment:
		return resource{"apps", "/apis/apps/v1", "deployments", "deployment"}
	case config.StatefulSet:
		return resource{"apps", "/apis/apps/v1", "statefulsets", "statefulset"}
	case config.DaemonSet:
		return resource{"apps", "/apis/apps/v1", "daemonsets", "daemonset"}
	case config.CronJob:
		return resource{"batch", "/apis/batch/v1", "cronjobs", "cronjob"}
	}
	return resource{}
}

// where names the workload for people.
func where(t *config.Kubernetes) string {
	return fmt.Sprintf("%s %s/%s in cluster %s", resourceOf(t.Kind).word, t.Namespace, t.Name, t.Cluster)
}

// kubectl names it for kubectl.
func kubectl(t *config.Kubernetes) string {
	return fmt.Sprintf("-n %s %s/%s", t.Namespace, resourceOf(t.Kind).word, t.Name)
}

// workload is what we look at of any of the four kinds. It is read only: no
// request ever sends one.
type workload struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		podTemplate
		Replicas       *int32                `json:"replicas"`
		Paused         bool                  `json:"paused"`
		Suspend        bool                  `json:"suspend"`
		Selector       *metav1.LabelSelector `json:"selector"`
		UpdateStrategy struct {
			Type          string `json:"type"`
			RollingUpdate *struct {
				Partition int32 `json:"partition"` // of a StatefulSet
			} `json:"rollingUpdate"`
		} `json:"updateStrategy"`
		JobTemplate struct {
			Spec podTemplate `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
	Status status `json:"status"`
}

type podTemplate struct {
	Template struct {
		Spec struct {
			Containers     []container `json:"containers"`
			InitContainers []container `json:"initContainers"`
		} `json:"spec"`
	} `json:"template"`
}

type container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

type status struct {
	ObservedGeneration     int64       `json:"observedGeneration"`
	Replicas               int32       `json:"replicas"`
	UpdatedReplicas        int32       `json:"updatedReplicas"`
	ReadyReplicas          int32       `json:"readyReplicas"`
	AvailableReplicas      int32       `json:"availableReplicas"`
	UpdateRevision         string      `json:"updateRevision"`
	DesiredNumberScheduled int32       `json:"desiredNumberScheduled"`
	UpdatedNumberScheduled int32       `json:"updatedNumberScheduled"`
	NumberReady            int32       `json:"numberReady"`
	NumberAvailable        int32       `json:"numberAvailable"`
	Conditions             []condition `json:"conditions"`
}

type condition struct {
	Type           string `json:"type"`
	Status         string `json:"status"`
	Reason         string `json:"reason"`
	Message        string `json:"message"`
	LastUpdateTime string `json:"lastUpdateTime"` // of a Deployment's
}

// pods is the template whose image is set.
func (w *workload) pods(kind config.WorkloadKind) podTemplate {
	if kind == config.CronJob {
		return w.Spec.JobTemplate.Spec
	}
	return w.Spec.podTemplate
}

// container finds the container that the trigger is for. Its error lists
// those that there are.
func (w *workload) container(t *config.Kubernetes) (container, error) {
	spec := w.pods(t.Kind).Template.Spec
	if t.Container == "" && len(spec.Containers) == 1 {
		return spec.Containers[0], nil
	}
	var names []string
	for _, c := range spec.Containers {
		if c.Name == t.Container {
			return c, nil
		}
		names = append(names, c.Name)
	}
	there := strings.Join(names, ", ")
	if t.Container == "" {
		return container{}, fmt.Errorf("%s has the containers %s; say which one with container: in the trigger", where(t), there)
	}
	for _, c := range spec.InitContainers {
		if c.Name == t.Container {
			return container{}, fmt.Errorf("%s of %s is an init container, which triggers do not update; it has the containers %s", t.Container, where(t), there)
		}
	}
	return container{}, fmt.Errorf("%s has no container %q; it has %s", where(t), t.Container, there)
}

// setBy tells who set the container's image last, as the API server noted it:
// " by kubectl-edit at 2026-11-21T12:00:00Z", or nothing.
func (w *workload) setBy(kind config.WorkloadKind, name string) string {
	path := []string{"f:spec", "f:template", "f:spec", "f:containers", `k:{"name":"` + name + `"}`, "f:image"}
	if kind == config.CronJob {
		path = append([]string{"f:spec", "f:jobTemplate"}, path...)
	}
	var by string
	var at time.Time
	for _, entry := range w.ManagedFields {
		if entry.FieldsV1 == nil || entry.Time == nil || !entry.Time.After(at) && by != "" {
			continue
		}
		if owns(entry.FieldsV1.GetRawBytes(), path) {
			by, at = entry.Manager, entry.Time.Time
		}
	}
	if by == "" {
		return ""
	}
	return fmt.Sprintf(" by %s at %s", by, at.UTC().Format(time.RFC3339))
}

// owns looks a path up in a set of fields.
func owns(fields []byte, path []string) bool {
	for _, key := range path {
		var level map[string]json.RawMessage
		if json.Unmarshal(fields, &level) != nil || level[key] == nil {
			return false
		}
		fields = level[key]
	}
	return true
}

// sameBytes reports whether both images are the same one, by whatever name: a
// cluster may rewrite the host to a mirror's.
func sameBytes(a, b string) bool {
	_, x, _ := strings.Cut(a, "@")
	_, y, _ := strings.Cut(b, "@")
	return a == b || x != "" && x == y
}

// sameImage also wants the same repository; only the tag, which says nothing
// beside a digest, may differ.
func sameImage(a, b string) bool {
	return sameBytes(a, b) && repository(a) == repository(b)
}

// repository is the image's name without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
		image = image[:i]
	}
	return image
}
