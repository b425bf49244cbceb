package app

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge"
)

func TestDoctorLooksForNamedCredentials(t *testing.T) {
	dir, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store, err := credential.Open(dir.path("credentials"), dir.path("credentials", "key.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Set(t.Context(), builder.Credential{Name: "audit-secret", Kind: builder.KindToken, Fields: map[string]string{"value": "0123456789abcdef"}}); err != nil {
		t.Fatal(err)
	}
	audit := config.ServerTrigger{Trigger: config.Trigger{Name: "audit", Webhook: &config.Webhook{Credential: "audit-secret"}}}
	for _, tt := range []struct {
		name string
		cfg  config.Server
		want []forge.Finding
	}{
		{"none is named", config.Server{Clusters: []config.Cluster{{Name: "here", InCluster: true}}}, nil},
		{"there", config.Server{Operators: []config.ServerTrigger{audit}}, []forge.Finding{{What: "the credentials that the server file names are there"}}},
		{"missing", config.Server{Operators: []config.ServerTrigger{audit}, Clusters: []config.Cluster{{Name: "prod", Kubeconfig: "prod-cluster"}}}, []forge.Finding{
			{What: "the server file names the credential prod-cluster, which is not there",
				Mend: "`registry-build credentials set prod-cluster --kind kubeconfig`, with the same --config and --data"}}},
		{"of another kind", config.Server{Clusters: []config.Cluster{{Name: "prod", Kubeconfig: "audit-secret"}}}, []forge.Finding{
			{What: "the credential audit-secret is of kind token, and a cluster needs kubeconfig",
				Mend: "`registry-build credentials set audit-secret --kind kubeconfig`, or name another in the server file"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &premises{cfg: &tt.cfg, dir: dir}
			if diff := cmp.Diff(tt.want, p.credentials(t.Context())); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
