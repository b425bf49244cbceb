package kubernetes_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/kubernetes"
	"github.com/registry-build/registry-build/builder/trigger/kubernetes/kubetest"
	"github.com/registry-build/registry-build/config"
)

// kube is the one cluster of all tests, each in a namespace of its own.
var kube *kubetest.Cluster

func TestMain(m *testing.M) {
	// The tests wait for controllers, most of the time, and not for a processor.
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var err error
	if kube, err = kubetest.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	kube.Stop()
	os.Exit(code)
}

const host = "registry.example.com"

// vault holds kubeconfigs by name.
type vault map[string]string

func (v vault) Open(_ context.Context, name string, by builder.Use) (builder.Credential, error) {
	text, ok := v[name]
	if !ok {
		return builder.Credential{}, fmt.Errorf("there is no credential %s; set it: %w", name, builder.ErrNotFound)
	}
	if !by.Operator || by.For == "" {
		return builder.Credential{}, fmt.Errorf("credential %s: %w", name, builder.ErrDenied)
	}
	return builder.Credential{
		Name: name, Kind: builder.KindKubeconfig, Version: text,
		Fields: map[string]string{builder.FieldValue: text},
	}, nil
}

func (v vault) Logins(context.Context, builder.Use) ([]builder.Credential, error) { return nil, nil }

// newKind has the test's cluster under the name of prod, with the kubeconfig.
func newKind(t *testing.T, kubeconfig string, change ...func(*kubernetes.Options)) *kubernetes.Kind {
	t.Helper()
	o := kubernetes.Options{
		Clusters: []config.Cluster{{Name: "prod", Kubeconfig: "prod-cluster"}},
		Vault:    vault{"prod-cluster": kubeconfig},
		Registry: host,
		Patience: 300 * time.Millisecond,
	}
	for _, c := range change {
		c(&o)
	}
	k, err := kubernetes.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// buildID of the n-th build.
func buildID(n int) string { return fmt.Sprintf("06EXAMPLE0BUILD%d", n) }

// image that the n-th build gives.
func image(n int) string {
	return fmt.Sprintf("%s/acme/api:v%d@sha256:%064d", host, n, n)
}

var accepted = time.Date(2026, 11, 21, 12, 0, 0, 5, time.UTC)

// firing of the n-th build, accepted n minutes after noon.
func firing(target config.Kubernetes, n int) trigger.Firing {
	tr := config.Trigger{Name: "prod", On: []config.Outcome{config.OnPushed}, Kubernetes: &target}
	tag := fmt.Sprintf("v%d", n)
	r := builder.Record{
		Build: builder.Build{
			ID: buildID(n), Repository: builder.Repository{Forge: "git", ID: "acme/api", Owner: "acme", Name: "api"},
			Names: []string{"git:acme/api", "acme/api"}, Image: "api", Lane: builder.TrustedLane,
			Commit: "4f2c1a9d3b8e7f6a5c4d3e2f1a0b9c8d7e6f5a4b", Destination: "acme/api", Tags: []string{tag},
			Triggers: []config.Trigger{tr}, AcceptedAt: accepted.Add(time.Duration(n) * time.Minute),
		},
		Progress: builder.Progress{State: builder.Succeeded},
		Result: builder.Result{
			Digest: fmt.Sprintf("sha256:%064d", n),
			Tagged: []builder.TagOutcome{{Tag: tag, Moved: true}},
		},
	}
	return trigger.Firing{
		Trigger: tr, Event: config.OnPushed, Record: r, Tags: []string{tag},
		Delivery: r.ID + "-prod", Attempt: 1,
	}
}

// target is a workload called api.
func target(namespace string, kind config.WorkloadKind) config.Kubernetes {
	return config.Kubernetes{Cluster: "prod", Namespace: namespace, Kind: kind, Name: "api", Timeout: time.Minute}
}

// follow fires as the engine does, until there is an end; temporary errors
// are tried again.
func follow(t *testing.T, k *kubernetes.Kind, f trigger.Firing) (trigger.Answer, error) {
	t.Helper()
	var answer trigger.Answer
	var err error
	kubetest.Await(t, "end of the firing", func() bool {
		answer, err = k.Fire(t.Context(), f)
		f.Memo = answer.Memo
		_, again := trigger.IsTemporary(err)
		return answer.Again == 0 && !again
	})
	return answer, err
}

// succeed follows the firing to its good end.
func succeed(t *testing.T, k *kubernetes.Kind, f trigger.Firing) trigger.Answer {
	t.Helper()
	answer, err := follow(t, k, f)
	if err != nil || answer.Skipped || answer.Memo != "" {
		t.Fatalf("Fire = %+v, %v; want success", answer, err)
	}
	return answer
}

// fail follows the firing to a final error that holds each of the words.
func fail(t *testing.T, k *kubernetes.Kind, f trigger.Firing, words ...string) {
	t.Helper()
	answer, err := follow(t, k, f)
	if err == nil || answer.Memo != "" {
		t.Fatalf("Fire = %+v, %v; want a final error", answer, err)
	}
	contains(t, err.Error(), words...)
}

func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q\ndoes not say %q", text, w)
		}
	}
}

// workload has the container api, allowed to acme/api; it stands once its
// pods do.
func workload(t *testing.T, namespace, kind, extra string) {
	t.Helper()
	pod := `{metadata: {labels: {app: api}}, spec: {containers: [{name: api, image: "` + image(0) + `"}], terminationGracePeriodSeconds: 0}}`
	version, spec := "apps/v1", `{selector: {matchLabels: {app: api}}, template: `+pod+extra+`}`
	if kind == "CronJob" {
		version, spec = "batch/v1", `{schedule: "0 0 1 1 *", jobTemplate: {spec: {template: `+strings.Replace(pod, "spec: {", "spec: {restartPolicy: Never, ", 1)+`}}`+extra+`}`
	}
	kube.Create(t, namespace, `{apiVersion: `+version+`, kind: `+kind+`, metadata: {name: api, annotations: {registry-build.dev/repository: acme/api}}, spec: `+spec+`}`)
}

// imageOf the workload's container.
func imageOf(t *testing.T, kind, namespace string) string {
	t.Helper()
	spec := kube.Get(t, kind, namespace, "api").Object["spec"].(map[string]any)
	if kind == "CronJob" {
		spec = spec["jobTemplate"].(map[string]any)["spec"].(map[string]any)
	}
	containers := spec["template"].(map[string]any)["spec"].(map[string]any)["containers"].([]any)
	return containers[0].(map[string]any)["image"].(string)
}

func wantImage(t *testing.T, kind, namespace string, n int) {
	t.Helper()
	if got := imageOf(t, kind, namespace); got != image(n) {
		t.Errorf("the image is %s, want %s", got, image(n))
	}
}
