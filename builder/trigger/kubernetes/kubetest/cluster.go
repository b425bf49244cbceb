package kubetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
)

const startLimit = 2 * time.Minute // on a machine that is busy with other tests

// controllers that workloads need.
const controllers = "deployment-controller,replicaset-controller,statefulset-controller,daemonset-controller," +
	"cronjob-controller,job-controller,serviceaccount-controller,serviceaccount-token-controller,garbage-collector-controller"

// Cluster is a running control plane.
type Cluster struct {
	Admin string // kubeconfig of somebody who may do everything

	dir     string
	address string
	ca      []byte // PEM
	token   string
	servers []*server
	client  dynamic.Interface
	rest    rest.Interface
}

// Start starts a control plane of its own, in some seconds. The caller must
// Stop it; when the process is killed, it ends too.
func Start() (*Cluster, error) {
	dir, err := os.MkdirTemp("", "kube")
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, token: "admin-" + rand.Text()}
	if err := c.start(); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// Stop ends all of it.
func (c *Cluster) Stop() {
	for i := range c.servers {
		c.servers[len(c.servers)-1-i].stop()
	}
	_ = os.RemoveAll(c.dir)
}

func (c *Cluster) start() error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	etcd, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	c.address = fmt.Sprintf("https://127.0.0.1:%d", ports[2])
	if err := c.writeKeys(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := c.run("etcd", "--data-dir", c.file("etcd"), "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer); err != nil {
		return err
	}
	if err := c.run("kube-apiserver", "--etcd-servers", etcd, "--bind-address", "127.0.0.1",
		"--secure-port", fmt.Sprint(ports[2]), "--tls-cert-file", c.file("api.crt"), "--tls-private-key-file", c.file("api.key"),
		"--token-auth-file", c.file("tokens.csv"), "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", c.file("sa.key"),
		"--service-account-signing-key-file", c.file("sa.key"), "--endpoint-reconciler-type", "none",
		// Nobody would take the taint of a new node away again.
		"--disable-admission-plugins", "TaintNodesByCondition",
		"--cert-dir", c.dir, "--profiling=false"); err != nil {
		return err
	}
	if err := c.connect(); err != nil {
		return err
	}
	if err := c.ready(ctx); err != nil {
		return err
	}
	if err := c.addNode(ctx); err != nil {
		return err
	}
	return c.run("kube-controller-manager", "--kubeconfig", c.file("admin.kubeconfig"), "--controllers", controllers,
		"--leader-elect=false", "--secure-port", "0", "--service-account-private-key-file", c.file("sa.key"),
		"--kube-api-qps", "1000", "--kube-api-burst", "1000", "--cert-dir", c.dir)
}

func (c *Cluster) run(name string, args ...string) error {
	s, err := run(c.dir, name, args...)
	if err == nil {
		c.servers = append(c.servers, s)
	}
	return err
}

// addNode makes the node that DaemonSets have pods for.
func (c *Cluster) addNode(ctx context.Context) error {
	nodes := schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	node := map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "node"}}
	_, err := c.client.Resource(nodes).Create(ctx, &unstructured.Unstructured{Object: node}, metav1.CreateOptions{})
	return err
}

func (c *Cluster) file(name string) string { return filepath.Join(c.dir, name) }

// writeKeys makes the server's certificate, the key that signs service
// accounts' tokens, and the administrator.
func (c *Cluster) writeKeys() error {
	crt, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		return err
	}
	c.ca = crt
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(signer)
	if err != nil {
		return err
	}
	c.Admin = c.kubeconfig(c.token, "default")
	return errors.Join(
		os.WriteFile(c.file("api.crt"), crt, 0o600),
		os.WriteFile(c.file("api.key"), key, 0o600),
		os.WriteFile(c.file("sa.key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600),
		os.WriteFile(c.file("tokens.csv"), []byte(c.token+",admin,admin,system:masters\n"), 0o600),
		os.WriteFile(c.file("admin.kubeconfig"), []byte(c.Admin), 0o600),
	)
}

// kubeconfig is one for whoever has the token.
func (c *Cluster) kubeconfig(token, namespace string) string {
	text, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: c.address, CertificateAuthorityData: c.ca}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"test": {Token: token}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "test", Namespace: namespace}},
		CurrentContext: "test",
	})
	if err != nil { // it encodes what it was given
		return err.Error()
	}
	return string(text)
}

func (c *Cluster) connect() error {
	cfg, err := clientcmd.RESTConfigFromKubeConfig([]byte(c.Admin))
	if err != nil {
		return err
	}
	cfg.QPS = -1
	c.client, err = dynamic.NewForConfig(cfg)
	if err != nil {
		return err
	}
	cfg = dynamic.ConfigFor(cfg)
	httpClient, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return err
	}
	c.rest, err = rest.UnversionedRESTClientForConfigAndClient(cfg, httpClient)
	return err
}

// ready waits for the API server and for the roles that it makes for itself.
func (c *Cluster) ready(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		body, err := c.rest.Get().AbsPath("/readyz").MaxRetries(0).DoRaw(ctx)
		if err == nil && strings.TrimSpace(string(body)) == "ok" {
			return nil
		}
		var gone *server
		for _, s := range c.servers {
			select {
			case <-s.exited:
				gone = s
			default:
			}
		}
		if gone != nil {
			return fmt.Errorf("kubetest: %s ended:\n%s", gone.name, gone.tail())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kubetest: the API server was not ready within %s: %v %s\n%s", startLimit, err, body, c.servers[len(c.servers)-1].tail())
		case <-tick.C:
		}
	}
}
