#!/bin/sh
# Writes to standard output a kubeconfig for the service account of base/, in
# the cluster of kubectl's current context.
#   kubeconfig.sh NAMESPACE           with the token of example/token.yaml
#   kubeconfig.sh NAMESPACE SECONDS   with a token that ends
set -eu
namespace=${1:?usage: kubeconfig.sh NAMESPACE [SECONDS]}

if [ $# -gt 1 ]; then
	token=$(kubectl -n "$namespace" create token registry-build --duration "$2s")
else
	token=$(kubectl -n "$namespace" get secret registry-build-token -o 'jsonpath={.data.token}' | base64 -d)
fi
[ -n "$token" ] || { echo "the token is not there yet; try again in a moment" >&2; exit 1; }
cluster() { kubectl config view --raw --flatten --minify -o "jsonpath={.clusters[0].cluster.$1}"; }

cat <<EOF
apiVersion: v1
kind: Config
current-context: registry-build
clusters:
  - name: cluster
    cluster:
      server: $(cluster server)
      certificate-authority-data: $(cluster certificate-authority-data)
users:
  - name: registry-build
    user:
      token: $token
contexts:
  - name: registry-build
    context: {cluster: cluster, user: registry-build, namespace: $namespace}
EOF
