// Package kubetest runs a real Kubernetes control plane for tests: etcd,
// kube-apiserver with RBAC and kube-controller-manager, on loopback. Its
// one node is a name that DaemonSets see, and nothing is scheduled; a Kubelet
// in the test's own process says how pods fare.
//
// The binaries are made by `make kube`. Without them Start fails.
package kubetest
