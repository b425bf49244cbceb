package kubernetes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/net"

	"github.com/registry-build/registry-build/builder/trigger"
)

// errConflict says that the workload is no longer the one that was read.
var errConflict = errors.New("the workload was changed meanwhile")

// sentence words what the API server or the way to it said to one request,
// and decides whether trying again may help.
func (u *update) sentence(ctx context.Context, verb string, r resource, err error) error {
	cluster := "cluster " + u.t.Cluster
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return u.unreachable(ctx, err)
	}
	said := clip(status.Status().Message)
	switch code := status.Status().Code; {
	case apierrors.IsConflict(err):
		return errConflict
	case apierrors.IsUnauthorized(err):
		if u.cluster.InCluster {
			return fmt.Errorf("%s does not accept the service account of this server", cluster)
		}
		return fmt.Errorf("%s does not accept the credential %s; set another: registry-build credentials set %[2]s --kind kubeconfig", cluster, u.cluster.Kubeconfig)
	case apierrors.IsForbidden(err) && ruleMissing(err):
		return fmt.Errorf("%s does not let us %s %s: %s; its role needs the rule {apiGroups: [%q], resources: [%s], verbs: [%s]} in the namespace %s, if there is such a namespace",
			cluster, verb, r.name, said, r.group, r.name, verb, u.t.Namespace)
	case apierrors.IsNotFound(err):
		return u.missing(ctx)
	case code == 429 || code >= 500:
		after, _ := apierrors.SuggestsClientDelay(err)
		return trigger.Temporary(fmt.Errorf("%s cannot answer now: %s", cluster, said), time.Duration(after)*time.Second)
	}
	return fmt.Errorf("%s refuses to %s %s: %s", cluster, verb, where(u.t), said)
}

// rbacDenied is how every authorizer's refusal reads: User "…" cannot get
// resource "deployments" in API group "apps". An admission controller's refusal
// has the same code and other words.
var rbacDenied = regexp.MustCompile(`cannot [a-z]+ resource "`)

// ruleMissing tells a right that is missing from what admission refused.
func ruleMissing(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	return rbacDenied.MatchString(status.Status().Message)
}

// missing finds out what is not there, as far as we may.
func (u *update) missing(ctx context.Context) error {
	_, err := send(ctx, u.api.rest.Get().AbsPath("/api/v1/namespaces", u.t.Namespace))
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no namespace %q in cluster %s", u.t.Namespace, u.t.Cluster)
	}
	return fmt.Errorf("there is no %s %q in namespace %s of cluster %s", resourceOf(u.t.Kind).word, u.t.Name, u.t.Namespace, u.t.Cluster)
}

// unreachable words an error of the way to the API server. A certificate that
// does not hold is for a person to mend; all else may pass.
func (u *update) unreachable(ctx context.Context, err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &cert):
		return fmt.Errorf("cluster %s cannot be trusted: %w; check certificate-authority-data and server in its kubeconfig", u.t.Cluster, cert.Err)
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || net.IsTimeout(err):
		return trigger.Temporary(fmt.Errorf("cluster %s did not answer in time", u.t.Cluster), 0)
	}
	return trigger.Temporary(fmt.Errorf("cluster %s cannot be reached: %w", u.t.Cluster, err), 0)
}
