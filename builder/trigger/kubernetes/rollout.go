package kubernetes

import (
	"fmt"

	"github.com/registry-build/registry-build/config"
)

// progress is how far a rollout is.
type progress struct {
	done   bool
	failed string // why it will never be done
	text   string
}

// rollout reads the workload's status, as `kubectl rollout status` does.
// overdue is when the rollout before ran over its deadline: see overdueSince.
func rollout(t *config.Kubernetes, w *workload, overdue string) progress {
	if t.Kind == config.CronJob {
		text := "the next job runs it"
		if w.Spec.Suspend {
			text = "the next job runs it; the cron job is suspended"
		}
		return progress{done: true, text: text}
	}
	if w.Status.ObservedGeneration < w.Generation {
		return progress{text: "waiting for the cluster's controllers"}
	}
	switch t.Kind {
	case config.StatefulSet:
		return statefulSet(w)
	case config.DaemonSet:
		return daemonSet(w)
	}
	return deployment(t, w, overdue)
}

func deployment(t *config.Kubernetes, w *workload, overdue string) progress {
	s, want := w.Status, wanted(w)
	p := progress{text: fmt.Sprintf("%d of %d pods are new, %d of %d available", s.UpdatedReplicas, want, s.AvailableReplicas, s.Replicas)}
	for _, c := range s.Conditions {
		switch {
		case c.overdue() && c.LastUpdateTime != overdue:
			p.failed = "the rollout does not get on (ProgressDeadlineExceeded): " + p.text
		case c.Type == "ReplicaFailure" && c.Status == "True":
			p.text += "; pods cannot be made: " + clip(c.Message)
		}
	}
	switch {
	case w.Spec.Paused:
		p.failed = "the rollout was paused; resume it with: kubectl rollout resume " + kubectl(t)
	case s.UpdatedReplicas < want:
	case s.Replicas > s.UpdatedReplicas:
		p.text += fmt.Sprintf(", %d of them old", s.Replicas-s.UpdatedReplicas)
	case s.AvailableReplicas < want:
	default:
		p = progress{done: true, text: allRun(want)}
	}
	return p
}

func (c condition) overdue() bool {
	return c.Type == "Progressing" && c.Reason == "ProgressDeadlineExceeded"
}

// overdueSince is when the Deployment ran over its deadline; "" is not at all.
// The cluster leaves the condition of one rollout on the next, with the old
// time, until that gets on: it says nothing about the new one.
func (w *workload) overdueSince() string {
	for _, c := range w.Status.Conditions {
		if c.overdue() {
			return c.LastUpdateTime
		}
	}
	return ""
}

func statefulSet(w *workload) progress {
	s, want := w.Status, wanted(w)
	if w.Spec.UpdateStrategy.Type == "OnDelete" {
		return progress{done: true, text: onDelete}
	}
	var partition int32
	if r := w.Spec.UpdateStrategy.RollingUpdate; r != nil {
		partition = min(r.Partition, want)
	}
	updating := want - partition
	if s.UpdatedReplicas < updating || s.ReadyReplicas < want || s.AvailableReplicas < want {
		return progress{text: fmt.Sprintf("%d of %d pods are new, %d of %d available", min(s.UpdatedReplicas, updating), updating, s.AvailableReplicas, want)}
	}
	if partition > 0 {
		return progress{done: true, text: fmt.Sprintf("%d of %d pods run it; the partition keeps the others as they are", updating, want)}
	}
	return progress{done: true, text: allRun(want)}
}

func daemonSet(w *workload) progress {
	s := w.Status
	if w.Spec.UpdateStrategy.Type == "OnDelete" {
		return progress{done: true, text: onDelete}
	}
	if s.UpdatedNumberScheduled < s.DesiredNumberScheduled || s.NumberAvailable < s.DesiredNumberScheduled {
		return progress{text: fmt.Sprintf("%d of %d pods are new, %d of %d available",
			s.UpdatedNumberScheduled, s.DesiredNumberScheduled, s.NumberAvailable, s.DesiredNumberScheduled)}
	}
	return progress{done: true, text: allRun(s.DesiredNumberScheduled)}
}

const onDelete = "each pod runs it once it was deleted (updateStrategy OnDelete)"

// wanted is the number of replicas; the API server's default is 1.
func wanted(w *workload) int32 {
	if w.Spec.Replicas == nil {
		return 1
	}
	return *w.Spec.Replicas
}

func allRun(pods int32) string {
	switch pods {
	case 0:
		return "it has no pods"
	case 1:
		return "its pod runs it"
	}
	return fmt.Sprintf("its %d pods run it", pods)
}
