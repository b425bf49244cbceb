package app

import (
	"context"
	"fmt"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/handlers/forge"
)

// credentials looks for those that the server file itself names: of clusters
// and of the operator's triggers. What build files name is told at their
// commits.
func (p *premises) credentials(ctx context.Context) []forge.Finding {
	named := map[string]string{} // credential -> kind; "": any
	var names []string
	name := func(credential, kind string) {
		if _, there := named[credential]; credential != "" && !there {
			named[credential] = kind
			names = append(names, credential)
		}
	}
	for _, c := range p.cfg.Clusters {
		name(c.Kubeconfig, string(builder.KindKubeconfig))
	}
	for _, t := range p.cfg.Operators {
		name(t.Credential(), "")
	}
	if len(names) == 0 {
		return nil
	}
	var list []credential.Info
	store, err := credential.Open(p.dir.path("credentials"), firstOf(p.cfg.KeyFile, p.dir.path("credentials", "key.txt")))
	if err == nil {
		list, err = store.List(ctx)
	}
	if err != nil {
		return []forge.Finding{{What: fmt.Sprintf("the credentials cannot be read: %v", err), Mend: "put the key file back where it was"}}
	}
	kept := map[string]string{}
	for _, info := range list {
		kept[info.Name] = string(info.Kind)
	}
	var found []forge.Finding
	for _, n := range names {
		kind, there := kept[n]
		set := "registry-build credentials set " + n
		if named[n] != "" {
			set += " --kind " + named[n]
		}
		switch {
		case !there:
			found = append(found, forge.Finding{What: "the server file names the credential " + n + ", which is not there", Mend: "`" + set + "`, with the same --config and --data"})
		case named[n] != "" && kind != named[n]:
			found = append(found, forge.Finding{What: fmt.Sprintf("the credential %s is of kind %s, and a cluster needs %s", n, kind, named[n]), Mend: "`" + set + "`, or name another in the server file"})
		}
	}
	if found == nil {
		found = append(found, forge.Finding{What: "the credentials that the server file names are there"})
	}
	return found
}
