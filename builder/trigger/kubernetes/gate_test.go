package kubernetes_test

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

// gate stands before the API server, counts, and can be closed.
type gate struct {
	kubeconfig string
	mu         sync.Mutex
	seen       []string // methods
	answer     http.HandlerFunc
}

// newGate lets everything through at first.
func newGate(t *testing.T) *gate {
	t.Helper()
	config, err := clientcmd.Load([]byte(kube.Admin))
	if err != nil {
		t.Fatal(err)
	}
	server, err := url.Parse(config.Clusters["test"].Server)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(server) },
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
	t.Cleanup(proxy.Transport.(*http.Transport).CloseIdleConnections)
	g := &gate{answer: proxy.ServeHTTP}
	front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.seen = append(g.seen, r.Method)
		answer := g.answer
		g.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(front.Close)
	config.Clusters["test"].Server = front.URL
	config.Clusters["test"].CertificateAuthorityData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	text, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	g.kubeconfig = string(text)
	return g
}

// close answers so from now on; the function that it returns opens again.
func (g *gate) close(answer http.HandlerFunc) (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.answer
	g.answer = answer
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.answer = before
	}
}

func (g *gate) methods() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.seen)
}
