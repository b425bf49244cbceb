package kubernetes_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/kubernetes"
	"github.com/registry-build/registry-build/config"
)

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestAuthority(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	kube.Kubelet(t, ns)
	workload(t, ns, "CronJob", "")
	policy := func(repositories, workloads string) func(*kubernetes.Options) {
		return func(o *kubernetes.Options) {
			o.Policy = []config.Policy{{Repositories: []string{repositories}, Workloads: []string{workloads}}}
		}
	}
	none := func(*kubernetes.Options) {}
	tests := map[string]struct {
		annotation string // "": none
		options    func(*kubernetes.Options)
		change     func(*trigger.Firing)
		refused    []string // nothing: let in
	}{
		"annotation":             {"acme/api", none, nil, nil},
		"in other letters":       {"Acme/API", none, nil, nil},
		"by the forge's id":      {"git:acme/api", none, nil, nil},
		"one of several":         {"acme/web, acme/api", none, nil, nil},
		"another repository":     {"acme/web", none, nil, []string{"acme/api may not update", "kubectl annotate --overwrite -n " + ns + " cronjob/api registry-build.dev/repository=acme/web,acme/api"}},
		"a part of the name":     {"acme/api2,cme/api,acme", none, nil, []string{"may not update"}},
		"nothing":                {"", none, nil, []string{"kubectl annotate -n " + ns + " cronjob/api registry-build.dev/repository=acme/api;", `policy: [{repositories: ["acme/api"], workloads: ["prod/` + ns + `/cronJob/api"]}]`}},
		"policy":                 {"", policy("acme/*", "prod/*/cronJob/*"), nil, nil},
		"policy of others":       {"", policy("other/*", "prod/*"), nil, []string{"may not update"}},
		"policy for others":      {"", policy("acme/*", "test/*"), nil, []string{"may not update"}},
		"the operator's trigger": {"", none, func(f *trigger.Firing) { f.Trigger.Operator = true }, nil},
		"a fork's build":         {"acme/api", none, func(f *trigger.Firing) { f.Record.Lane = builder.ForkLane }, []string{"forks"}},
		"a name of before":       {"acme/api", none, func(f *trigger.Firing) { f.Record.Names = []string{"git:7"} }, []string{"git:7 may not update"}},
		"no repository":          {"acme/api", none, func(f *trigger.Firing) { f.Record.Names = nil }, []string{"without a source repository"}},
	}
	for name, tt := range tests { // one after the other: it is one workload
		t.Run(name, func(t *testing.T) {
			value := "null"
			if tt.annotation != "" {
				value = `"` + tt.annotation + `"`
			}
			kube.Patch(t, "kubectl", "CronJob", ns, "api", `metadata: {annotations: {registry-build.dev/repository: `+value+`}}`)
			f := firing(target(ns, config.CronJob), 1)
			if tt.change != nil {
				tt.change(&f)
			}
			if k := newKind(t, kube.Admin, tt.options); tt.refused != nil {
				fail(t, k, f, tt.refused...)
			} else {
				succeed(t, k, f)
			}
		})
	}
}

func TestWhatIsMissing(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	workload(t, ns, "Deployment", "")
	clusters := func(names ...string) func(*kubernetes.Options) {
		return func(o *kubernetes.Options) {
			o.Clusters = nil
			for _, n := range names {
				o.Clusters = append(o.Clusters, config.Cluster{Name: n, Kubeconfig: "prod-cluster"})
			}
		}
	}
	kubeconfig := func(text string) func(*kubernetes.Options) {
		return func(o *kubernetes.Options) { o.Vault = vault{"prod-cluster": text} }
	}
	edited := func(edit func(c *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo)) func(*kubernetes.Options) {
		c, err := clientcmd.Load([]byte(kube.Admin))
		if err != nil {
			t.Fatal(err)
		}
		edit(c.Clusters["test"], c.AuthInfos["test"])
		text, err := clientcmd.Write(*c)
		if err != nil {
			t.Fatal(err)
		}
		return kubeconfig(string(text))
	}
	tests := map[string]struct {
		change  func(*trigger.Firing)
		options func(*kubernetes.Options)
		want    string
	}{
		"workload":            {change: func(f *trigger.Firing) { f.Trigger.Kubernetes.Name = "web" }, want: `there is no deployment "web" in namespace ` + ns + " of cluster prod"},
		"of that kind":        {change: func(f *trigger.Firing) { f.Trigger.Kubernetes.Kind = config.DaemonSet }, want: `there is no daemonset "api"`},
		"namespace":           {change: func(f *trigger.Firing) { f.Trigger.Kubernetes.Namespace = "nowhere" }, want: `there is no namespace "nowhere" in cluster prod`},
		"container":           {change: func(f *trigger.Firing) { f.Trigger.Kubernetes.Container = "web" }, want: `has no container "web"; it has api`},
		"a strange name":      {change: func(f *trigger.Firing) { f.Trigger.Kubernetes.Name = "../../pods" }, want: `"../../pods" cannot be a workload's name`},
		"an unknown kind":     {change: func(f *trigger.Firing) { f.Trigger.Kubernetes.Kind = "job" }, want: `no kind of workload "job"`},
		"of another kind":     {change: func(f *trigger.Firing) { f.Trigger.Kubernetes = nil }, want: `trigger "prod" updates no Kubernetes workload`},
		"an image":            {change: func(f *trigger.Firing) { f.Record.State, f.Record.Digest = builder.Failed, "" }, want: "the build failed and has no image"},
		"a registry":          {options: func(o *kubernetes.Options) { o.Registry = "" }, want: "image acme/api has no registry's name"},
		"a cluster around us": {options: func(o *kubernetes.Options) { o.Clusters = []config.Cluster{{Name: "prod", InCluster: true}} }, want: "this server does not run in a cluster"},
		"cluster":             {options: clusters("production", "test"), want: `no cluster "prod"; this server has production, test`},
		"cluster, nearly":     {options: clusters("prd"), want: `no cluster "prod"; did you mean "prd"?`},
		"all clusters":        {options: clusters(), want: "this server has none"},
		"credential":          {options: func(o *kubernetes.Options) { o.Vault = vault{} }, want: "cluster prod: there is no credential prod-cluster; set it"},
		"context": {options: func(o *kubernetes.Options) {
			o.Clusters = []config.Cluster{{Name: "prod", Kubeconfig: "prod-cluster", Context: "x"}}
		}, want: `kubeconfig prod-cluster has no context "x"`},
		"a kubeconfig":           {options: kubeconfig("token: s3cret\n\tx"), want: "credential prod-cluster is no kubeconfig"},
		"a current context":      {options: kubeconfig("{}"), want: "has no current context"},
		"a user that is no file": {options: edited(func(_ *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) { u.TokenFile = "/etc/passwd" }), want: "tokenFile names a file"},
		"a CA that is no file":   {options: edited(func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) { c.CertificateAuthority = "/ca" }), want: "certificate-authority names a file"},
		"a user that runs nothing": {options: edited(func(_ *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) {
			u.Exec = &clientcmdapi.ExecConfig{Command: "/bin/true", APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: "Never"}
		}), want: "logged in by a program"},
		"a good token": {options: edited(func(_ *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) { u.Token = "s3cret" }), want: "does not accept the credential prod-cluster; set another: registry-build credentials set prod-cluster --kind kubeconfig"},
		"a CA of its own": {options: edited(func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) {
			c.CertificateAuthorityData = nil
		}), want: "cluster prod cannot be trusted: x509"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := firing(target(ns, config.Deployment), 1)
			if tt.change != nil {
				tt.change(&f)
			}
			if tt.options == nil {
				tt.options = func(*kubernetes.Options) {}
			}
			k := newKind(t, kube.Admin, tt.options)
			answer, err := k.Fire(t.Context(), f)
			if _, again := trigger.IsTemporary(err); err == nil || again {
				t.Fatalf("%+v, %v; want a final error", answer, err)
			}
			contains(t, err.Error(), tt.want)
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%q shows the secret", err)
			}
			if action := k.Action(f.Trigger); !strings.HasPrefix(action, "kubernetes") {
				t.Errorf("Action = %q", action)
			}
		})
	}
}

// What passes is tried again; what is said names the cluster.
func TestClusterAway(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	kube.Kubelet(t, ns)
	workload(t, ns, "Deployment", "")
	tests := map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"closes":   {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, "cannot be reached"},
		"starting": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "starting", http.StatusServiceUnavailable) }, "cannot answer now"},
		"busy": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			http.Error(w, "slow down", http.StatusTooManyRequests)
		}, "cannot answer now"},
		"strange": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "something that is no deployment"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			k := newKind(t, g.kubeconfig)
			open := g.close(tt.answer)
			f := firing(target(ns, config.Deployment), 1)
			_, err := k.Fire(t.Context(), f)
			after, again := trigger.IsTemporary(err)
			if !again || name == "busy" && after.Seconds() != 7 {
				t.Fatalf("%v, after %s; want a temporary error", err, after)
			}
			contains(t, err.Error(), "cluster prod", tt.want)
			if n := len(g.methods()); n != 1 {
				t.Errorf("%d requests; trying again is the engine's", n)
			}
			open()
			succeed(t, k, f)
		})
	}
}

// A cluster that goes away in the middle costs no memo.
func TestClusterAwayDuringTheRollout(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	workload(t, ns, "Deployment", "")
	g := newGate(t)
	k := newKind(t, g.kubeconfig)
	f := firing(target(ns, config.Deployment), 1)
	answer, err := k.Fire(t.Context(), f)
	if err != nil || answer.Again == 0 {
		t.Fatalf("%+v, %v", answer, err)
	}
	f.Memo = answer.Memo
	open := g.close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 100e6)
	defer cancel()
	away, err := k.Fire(ctx, f)
	if _, again := trigger.IsTemporary(err); !again || away.Memo != answer.Memo {
		t.Errorf("%+v, %v; want a temporary error and the memo", away, err)
	}
	contains(t, err.Error(), "did not answer in time")
	open()
	kube.Kubelet(t, ns)
	succeed(t, k, f)
}

// A credential that was set anew is used from the next call on.
func TestRotatedCredential(t *testing.T) {
	t.Parallel()
	ns := kube.Namespace(t)
	workload(t, ns, "CronJob", "")
	file, err := clientcmd.Load([]byte(kube.Admin))
	if err != nil {
		t.Fatal(err)
	}
	file.AuthInfos["test"].Token = "ended"
	ended, err := clientcmd.Write(*file)
	if err != nil {
		t.Fatal(err)
	}
	v := vault{"prod-cluster": string(ended)}
	k := newKind(t, "", func(o *kubernetes.Options) { o.Vault = v })
	fail(t, k, firing(target(ns, config.CronJob), 1), "does not accept the credential")
	v["prod-cluster"] = kube.Admin
	succeed(t, k, firing(target(ns, config.CronJob), 1))
}

// A store that is away says nothing about the trigger.
func TestVaultAway(t *testing.T) {
	t.Parallel()
	k := newKind(t, "", func(o *kubernetes.Options) { o.Vault = away{} })
	_, err := k.Fire(t.Context(), firing(target("shop", config.CronJob), 1))
	if _, again := trigger.IsTemporary(err); !again {
		t.Errorf("%v is final", err)
	}
}

type away struct{ vault }

func (away) Open(context.Context, string, builder.Use) (builder.Credential, error) {
	return builder.Credential{}, builder.ErrUnavailable
}
