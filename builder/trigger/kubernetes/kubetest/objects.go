package kubetest

import (
	"os"
	"os/exec"
	"path/filepath"
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

// Kubectl runs kubectl as whoever the kubeconfig is for, and returns what it
// prints.
func (c *Cluster) Kubectl(t testing.TB, kubeconfig string, args ...string) string {
	t.Helper()
	kubectl, err := find("kubectl")
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.As(t, kubeconfig, kubectl, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// As is a command that finds kubectl, which is whoever the kubeconfig is for.
func (c *Cluster) As(t testing.TB, kubeconfig, command string, args ...string) *exec.Cmd {
	t.Helper()
	kubectl, err := find("kubectl")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	file := filepath.Join(home, "kubeconfig")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), command, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+file, "HOME="+home, "PATH="+filepath.Dir(kubectl)+":"+os.Getenv("PATH"))
	return cmd
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
