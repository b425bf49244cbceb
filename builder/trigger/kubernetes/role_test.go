package kubernetes_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/registry-build/registry-build/builder/trigger/kubernetes/kubetest"
	"github.com/registry-build/registry-build/config"
)

// install does what the manifests' README says, and returns the kubeconfigs
// that it leads to: of the token that stays and of one that ends.
func install(t *testing.T, namespace string) (lasting, ending string) {
	t.Helper()
	const manifests = "../../../manifests/kubernetes/triggers"
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(manifests)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "example", "kustomization.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "namespace: shop", "namespace: "+namespace, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	kube.Kubectl(t, kube.Admin, "apply", "-k", filepath.Join(dir, "example"))
	script := func(args ...string) string {
		var out []byte
		kubetest.Await(t, "token", func() bool {
			out, err = kube.As(t, kube.Admin, "sh", append([]string{filepath.Join(manifests, "kubeconfig.sh"), namespace}, args...)...).Output()
			return err == nil
		})
		return string(out)
	}
	return script(), script("600")
}

// The role lets triggers of every kind work.
func TestRoleIsEnough(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	nodes := kube.Kubelet(t, ns)
	lasting, ending := install(t, ns)
	for object, kind := range map[string]config.WorkloadKind{
		"Deployment": config.Deployment, "StatefulSet": config.StatefulSet, "CronJob": config.CronJob, "DaemonSet": config.DaemonSet,
	} {
		workload(t, ns, object, "")
		succeed(t, newKind(t, lasting), firing(target(ns, kind), 1))
		succeed(t, newKind(t, ending), firing(target(ns, kind), 2))
		wantImage(t, object, ns, 2)
	}
	nodes.Set(image(3), kubetest.PodState{Waiting: "ImagePullBackOff", Message: "no such image"})
	to := target(ns, config.Deployment)
	to.Rollback = true
	fail(t, newKind(t, lasting), firing(to, 3), "ImagePullBackOff: no such image", "put back: "+image(2))
}

// What its refusals say.
func TestNoPermission(t *testing.T) {
	t.Parallel()
	ns, other := kube.Namespace(t), kube.Namespace(t)
	lasting, _ := install(t, ns)
	workload(t, other, "Deployment", "")
	words := []string{"cluster prod does not let us get deployments", "cannot get resource", "system:serviceaccount:" + ns + ":registry-build",
		`the rule {apiGroups: ["apps"], resources: [deployments], verbs: [get]} in the namespace`}
	fail(t, newKind(t, lasting), firing(target(other, config.Deployment), 1), words...)
	fail(t, newKind(t, lasting), firing(target("nowhere", config.Deployment), 1), append(words, "if there is such a namespace")...)

	// Reading alone is not enough.
	workload(t, ns, "Deployment", "")
	kube.Patch(t, "kubectl", "Role", ns, "registry-build", `rules: [{apiGroups: [apps], resources: [deployments], verbs: [get]}]`)
	fail(t, newKind(t, lasting), firing(target(ns, config.Deployment), 1), "does not let us patch deployments", "verbs: [patch]")
	// And without the list of pods a failure says less, that is all.
	kube.Patch(t, "kubectl", "Role", ns, "registry-build", `rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, patch]}]`)
	to := target(ns, config.Deployment)
	to.Timeout = 1
	fail(t, newKind(t, lasting), firing(to, 1), "did not end within", "does not let us list pods", "verbs: [list]")
}

// account makes requests as the kubeconfig's user.
type account struct {
	http *http.Client
	host string
}

func newAccount(t *testing.T, kubeconfig string) account {
	t.Helper()
	cfg, err := clientcmd.RESTConfigFromKubeConfig([]byte(kubeconfig))
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return account{client, cfg.Host}
}

func (a account) do(t *testing.T, method, path, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, a.host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// get decodes an answer.
func get[T any](t *testing.T, a account, path string) (v T) {
	t.Helper()
	code, body := a.do(t, http.MethodGet, path, "")
	if err := json.Unmarshal(body, &v); err != nil || code != http.StatusOK {
		t.Fatalf("%s: %d %v", path, code, err)
	}
	return v
}

// Of all that the API server has, the role lets exactly this be done.
func TestRoleIsNoMore(t *testing.T) {
	t.Parallel()
	ns, other := kube.Namespace(t), kube.Namespace(t)
	lasting, _ := install(t, ns)
	us := newAccount(t, lasting)

	paths := []string{"/api/v1"}
	for _, g := range get[metav1.APIGroupList](t, us, "/apis").Groups {
		for _, v := range g.Versions {
			paths = append(paths, "/apis/"+v.GroupVersion)
		}
	}
	type question struct{ namespace, group, resource, verb string }
	var questions []question
	ask := func(group, resource string, verbs ...string) {
		for _, verb := range verbs {
			for _, in := range []string{ns, other, ""} {
				questions = append(questions, question{in, group, resource, verb})
			}
		}
	}
	for _, path := range paths {
		list := get[metav1.APIResourceList](t, us, path)
		group, _, grouped := strings.Cut(list.GroupVersion, "/")
		if !grouped {
			group = ""
		}
		for _, r := range list.APIResources {
			ask(group, r.Name, "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
		}
	}
	if len(questions) < 2000 {
		t.Fatalf("only %d questions; the API's resources were not read", len(questions))
	}
	ask("", "serviceaccounts", "impersonate", "use")
	ask("", "users", "impersonate")
	ask("", "groups", "impersonate")
	ask("rbac.authorization.k8s.io", "roles", "bind", "escalate")
	ask("rbac.authorization.k8s.io", "clusterroles", "bind", "escalate")
	ask("*", "*", "*")

	var mu sync.Mutex
	var allowed []string
	var wg sync.WaitGroup
	next := make(chan question)
	for range 8 {
		wg.Go(func() {
			for q := range next {
				resource, sub, _ := strings.Cut(q.resource, "/")
				_, body := us.do(t, http.MethodPost, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", fmt.Sprintf(
					`{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"namespace":%q,"group":%q,"resource":%q,"subresource":%q,"verb":%q}}}`,
					q.namespace, q.group, resource, sub, q.verb))
				var review struct {
					Status *struct {
						Allowed bool `json:"allowed"`
					} `json:"status"`
				}
				if err := json.Unmarshal(body, &review); err != nil || review.Status == nil {
					t.Errorf("%+v: %s", q, body)
				} else if review.Status.Allowed {
					where := strings.NewReplacer(ns, "here", other, "elsewhere").Replace(q.namespace)
					mu.Lock()
					allowed = append(allowed, strings.TrimSpace(q.verb+" "+q.group+" "+q.resource+" "+where))
					mu.Unlock()
				}
			}
		})
	}
	for _, q := range questions {
		next <- q
	}
	close(next)
	wg.Wait()

	want := []string{"list  pods here"}
	for _, verb := range []string{"get", "patch"} {
		want = append(want, verb+" apps deployments here", verb+" apps statefulsets here", verb+" apps daemonsets here", verb+" batch cronjobs here")
	}
	for _, asked := range []string{"authentication.k8s.io selfsubjectreviews", "authorization.k8s.io selfsubjectaccessreviews", "authorization.k8s.io selfsubjectrulesreviews"} {
		want = append(want, "create "+asked, "create "+asked+" here", "create "+asked+" elsewhere") // everybody may ask about himself
	}
	slices.Sort(want)
	slices.Sort(allowed)
	if diff := cmp.Diff(want, slices.Compact(allowed)); diff != "" {
		t.Errorf("of %d questions (-want +got)\n%s", len(questions), diff)
	}
}

// And it is so when it is tried.
func TestRoleIsRefused(t *testing.T) {
	t.Parallel()
	ns, other := kube.Namespace(t), kube.Namespace(t)
	lasting, ending := install(t, ns)
	for _, in := range []string{ns, other} {
		workload(t, in, "Deployment", "")
	}
	const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"evil"},"spec":{"containers":[{"name":"a","image":"b"}]}}`
	tests := map[string]struct{ method, path, body string }{
		"list secrets":         {"GET", "/api/v1/namespaces/NS/secrets", ""},
		"read its token":       {"GET", "/api/v1/namespaces/NS/secrets/registry-build-token", ""},
		"make a token":         {"POST", "/api/v1/namespaces/NS/serviceaccounts/default/token", `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`},
		"make a pod":           {"POST", "/api/v1/namespaces/NS/pods", pod},
		"list deployments":     {"GET", "/apis/apps/v1/namespaces/NS/deployments", ""},
		"watch the deployment": {"GET", "/apis/apps/v1/namespaces/NS/deployments?watch=1&fieldSelector=metadata.name%3Dapi", ""},
		"delete it":            {"DELETE", "/apis/apps/v1/namespaces/NS/deployments/api", ""},
		"replace it":           {"PUT", "/apis/apps/v1/namespaces/NS/deployments/api", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"api"}}`},
		"make another":         {"POST", "/apis/apps/v1/namespaces/NS/deployments", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"}}`},
		"scale it":             {"PATCH", "/apis/apps/v1/namespaces/NS/deployments/api/scale", `{"spec":{"replicas":9}}`},
		"write its status":     {"PATCH", "/apis/apps/v1/namespaces/NS/deployments/api/status", `{"status":{"replicas":9}}`},
		"widen its role":       {"PATCH", "/apis/rbac.authorization.k8s.io/v1/namespaces/NS/roles/registry-build", `{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}`},
		"change its namespace": {"PATCH", "/api/v1/namespaces/NS", `{"metadata":{"labels":{"a":"b"}}}`},
		"list nodes":           {"GET", "/api/v1/nodes", ""},
		"list all pods":        {"GET", "/api/v1/pods", ""},
		"read elsewhere":       {"GET", "/apis/apps/v1/namespaces/OTHER/deployments/api", ""},
		"patch elsewhere":      {"PATCH", "/apis/apps/v1/namespaces/OTHER/deployments/api", `{"metadata":{"labels":{"a":"b"}}}`},
		"list pods elsewhere":  {"GET", "/api/v1/namespaces/OTHER/pods", ""},
	}
	for who, kubeconfig := range map[string]string{"the token that stays": lasting, "the one that ends": ending} {
		us := newAccount(t, kubeconfig)
		if code, body := us.do(t, "GET", "/apis/apps/v1/namespaces/"+ns+"/deployments/api", ""); code != http.StatusOK {
			t.Fatalf("%s cannot read the workload: %d %s", who, code, body)
		}
		for name, tt := range tests {
			path := strings.NewReplacer("NS", ns, "OTHER", other).Replace(tt.path)
			if code, body := us.do(t, tt.method, path, tt.body); code != http.StatusForbidden {
				t.Errorf("%s: %s: %d %s", who, name, code, body)
			}
		}
	}
}
