package config

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// maxOperators is how many triggers a server file has.
const maxOperators = 100

// serverTriggers reads what triggers may reach, and the operator's own.
func (r *reader) serverTriggers(v *yaml.Node, s *Server) {
	r.section(v, "triggers", fields{
		"allowPrivate": func(v *yaml.Node) { s.Triggers.AllowPrivate, _ = r.boolean(v, "allowPrivate") },
		"allowHosts": func(v *yaml.Node) {
			s.Triggers.AllowHosts = r.checkedList(v, "allowHosts", "[hooks.lan]", checkTarget)
		},
		"rules": func(v *yaml.Node) { s.Operators = r.operators(v) },
	})
}

func (r *reader) operators(v *yaml.Node) []ServerTrigger {
	nodes := r.list(v, "rules", `[{images: ["acme/*"], name: audit, webhook: {url: "https://…"}}]`)
	if len(nodes) > maxOperators {
		r.errorf(nodes[maxOperators], "a server file has at most %d triggers; this is number %d", maxOperators, maxOperators+1)
		nodes = nodes[:maxOperators]
	}
	var out []ServerTrigger
	names := map[string]int{}
	for _, n := range nodes {
		var o ServerTrigger
		images := false
		o.Trigger = r.trigger(n, maker{section: "triggers.rules[]", operator: true}, names, fields{
			"images": func(v *yaml.Node) {
				images, o.Images = true, r.checkedList(v, "images", `["registry.example.com/shop/*"]`, checkGlob)
			},
		})
		if !images && n.Kind == yaml.MappingNode {
			r.errorf(n, `the trigger has no images; write images: ["acme/*"], the image repositories that it is for, "*" for all`)
		}
		o.Operator, o.Name = true, OperatorTrigger+o.Name
		out = append(out, o)
	}
	return out
}

// clusters reads the Kubernetes clusters that triggers may name.
func (r *reader) clusters(v *yaml.Node) []Cluster {
	lines := map[string]int{}
	return each(r, v, "clusters", "[{name: prod, kubeconfig: prod-kubeconfig}]", func(n *yaml.Node) Cluster {
		var c Cluster
		seen, ok := r.section(n, "clusters[]", fields{
			"name":       func(v *yaml.Node) { c.Name, _ = r.word(v, "name", credentialName, credentialNameRule) },
			"kubeconfig": func(v *yaml.Node) { c.Kubeconfig, _ = r.word(v, "kubeconfig", credentialName, kubeconfigRule) },
			"context":    func(v *yaml.Node) { c.Context, _ = r.text(v, `"context"`) },
			"inCluster":  func(v *yaml.Node) { c.InCluster, _ = r.boolean(v, "inCluster") },
		})
		if !ok {
			return c
		}
		if seen["name"] == nil {
			r.errorf(n, "the cluster has no name; write name: and what triggers call it")
		} else if line, ok := lines[c.Name]; ok && c.Name != "" {
			r.errorf(seen["name"], "the name %q is taken by the cluster in line %d; choose another", c.Name, line)
		} else {
			lines[c.Name] = n.Line
		}
		switch {
		case seen["kubeconfig"] == nil && !c.InCluster:
			r.errorf(n, "the cluster has no way in; write kubeconfig: and the name of a credential of kind kubeconfig, or inCluster: true for the one that we run in")
		case seen["kubeconfig"] != nil && c.InCluster:
			r.errorf(n, "the cluster is that of a kubeconfig or the one that we run in; write kubeconfig or inCluster, not both")
		case c.InCluster && seen["context"] != nil:
			r.errorf(seen["context"], "a context belongs to a kubeconfig; leave it out with inCluster")
		}
		return c
	})
}

// kubeconfigRule stands after the file that people write there at first.
const kubeconfigRule = "it is the name of a credential, not a file; keep the file with: registry-build credentials set NAME --kind kubeconfig --file PATH"

// knownClusters finds operators' triggers that name a cluster which is not
// there. Those of build files tell when they fire.
func (r *reader) knownClusters(s *Server) {
	var known []string
	for _, c := range s.Clusters {
		known = append(known, c.Name)
	}
	for _, o := range s.Operators {
		k := o.Kubernetes
		if k == nil || k.Cluster == "" || slices.Contains(known, k.Cluster) {
			continue
		}
		advice := "add it to clusters:"
		if near := nearest(k.Cluster, known); near != "" {
			advice = fmt.Sprintf("did you mean %q?", near)
		}
		r.report(o.Pos.Line, o.Pos.Col, "the trigger %q names a cluster that the file does not have; %s", o.Name[len(OperatorTrigger):], advice)
	}
}
