package config

import (
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The names of Kubernetes: RFC 1123 labels for namespaces and containers,
// subdomains for workloads
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/).
var (
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	dnsSubdomain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?){0,3}$`)
)

const (
	dnsLabelRule     = "small letters, digits and -, a letter or digit first and last, at most 63 characters"
	dnsSubdomainRule = "small letters, digits, - and ., a letter or digit first and last"
)

// What a rollout may take at least and at most.
const (
	minRollout = 10 * time.Second
	maxRollout = time.Hour
)

// workloadKinds are the keys that name a workload.
func workloadKinds() []string {
	return []string{string(Deployment), string(StatefulSet), string(DaemonSet), string(CronJob)}
}

func (r *reader) kubernetes(v *yaml.Node, by maker) *Kubernetes {
	k := &Kubernetes{}
	fs := fields{
		"cluster":   func(v *yaml.Node) { k.Cluster, _ = r.word(v, "cluster", credentialName, credentialNameRule) },
		"namespace": func(v *yaml.Node) { k.Namespace, _ = r.word(v, "namespace", dnsLabel, dnsLabelRule) },
		"container": func(v *yaml.Node) { k.Container, _ = r.word(v, "container", dnsLabel, dnsLabelRule) },
		"rollback":  func(v *yaml.Node) { k.Rollback, _ = r.boolean(v, "rollback") },
		"timeout":   func(v *yaml.Node) { k.Timeout = r.rolloutTime(v) },
	}
	var named []string
	for _, kind := range workloadKinds() {
		fs[kind] = func(v *yaml.Node) {
			k.Kind = WorkloadKind(kind)
			k.Name, _ = r.word(v, kind, dnsSubdomain, dnsSubdomainRule)
		}
	}
	seen, ok := r.section(v, by.section+".kubernetes", fs)
	if !ok {
		return k
	}
	if seen["cluster"] == nil {
		r.errorf(v, "the trigger names no cluster; write cluster: and the name that it has in the server file")
	}
	if seen["namespace"] == nil {
		r.errorf(v, "the trigger names no namespace; write namespace: NAME, which may be default")
	}
	for _, kind := range workloadKinds() {
		if seen[kind] != nil {
			named = append(named, kind)
		}
	}
	switch {
	case len(named) == 0:
		r.errorf(v, "the trigger names no workload; write one of %s with its name, like deployment: api", strings.Join(workloadKinds(), ", "))
	case len(named) > 1:
		r.errorf(v, "a trigger sets the image of one workload, and this names a %s; write a trigger for each", strings.Join(named, " and a "))
	case k.Kind == CronJob:
		for _, key := range []string{"rollback", "timeout"} {
			if seen[key] != nil {
				r.errorf(seen[key], "a cronJob takes its new image at its next run, so there is no rollout to watch; leave %s out", key)
			}
		}
	}
	return k
}

func (r *reader) rolloutTime(v *yaml.Node) time.Duration {
	s, ok := r.text(v, `"timeout"`)
	if !ok {
		return 0
	}
	d, err := parseDuration(s)
	switch {
	case err != nil:
		r.errorf(v, `"timeout" is not %s; write a time like 90s or 15m`, r.show(v))
	case d < minRollout || d > maxRollout:
		r.errorf(v, `"timeout" is not %s; a rollout takes 10s at least and 1h at most`, r.show(v))
	}
	return d
}
