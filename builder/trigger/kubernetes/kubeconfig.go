package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

// fieldManager is who we are in an object's managedFields, and to the API
// server's log.
const fieldManager = "registry-build"

// inCluster is the version of the one credential that has none: client-go
// reads the service account's token again by itself.
const inCluster = "in-cluster"

// clients keeps a client for each cluster as long as its credential stays the
// same.
type clients struct {
	vault builder.Vault
	mu    sync.Mutex
	made  map[string]client // by the cluster's name
}

type client struct {
	version string
	rest    rest.Interface
}

// open returns the cluster's API. The credential is the operator's, who names
// it in the server file: which workloads may be reached with it is decided
// for each of them.
func (c *clients) open(ctx context.Context, cluster config.Cluster, f trigger.Firing) (api, error) {
	version := inCluster
	var cred builder.Credential
	if !cluster.InCluster {
		use := f.Use()
		use.Operator = true
		var err error
		if cred, err = c.vault.Open(ctx, cluster.Kubeconfig, use); err != nil {
			return api{}, vaultError(cluster, err)
		}
		version = cred.Version
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if had, ok := c.made[cluster.Name]; ok && had.version == version {
		return api{had.rest, cluster}, nil
	}
	cfg, err := restConfig(cluster, cred)
	if err != nil {
		return api{}, fmt.Errorf("cluster %s: %w", cluster.Name, err)
	}
	made, err := newREST(cfg)
	if err != nil {
		return api{}, fmt.Errorf("cluster %s: %w", cluster.Name, err)
	}
	if c.made == nil {
		c.made = map[string]client{}
	}
	c.made[cluster.Name] = client{version, made}
	return api{made, cluster}, nil
}

// vaultError keeps the vault's sentences; what is neither of its two answers
// is trouble of the store, which passes.
func vaultError(cluster config.Cluster, err error) error {
	err = fmt.Errorf("cluster %s: %w", cluster.Name, err)
	if errors.Is(err, builder.ErrNotFound) || errors.Is(err, builder.ErrDenied) {
		return err
	}
	return trigger.Temporary(err, 0)
}

// restConfig reads a kubeconfig. What client-go says about one that it cannot
// read may quote it, so that is never passed on.
func restConfig(cluster config.Cluster, cred builder.Credential) (*rest.Config, error) {
	if cluster.InCluster {
		cfg, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("this server does not run in a cluster, or without a service account's token: %w", err)
		}
		return cfg, nil
	}
	if cred.Kind != builder.KindKubeconfig {
		return nil, fmt.Errorf("credential %s is of the kind %s; a cluster needs one of the kind %s", cred.Name, cred.Kind, builder.KindKubeconfig)
	}
	file, err := clientcmd.Load([]byte(cred.Value()))
	if err != nil {
		return nil, fmt.Errorf("credential %s is no kubeconfig: it does not parse; %s", cred.Name, flatten)
	}
	name := cluster.Context
	if name == "" {
		name = file.CurrentContext
	}
	in := file.Contexts[name]
	switch {
	case name == "":
		return nil, fmt.Errorf("kubeconfig %s has no current context; say which one with context: in the server file", cred.Name)
	case in == nil:
		return nil, fmt.Errorf("kubeconfig %s has no context %q", cred.Name, name)
	case file.Clusters[in.Cluster] == nil || file.AuthInfos[in.AuthInfo] == nil:
		return nil, fmt.Errorf("kubeconfig %s: context %q names a cluster or a user that is not in it; %s", cred.Name, name, flatten)
	}
	if err := selfContained(file.Clusters[in.Cluster], file.AuthInfos[in.AuthInfo]); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", cred.Name, err)
	}
	cfg, err := clientcmd.NewNonInteractiveClientConfig(*file, name, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: context %q is not complete; %s", cred.Name, name, flatten)
	}
	return cfg, nil
}

const flatten = "write it with: kubectl config view --raw --flatten --minify"

// selfContained refuses what would read files of this machine or run programs
// on it: a kubeconfig is a credential, and no more than that.
func selfContained(c *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) error {
	for key, file := range map[string]string{
		"certificate-authority": c.CertificateAuthority, "client-certificate": user.ClientCertificate,
		"client-key": user.ClientKey, "tokenFile": user.TokenFile,
	} {
		if file != "" {
			return fmt.Errorf("%s names a file, which is not here; %s", key, flatten)
		}
	}
	if user.Exec != nil || user.AuthProvider != nil {
		return errors.New("its user is logged in by a program (exec or auth-provider), which is not run here; use a service account's token")
	}
	return nil
}

// newREST makes a client that sends what it is told at once, once.
func newREST(cfg *rest.Config) (rest.Interface, error) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"}) // Status, the API's errors
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.ContentType = runtime.ContentTypeJSON
	cfg.AcceptContentTypes = runtime.ContentTypeJSON
	cfg.UserAgent = fieldManager
	cfg.QPS = -1 // the API server's own fairness is enough
	cfg.WarningHandler = rest.NoWarnings{}
	httpClient, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	return rest.UnversionedRESTClientForConfigAndClient(cfg, httpClient)
}
