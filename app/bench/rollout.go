package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/registry-build/registry-build/app/instance"
	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger/kubernetes/kubetest"
	"github.com/registry-build/registry-build/handlers"
)

const (
	patchMost    = 100 * time.Millisecond
	patchPushes  = 4 // in each round
	patchCluster = "production"
)

// The deployment has no pods: how fast nodes start them is not ours.
const patchWorkload = `apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 0
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: none}]}
`

// measureRollout measures how long after somebody's push of a tag the workload
// is patched: from the request that puts the tag into our registry until the
// patch is on its way to a real API server. What that server takes to answer
// what is asked before is taken off.
func measureRollout(ctx context.Context, in *installation, rounds int) (rows []row, err error) {
	cluster, err := kubetest.Start()
	if err != nil {
		return nil, fmt.Errorf("%w; run `make kube`", err)
	}
	defer cluster.Stop()
	watch, err := watchAPI(cluster.Admin)
	if err != nil {
		return nil, err
	}
	defer watch.Close()
	up, err := in.clustered(ctx, watch, cluster.Admin)
	if err != nil {
		return nil, err
	}
	defer func() { err = joinStop(err, up) }()
	fmt.Println("rollout: from the push of a tag to the patch of a deployment")
	r := row{name: "tag_to_patch_ms", most: patchMost, note: "from the tag's PUT to the patch, without the API server's own time; at most 100 ms"}
	for push := range rounds*patchPushes + 1 {
		took, err := watch.rollout(ctx, up, push)
		if err != nil {
			said, _ := os.ReadFile(filepath.Join(in.path("rollout"), "up.log"))
			return nil, fmt.Errorf("%w\n%s", err, tail(said))
		}
		if push > 0 {
			r.add(0, took, 0)
		}
	}
	fmt.Printf("  %d pushes: %s, %s ms\n", len(r.ours), milliseconds(r.ours.median()), span(r.ours))
	return []row{r}, nil
}

// clustered starts an `up` that knows the cluster by the watched address.
func (in *installation) clustered(ctx context.Context, watch *watchedAPI, admin string) (*instance.Instance, error) {
	dir := in.path("rollout")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"admin": admin, "watched": watch.kubeconfig, "workload.yml": patchWorkload} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	for _, command := range [][]string{
		{filepath.Join(filepath.Dir(in.buildctl), "kubectl"), "--kubeconfig", filepath.Join(dir, "admin"), "create", "-f", filepath.Join(dir, "workload.yml")},
		{in.program, "credentials", "set", "cluster", "--kind", "kubeconfig", "--file", filepath.Join(dir, "watched"), "--data", filepath.Join(dir, "data")},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
		}
	}
	return in.beside(ctx, "rollout", "clusters: [{name: "+patchCluster+", kubeconfig: cluster}]\n"+
		"triggers:\n  rules:\n    - {name: roll, images: [acme/api], kubernetes: {cluster: "+patchCluster+", namespace: default, deployment: api}}\n")
}

// watchedAPI stands in front of an API server and notes what is asked.
type watchedAPI struct {
	*httptest.Server
	kubeconfig string

	mu      sync.Mutex
	patched chan struct{}
	patch   time.Time  // when the first patch came
	before  []interval // what the server was asked before it
}

func watchAPI(admin string) (*watchedAPI, error) {
	cfg, err := clientcmd.Load([]byte(admin))
	if err != nil {
		return nil, err
	}
	real, err := clientcmd.RESTConfigFromKubeConfig([]byte(admin))
	if err != nil {
		return nil, err
	}
	transport, err := rest.TransportFor(&rest.Config{Host: real.Host, TLSClientConfig: real.TLSClientConfig})
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(real.Host)
	if err != nil {
		return nil, err
	}
	w := &watchedAPI{patched: make(chan struct{})}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1}
	w.Server = httptest.NewUnstartedServer(w.note(proxy))
	w.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	w.StartTLS()
	for _, c := range cfg.Clusters {
		c.Server, c.CertificateAuthorityData, c.InsecureSkipTLSVerify = w.URL, pemOf(w.Certificate().Raw), false
	}
	text, err := clientcmd.Write(*cfg)
	w.kubeconfig = string(text)
	return w, err
}

func (w *watchedAPI) note(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		began := time.Now()
		if r.Method == http.MethodPatch {
			w.mu.Lock()
			if w.patch.IsZero() {
				w.patch = began
				close(w.patched)
			}
			w.mu.Unlock()
		}
		next.ServeHTTP(rw, r)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.patch.IsZero() {
			w.before = append(w.before, interval{began, time.Now()})
		}
	})
}

// rollout pushes another image and returns how long it took to the patch.
func (w *watchedAPI) rollout(ctx context.Context, up *instance.Instance, push int) (time.Duration, error) {
	w.mu.Lock()
	w.patched, w.patch, w.before = make(chan struct{}), time.Time{}, nil
	patched := w.patched
	w.mu.Unlock()
	put, err := pushNoted(ctx, up, fmt.Sprintf("acme/api:v%d", push))
	if err != nil {
		return 0, err
	}
	select {
	case <-patched:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(30 * time.Second):
		return 0, errors.New("no patch within 30 s")
	}
	if err := ended(ctx, up, push+1); err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	took := w.patch.Sub(put)
	for _, asked := range w.before {
		if asked.began.After(put) {
			took -= asked.took()
		}
	}
	return took, nil
}

// pushNoted pushes an image and returns when its tag was put.
func pushNoted(ctx context.Context, up *instance.Instance, image string) (put time.Time, err error) {
	ref, err := name.ParseReference(up.Host()+"/"+image, name.Insecure)
	if err != nil {
		return put, err
	}
	content, err := random.Image(256, 1)
	if err != nil {
		return put, err
	}
	noted := &notedTransport{}
	err = remote.Write(ref, content, remote.WithContext(ctx), remote.WithTransport(noted), remote.WithAuth(&authn.Basic{Username: "owner", Password: up.Token}))
	return noted.put, err
}

// notedTransport notes when a manifest is put.
type notedTransport struct{ put time.Time }

func (n *notedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
		n.put = time.Now()
	}
	return http.DefaultTransport.RoundTrip(r)
}

// ended waits until so many rollouts have succeeded, so that none is measured
// while another one is watched.
func ended(ctx context.Context, up *instance.Instance, rollouts int) error {
	ctx, done := context.WithTimeout(ctx, 30*time.Second)
	defer done()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var list handlers.TriggerRunList
		err := get(ctx, up, "/api/v1/triggers?limit=200&state="+string(builder.RunSucceeded), &list)
		if err != nil || len(list.Runs) >= rollouts {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d rollouts have succeeded: %w", len(list.Runs), rollouts, ctx.Err())
		case <-tick.C:
		}
	}
}

func pemOf(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
