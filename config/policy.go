package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

func (r *reader) policy(n *yaml.Node) Policy {
	var p Policy
	seen, ok := r.section(n, "policy[]", fields{
		"repositories": func(v *yaml.Node) { p.Repositories = r.checkedList(v, "repositories", `["acme/*"]`, checkGlob) },
		"images": func(v *yaml.Node) {
			p.Images = r.checkedList(v, "images", `["registry.example.com/shared/*"]`, checkGlob)
		},
		"credentials": func(v *yaml.Node) {
			p.Credentials = r.checkedList(v, "credentials", `[npm-token, "acme-*"]`, checkGlob)
		},
		"workloads": func(v *yaml.Node) {
			p.Workloads = r.checkedList(v, "workloads", `["prod/shop/deployment/api"]`, checkWorkloads)
		},
		"manifests": func(v *yaml.Node) {
			p.Manifests = r.checkedList(v, "manifests", `["github:acme/deploy"]`, checkManifestGlob)
		},
	})
	if !ok {
		return p
	}
	if seen["repositories"] == nil {
		r.errorf(n, "the policy has no repositories; it says what these may reach")
	}
	if !slices.ContainsFunc([]string{"images", "credentials", "workloads", "manifests"}, func(k string) bool { return seen[k] != nil }) {
		r.errorf(n, "the policy allows nothing; write images, credentials, workloads or manifests that the repositories may reach")
	}
	return p
}

// wild reports whether a glob may stand for what its own letters do not tell:
// a * stands for slashes, too.
func wild(s string) bool { return strings.ContainsAny(s, "*?[") || strings.HasPrefix(s, "/") }

// checkWorkloads reads a glob over CLUSTER/NAMESPACE/KIND/NAME. One that could
// never match is a mistake that nobody would find.
func checkWorkloads(s string) error {
	if err := checkGlob(s); err != nil {
		return err
	}
	parts := strings.Split(s, "/")
	switch {
	case !strings.Contains(s, "*") && !strings.HasPrefix(s, "/") && len(parts) != 4:
		return errors.New("a workload is CLUSTER/NAMESPACE/KIND/NAME, like prod/shop/deployment/api; * stands for any of them")
	case len(parts) == 4 && !wild(parts[2]) && !slices.Contains(workloadKinds(), parts[2]):
		return fmt.Errorf("the kind of a workload, its third part, is written as triggers write it: %s", strings.Join(workloadKinds(), ", "))
	}
	return nil
}

// checkManifestGlob reads a glob over git repositories, FORGE:owner/name or
// https://….
func checkManifestGlob(s string) error {
	if err := checkGlob(s); err != nil {
		return err
	}
	forge, _, _ := strings.Cut(s, ":")
	if !strings.Contains(s, ":") && !strings.HasPrefix(s, "*") && !strings.HasPrefix(s, "/") || strings.Contains(forge, "/") && !strings.HasPrefix(s, "/") {
		return errors.New("a repository of manifests is FORGE:owner/name, like github:acme/deploy, or https://…; * stands for any characters")
	}
	return nil
}
