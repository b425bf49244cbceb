// Package kubetest runs a real Kubernetes control plane for tests: etcd,
// kube-apiserver with RBAC and kube-controller-manager, on loopback. There
// are no nodes; a Kubelet in the test's own process says how pods fare.
//
// The binaries are made by `make kube`. Without them Start fails.
package kubetest
