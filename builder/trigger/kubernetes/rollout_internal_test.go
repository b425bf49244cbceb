package kubernetes

import (
	"encoding/json"
	"testing"

	"github.com/registry-build/registry-build/config"
)

// A status that a real controller writes for a moment only.
func TestRolloutStatus(t *testing.T) {
	const late = `"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "lastUpdateTime": "2026-11-22T01:00:00Z"}]`
	tests := map[string]struct {
		kind    config.WorkloadKind
		object  string
		overdue string
		done    bool
		failed  bool
	}{
		"not observed":          {config.Deployment, `{"metadata": {"generation": 2}, "status": {"observedGeneration": 1, "updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}}`, "", false, false},
		"observed":              {config.Deployment, `{"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}}`, "", true, false},
		"an old pod is left":    {config.Deployment, `{"status": {"updatedReplicas": 1, "replicas": 2, "availableReplicas": 2}}`, "", false, false},
		"late":                  {config.Deployment, `{"status": {"updatedReplicas": 1, "replicas": 1, ` + late + `}}`, "", false, true},
		"late once more":        {config.Deployment, `{"status": {"updatedReplicas": 1, "replicas": 1, ` + late + `}}`, "2026-11-22T00:00:00Z", false, true},
		"late the time before":  {config.Deployment, `{"status": {"updatedReplicas": 1, "replicas": 1, ` + late + `}}`, "2026-11-22T01:00:00Z", false, false},
		"late and there":        {config.Deployment, `{"status": {"updatedReplicas": 1, "replicas": 1, "availableReplicas": 1, ` + late + `}}`, "", true, false},
		"paused meanwhile":      {config.Deployment, `{"spec": {"paused": true}, "status": {"replicas": 1}}`, "", false, true},
		"set: not all are up":   {config.StatefulSet, `{"spec": {"replicas": 2}, "status": {"updatedReplicas": 2, "readyReplicas": 1, "availableReplicas": 1}}`, "", false, false},
		"set: one is old":       {config.StatefulSet, `{"spec": {"replicas": 2}, "status": {"updatedReplicas": 1, "readyReplicas": 2, "availableReplicas": 2}}`, "", false, false},
		"set: partition of all": {config.StatefulSet, `{"spec": {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 9}}}, "status": {"readyReplicas": 2, "availableReplicas": 2}}`, "", true, false},
		"daemons: one is old":   {config.DaemonSet, `{"status": {"desiredNumberScheduled": 2, "updatedNumberScheduled": 1, "numberAvailable": 2}}`, "", false, false},
		"daemons: no nodes":     {config.DaemonSet, `{"status": {}}`, "", true, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := &workload{}
			if err := json.Unmarshal([]byte(tt.object), w); err != nil {
				t.Fatal(err)
			}
			p := rollout(&config.Kubernetes{Kind: tt.kind}, w, tt.overdue)
			if p.done != tt.done || (p.failed != "") != tt.failed || p.text == "" {
				t.Errorf("%+v", p)
			}
		})
	}
}
