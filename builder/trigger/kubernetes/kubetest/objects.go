package kubetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// resources by the kinds that tests use.
func resource(t testing.TB, kind string) schema.GroupVersionResource {
	t.Helper()
	group := ""
	switch kind {
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet":
		group = "apps"
	case "CronJob":
		group = "batch"
	case "Role", "RoleBinding":
		group = "rbac.authorization.k8s.io"
	case "Namespace", "Node", "Pod", "Secret", "ServiceAccount", "ResourceQuota":
	default:
		t.Fatalf("kubetest: kind %s is not known", kind)
	}
	return schema.GroupVersionResource{Group: group, Version: "v1", Resource: strings.ToLower(kind) + "s"}
}

func (c *Cluster) of(t testing.TB, kind, namespace string) dynamic.ResourceInterface {
	t.Helper()
	r := c.client.Resource(resource(t, kind))
	if namespace == "" {
		return r
	}
	return r.Namespace(namespace)
}

// Namespace makes one for the test. It stays until the cluster ends.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	made := c.Create(t, "", `{apiVersion: v1, kind: Namespace, metadata: {generateName: test-}}`)
	namespace := made.GetName()
	Await(t, "the default service account", func() bool {
		_, err := c.of(t, "ServiceAccount", namespace).Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
	return namespace
}

// Create makes the object that the YAML describes.
func (c *Cluster) Create(t testing.TB, namespace, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	made, err := c.of(t, o.GetKind(), namespace).Create(t.Context(), o, metav1.CreateOptions{FieldManager: "kubectl-create"})
	if err != nil {
		t.Fatalf("create %s: %v", o.GetKind(), err)
	}
	return made
}

// Get reads an object.
func (c *Cluster) Get(t testing.TB, kind, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	o, err := c.of(t, kind, namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatalf("get %s: %v", kind, err)
	}
	return o
}

// Patch merges the YAML into an object, as kubectl does under the name of
// manager.
func (c *Cluster) Patch(t testing.TB, manager, kind, namespace, name, text string) *unstructured.Unstructured {
	t.Helper()
	body, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	o, err := c.of(t, kind, namespace).Patch(t.Context(), name, types.StrategicMergePatchType, body, metav1.PatchOptions{FieldManager: manager})
	if err != nil {
		t.Fatalf("patch %s: %v", kind, err)
	}
	return o
}

// Undo does what `kubectl rollout undo` does: it brings the pod template and
// the annotations of the revision before back.
func (c *Cluster) Undo(t testing.TB, namespace, deployment string) {
	t.Helper()
	const revision = "deployment.kubernetes.io/revision"
	d := c.Get(t, "Deployment", namespace, deployment)
	sets, err := c.of(t, "ReplicaSet", namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var before *unstructured.Unstructured
	for i := range sets.Items {
		s := &sets.Items[i]
		if s.GetAnnotations()[revision] != d.GetAnnotations()[revision] && metav1.IsControlledBy(s, d) &&
			(before == nil || before.GetAnnotations()[revision] < s.GetAnnotations()[revision]) {
			before = s
		}
	}
	if before == nil {
		t.Fatal("there is no revision before")
	}
	template, _, err := unstructured.NestedMap(before.Object, "spec", "template")
	if err != nil {
		t.Fatal(err)
	}
	unstructured.RemoveNestedField(template, "metadata", "labels", "pod-template-hash")
	annotations := before.GetAnnotations()
	annotations[revision] = d.GetAnnotations()[revision]
	body, err := json.Marshal([]map[string]any{
		{"op": "replace", "path": "/spec/template", "value": template},
		{"op": "replace", "path": "/metadata/annotations", "value": annotations},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.of(t, "Deployment", namespace).Patch(t.Context(), deployment, types.JSONPatchType, body,
		metav1.PatchOptions{FieldManager: "kubectl-rollout"}); err != nil {
		t.Fatalf("undo: %v", err)
	}
}

// Token returns a kubeconfig for the service account, good for an hour.
func (c *Cluster) Token(t testing.TB, namespace, account string) string {
	t.Helper()
	body, err := c.rest.Post().AbsPath("/api/v1").Namespace(namespace).Resource("serviceaccounts").Name(account).SubResource("token").
		SetHeader("Content-Type", "application/json").
		Body([]byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":3600}}`)).DoRaw(t.Context())
	if err != nil {
		t.Fatalf("token of %s: %v: %s", account, err, body)
	}
	var made struct {
		Status struct {
			Token string `json:"token"`
		} `json:"status"`
	}
	if err := json.Unmarshal(body, &made); err != nil || made.Status.Token == "" {
		t.Fatalf("token of %s: %v: %s", account, err, body)
	}
	return c.kubeconfig(made.Status.Token, namespace)
}

// SecretToken returns a kubeconfig for the service account's Secret, as
// somebody makes it by hand.
func (c *Cluster) SecretToken(t testing.TB, namespace, secret string) string {
	t.Helper()
	var token []byte
	Await(t, "the secret's token", func() bool {
		data, _, _ := unstructured.NestedString(c.Get(t, "Secret", namespace, secret).Object, "data", "token")
		return json.Unmarshal(fmt.Appendf(nil, "%q", data), &token) == nil && len(token) > 0
	})
	return c.kubeconfig(string(token), namespace)
}

// Await polls until the condition holds, and fails the test after a minute.
func Await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("no %s within a minute", what)
		}
	}
}
